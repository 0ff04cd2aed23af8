"""Checks of arguments, shared by the public functions: of shapes and dtypes only, so that no device is made to wait."""

import contextlib

from .._xp import is_inexact, is_traced, namespace, raw
from ..tape.core import Forward, Reverse, lift

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
        raise TypeError(f"{op}: {name} has dtype {x.dtype}, and needs a floating-point one: cast it with xp.astype")


def same_backend(op, **arrays):
    """Raise unless all arrays belong to one backend."""
    try:
        namespace(*arrays.values())
    except TypeError as error:
        raise TypeError(f"{op}: {', '.join(arrays)} are {error}") from None


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


def has_derivative(x):
    """Whether ``x`` is on a trace that takes derivatives (a constant's and debug's do not)."""
    while is_traced(x):
        if isinstance(x.trace, (Reverse, Forward)):
            return True
        x = x.value
    return False


def below(kind, function, x, **options):
    """A decomposition that no derivative will be asked for, by the backend itself; traced if ``x`` is."""
    found = function(raw(x), **options)
    return kind(*(lift(v) for v in found)) if is_traced(x) else kind(*found)
