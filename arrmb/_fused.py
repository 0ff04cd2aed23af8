"""Elementwise functions as one kernel of a GPU, where CuPy would launch one for each operation.

JAX fuses by itself, under `jax.jit`.
"""

import functools

from ._xp import NAMESPACES, namespace


def fused(name, function, *parameters):
    """``function`` of broadcast arrays; of CuPy's arrays one kernel, ``name``, for all of its operations.

    It must be elementwise, by operators and functions of the arrays' namespace, with Python numbers as constants.
    `cupy.fuse` runs it once for each combination of dtypes and numbers of dimensions, on variables in the place of
    arrays, and compiles what it did with them. ``parameters``, Python floats, follow the arrays in the call: a constant
    would be compiled anew for each of its values.
    """
    kernels = []

    @functools.wraps(function)
    def call(*arrays):
        import array_api_compat

        if not array_api_compat.is_cupy_array(arrays[0]):
            return function(*arrays, *parameters)
        if not kernels:
            kernels.append(_kernel(name, function, namespace(arrays[0])))
        number = arrays[0].dtype.type  # CuPy 13 on NumPy 2 takes a Python float for one of double precision
        return kernels[0](*arrays, *map(number, parameters))

    return call


def _kernel(name, function, xp):
    import cupy

    @cupy.fuse(kernel_name=name)
    def kernel(*variables):
        for variable in variables:
            NAMESPACES[type(variable)] = xp
        return function(*variables)

    return kernel
