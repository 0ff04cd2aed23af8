"""Checks of arguments, shared by the public functions: of shapes and dtypes only, so that no device is made to wait."""

import contextlib
import numbers
import operator

from .._xp import is_inexact, is_traced, namespace
from ..ops.gauge import CHOICES

DIVERGED = "has NaN or inf among its entries, or is beyond the backend's solver"


def matrix(op, name, x, square=False):
    """Raise unless ``x`` is a floating-point array of matrices."""
    floating(op, name, x)
    if len(x.shape) < 2:
        raise ValueError(f"{op}: {name} must have shape (..., m, n), got {tuple(x.shape)}")
    if square and x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{op}: {name} must have shape (..., n, n), got {tuple(x.shape)}")


def floating(op, name, x):
    """Raise unless ``x`` is a floating-point array."""
    if not hasattr(x, "dtype"):
        raise TypeError(f"{op}: {name} must be a floating-point array, got {type(x).__name__}")
    namespace(x)
    if not is_inexact(x):
        raise TypeError(
            f"{op}: {name} has dtype {x.dtype}, and must be float32, float64, complex64 or complex128: cast it, for "
            "instance with xp.astype(x, xp.float64)"
        )
    if getattr(x, "requires_grad", False):
        _not_on_a_graph(op, name, x)


def _not_on_a_graph(op, name, x):
    """PyTorch would differentiate what is inside by its own rules, with NaN at ties, and keep all of it."""
    import torch

    if torch.is_grad_enabled():
        raise TypeError(
            f"{op}: {name} is a tensor that requires grad, and PyTorch would differentiate by its own rules what is "
            "inside; use arrmb.plugins.torch, or take gradients with arrmb.grad, of x.detach()"
        )


def same_backend(op, **arrays):
    """Raise unless all arrays belong to one backend."""
    try:
        namespace(*arrays.values())
    except TypeError as error:
        raise TypeError(f"{op}: {', '.join(arrays)} are {error}") from None


def system(op, **arrays):
    """Matrix and right-hand side, (m,) or (..., m, k), of a linear system in one dtype; raise if they do not fit."""
    (name_a, a), (name_b, b) = arrays.items()
    floating(op, name_b, b)
    same_backend(op, **arrays)
    m, n = a.shape[-2:]
    if len(b.shape) == 0 or b.shape[0 if len(b.shape) == 1 else -2] != m:
        raise ValueError(
            f"{op}: {name_b} must have shape ({m},) or (..., {m}, k) for {name_a} (..., {m}, {n}), got {tuple(b.shape)}"
        )
    xp = namespace(a, b)
    if a.dtype != b.dtype:
        dtype = xp.result_type(a, b)
        a, b = xp.astype(a, dtype), xp.astype(b, dtype)
    return a, b


@contextlib.contextmanager
def backend_errors(op, name, why):
    """Turn the error that a backend raises for values it cannot factorise into one that names the argument.

    NumPy, array-api-strict and PyTorch look at the values and raise; CuPy does not, and returns NaN.
    """
    try:
        yield
    except Exception as error:  # each backend has a LinAlgError of its own
        if "LinAlgError" not in type(error).__name__:
            raise
        raise ValueError(f"{op}: {name} {why} ({error})") from error


def gauge(op, gauge):
    """Raise unless ``gauge`` is one of the choices."""
    if gauge not in CHOICES:
        raise ValueError(f"{op}: gauge must be {' or '.join(map(repr, CHOICES))}, got {gauge!r}")


def count(op, k, least, most, of="n"):
    """``k`` as an int. Raise unless it is an integer from ``least`` to ``most``, which is ``of``."""
    if isinstance(k, bool) or not hasattr(k, "__index__") or not least <= k <= most:
        raise ValueError(f"{op}: k must be an integer from {least} to {of} = {most}, got {k!r}")
    return operator.index(k)


def number(op, name, value, integer=False, remedy=None):
    """``value``, an int with ``integer``. Raise unless it is a real Python number, which has no derivative."""
    kind = "int" if integer else "number"
    if is_traced(value):
        raise TypeError(f"{op}: {name} is a constant and has no derivative: {remedy or f'pass a Python {kind}'}")
    try:
        if isinstance(value, bool) or not (integer or isinstance(value, numbers.Real)):
            raise TypeError
        value = operator.index(value) if integer else value
    except TypeError:
        raise TypeError(f"{op}: {name} must be a Python {kind}, got {type(value).__name__}") from None
    if value != value:
        raise ValueError(f"{op}: {name} must be a Python {kind}, got NaN")
    return value
