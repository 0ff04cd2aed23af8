"""Elementwise functions as one kernel of a GPU, where CuPy would launch one for each operation.

JAX and PyTorch fuse by themselves, under `jax.jit` and `torch.compile`.
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
        return kernels[0](*arrays, *parameters)

    return call


def _kernel(name, function, xp):
    import cupy

    @cupy.fuse(kernel_name=name)
    def kernel(*variables):
        for variable in variables:
            if not isinstance(variable, float):  # a parameter, where another function is recorded
                NAMESPACES[type(variable)] = xp
        return function(*variables)

    return kernel
