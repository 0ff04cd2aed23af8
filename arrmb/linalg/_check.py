"""Checks of arguments, shared by the public functions: shapes and dtypes only, never values (no device is made to wait)."""

from .._xp import is_inexact, namespace


def matrix(op, name, x, square=False):
    """Raise unless ``x`` is a floating-point array of matrices."""
    if not hasattr(x, "dtype"):
        raise TypeError(f"{op}: {name} must be an array of floating-point matrices, got {type(x).__name__}")
    namespace(x)
    if not is_inexact(x):
        raise TypeError(f"{op}: {name} has dtype {x.dtype}, and needs a floating-point one: cast it with xp.astype")
    if len(x.shape) < 2:
        raise ValueError(f"{op}: {name} must have shape (..., m, n), got {tuple(x.shape)}")
    if square and x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{op}: {name} must have shape (..., n, n), got {tuple(x.shape)}")


def same_backend(op, **arrays):
    """Raise unless all arrays belong to one backend."""
    try:
        namespace(*arrays.values())
    except TypeError as error:
        raise TypeError(f"{op}: {', '.join(arrays)} are {error}") from None
