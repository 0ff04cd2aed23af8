"""Products of float32 matrices on the tensor cores of a GPU, as an option of iterations that consist of products.

Tensor cores round the entries of both matrices to TF32, which has 10 bits after the leading one where float32 has 23,
and add up the products in float32. Two of TF32's numbers hold 21 of float32's 23 bits, so that three products of TF32
are worth about one of float32:

    A = A1 + A2,  A1 = A rounded to TF32,        A B = A1 B1 + (A1 B2 + A2 B1) + A2 B2,  |A2 B2| <= 2^-22 |A||B|

    "tf32"      one product:    entries of A B to about 2^-11 |A||B|
    "tf32x3"    three products: entries of A B to about 2^-21 |A||B|, without the last one above

It is a permission, as PyTorch's and JAX's own settings are: what has no tensor cores, or another dtype, computes as it
always does.

Source: Dekker, "A floating-point technique for extending the available precision" (1971), for the splitting; Ootomo and
Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical peak performance"
(IJHPCA 2022), for the three products.
"""

import contextlib
import functools
import operator

from ._xp import backend_of, eps, is_traced, namespace

PRECISIONS = ("tf32", "tf32x3")


def products(precision):
    """The product of two matrices, as a function: ``a @ b``, or in one of `PRECISIONS`."""
    return operator.matmul if precision is None else functools.partial(_product, precision)


def _product(precision, a, b):
    times = _on_tensor_cores(a, b)
    if times is None:
        return a @ b
    if precision == "tf32":
        return times(a, b)
    a1, b1 = _leading(a), _leading(b)
    return times(a1, b1) + (times(a1, b - b1) + times(a - a1, b1))


def _leading(a):
    """The first 11 significant bits of each entry (below 2^114), rounded to nearest; ``a - _leading(a)`` is exact."""
    scaled = (2.0**13 + 1.0) * a
    return scaled - (scaled - a)


def _on_tensor_cores(a, b):
    """The product of ``a`` and ``b`` in TF32, as a function of two such arrays, or None."""
    if is_traced(a) or is_traced(b) or eps(a) != 2.0**-23:
        return None
    xp = namespace(a)
    backend = backend_of(xp)
    if backend == "cupy":
        return functools.partial(_within, _cupy_mode)
    if backend == "torch" and a.is_cuda:
        return functools.partial(_within, _torch_mode)
    if backend == "jax":
        import jax

        if jax.default_backend() == "gpu":
            return functools.partial(xp.matmul, precision="tensorfloat32")
    return None


def _within(mode, a, b):
    with mode():
        return a @ b


@contextlib.contextmanager
def _cupy_mode():
    """The cuBLAS handle that CuPy's products use. CuPy's own setting, CUPY_TF32, is not for batches of matrices."""
    import cupy

    cublas, handle = cupy.cuda.cublas, cupy.cuda.get_cublas_handle()
    before = cublas.getMathMode(handle)
    cublas.setMathMode(handle, 3)  # CUBLAS_TF32_TENSOR_OP_MATH
    try:
        yield
    finally:
        cublas.setMathMode(handle, before)


@contextlib.contextmanager
def _torch_mode():
    """PyTorch's setting, of the whole process. Before 2.9 it could not be told how it stands: it stays as it is."""
    import torch

    setting = torch.backends.cuda.matmul
    before = getattr(setting, "fp32_precision", None)
    if before is None:
        yield
        return
    setting.allow_tf32 = True  # sets both of PyTorch's interfaces, which must not contradict each other
    try:
        yield
    finally:
        setting.allow_tf32 = before == "tf32"
        setting.fp32_precision = before
