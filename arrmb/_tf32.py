"""Products of float32 matrices on the tensor cores of a GPU, as an option of iterations that consist of products.

Tensor cores round the entries of both matrices to TF32, which has 10 bits after the leading one where float32 has 23,
and add up the products in float32. Two of TF32's numbers hold 21 of float32's 23 bits, so that three products of TF32
are worth about one of float32:

    A = A1 + A2,  A1 = A rounded to TF32,        A B = A1 B1 + (A1 B2 + A2 B1) + A2 B2,  |A2 B2| <= 2^-22 |A||B|

    "tf32"      one product:    entries of A B to about 2^-11 |A||B|
    "tf32x3"    three products: entries of A B to about 2^-21 |A||B|, without the last one above

It is a permission, as PyTorch's and JAX's own settings are: where there are no such tensor cores (GPUs before compute
capability 8.0), and in another dtype, products are what they always are. JAX does not say what its GPU can do: an older
one gets the three products. JAX's own default on a GPU is TF32, so that "tf32" is the same there. On PyTorch it is for
eager execution: a compiler may contract the splitting below.

The figures above are those of rounding to nearest. Tensor cores also cut off the sums inside them, by an amount that is
not documented: `benchmarks/tf32.py` has a simulation of that, too.

Source: Dekker, "A floating-point technique for extending the available precision" (1971), for the splitting; Ootomo and
Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical peak performance"
(IJHPCA 2022), for the three products.
"""

import contextlib
import functools
import operator
import threading

from ._xp import backend_of, eps, is_complex, is_traced, namespace

PRECISIONS = ("tf32", "tf32x3")


def products(precision):
    """The product of two matrices, as a function: ``a @ b``, or in one of `PRECISIONS`."""
    return operator.matmul if precision is None else functools.partial(_product, precision)


def _product(precision, a, b):
    multiply = _tf32_product(a, b)
    if multiply is None:
        return a @ b
    if precision == "tf32":
        return multiply(a, b)
    a1 = _leading(a)
    b1 = a1 if b is a else _leading(b)
    return multiply(a1, b1) + (multiply(a1, b - b1) + multiply(a - a1, b1))


def _leading(a):
    """Each entry to 11 significant bits, to nearest; ``a - _leading(a)`` is exact. NaN beyond 2^115, 4e34."""
    if backend_of(namespace(a)) == "jax":
        return _leading_in_jax(a)
    scaled = (2.0**13 + 1.0) * a
    return scaled - (scaled - a)


def _leading_in_jax(a):
    # its compiler may contract a product and a difference to one rounding, which would make the above the identity
    from jax import lax

    if is_complex(a):
        return lax.complex(_leading_in_jax(a.real), _leading_in_jax(a.imag))
    return lax.reduce_precision(a, exponent_bits=8, mantissa_bits=10)


def _tf32_product(a, b):
    """A function that multiplies such arrays as ``a`` and ``b`` in TF32, or None where there is none."""
    if is_traced(a) or is_traced(b) or a.dtype != b.dtype or eps(a) != 2.0**-23:
        return None
    xp = namespace(a)
    backend = backend_of(xp)
    if backend == "cupy" and _cupy_has_tf32(a):
        return functools.partial(_within, _cupy_mode)
    if backend == "torch" and a.is_cuda and _torch_has_tf32(a):
        return functools.partial(_within, _torch_mode)
    if backend == "jax":
        import jax

        if jax.default_backend() == "gpu":
            return functools.partial(xp.matmul, precision="tensorfloat32")
    return None


def _within(mode, a, b):
    with mode():
        return a @ b


# CuPy: a mode of the cuBLAS handle, of which each thread has its own. CUPY_TF32 is not for batches of matrices.


def _cupy_has_tf32(a):
    import cupy

    return not cupy.cuda.runtime.is_hip and int(a.device.compute_capability) >= 80


@contextlib.contextmanager
def _cupy_mode():
    import cupy

    cublas, handle = cupy.cuda.cublas, cupy.cuda.get_cublas_handle()
    before = cublas.getMathMode(handle)
    cublas.setMathMode(handle, 3)  # CUBLAS_TF32_TENSOR_OP_MATH
    try:
        yield
    finally:
        cublas.setMathMode(handle, before)


# PyTorch: a setting of the process. The first product to begin sets it, the last to end sets it back.

_LOCK = threading.Lock()
_running = []


def _torch_has_tf32(a):
    import torch

    if torch.version.hip or not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        return False  # before 2.9 a setting could not be told from another, and be set back
    return torch.cuda.get_device_capability(a.device) >= (8, 0)


@contextlib.contextmanager
def _torch_mode():
    import torch

    setting = torch.backends.cuda.matmul
    before = None
    try:
        with _LOCK:
            before = _running[0] if _running else setting.fp32_precision
            _running.append(before)
            if before != "tf32":
                setting.allow_tf32 = True  # sets both of PyTorch's interfaces, which must not contradict each other
        yield
    finally:
        with _LOCK:
            if before is not None:
                _running.pop()
            if before not in (None, "tf32") and not _running:
                setting.allow_tf32 = False
                # what is as its parent is (cuDNN's has the same) is taken to follow it, and goes on to
                setting.fp32_precision = "none" if before == torch.backends.cudnn.fp32_precision else before
