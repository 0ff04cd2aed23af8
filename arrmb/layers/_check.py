"""Checks of arguments shared by the network layers: shapes and dtypes, never values (no device is made to wait)."""

from .._xp import is_inexact, namespace


def features(op, x, axes, channels=None, name="x"):
    """Raise unless ``x`` is a floating-point array with the trailing ``axes``, the last of size ``channels``."""
    shape = f"(..., {', '.join(axes)})"
    if not hasattr(x, "dtype"):
        raise TypeError(f"{op}: {name} must be an array {shape}, got {type(x).__name__}")
    namespace(x)
    if not is_inexact(x):
        raise TypeError(f"{op}: {name} has dtype {x.dtype}, and needs a floating-point one: cast it with xp.astype")
    if len(x.shape) < len(axes):
        raise ValueError(f"{op}: {name} must have shape {shape}, got {tuple(x.shape)}")
    if channels is not None and x.shape[-1] != channels:
        raise ValueError(
            f"{op}: {name} must have {channels} channels on its last axis, got shape {tuple(x.shape)}; "
            "channels come last"
        )


def pair(op, name, value):
    """A positive integer, or two of them, as a pair (height, width)."""
    both = value if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or not all(isinstance(n, int) and n > 0 for n in both):
        raise ValueError(f"{op}: {name} must be a positive integer or a pair of them, got {value!r}")
    return tuple(both)
