"""Products of the standard's linalg extension: compositions of other functions, without own rules.

Raw or traced arrays in, the same kind out, on any backend.
"""

from .._xp import is_traced, namespace, raw
from ..ops import manipulation
from ..tape.core import lift
from . import _check

__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
]


def matmul(x1, x2, /):
    """Matrix product, ``(..., m, k) @ (..., k, n)``, with one-dimensional vectors as the standard has them."""
    return namespace(x1, x2).matmul(x1, x2)


def matrix_transpose(x, /):
    """Transpose of the last two axes, not conjugated."""
    return namespace(x).matrix_transpose(x)


def tensordot(x1, x2, /, *, axes=2):
    """Sum of products over ``axes``: their number, or a pair of sequences of axes."""
    return namespace(x1, x2).tensordot(x1, x2, axes=axes)


def vecdot(x1, x2, /, *, axis=-1):
    """Inner products of vectors along ``axis``, the first one conjugated."""
    return namespace(x1, x2).vecdot(x1, x2, axis=axis)


def outer(x1, x2, /):
    """Outer product of two vectors, (m,) and (n,) to (m, n), not conjugated.

    Raises
    ------
    ValueError
        An argument is not one-dimensional.
    """
    namespace(x1, x2)  # raises if the backends differ
    for name, x in (("x1", x1), ("x2", x2)):
        if len(x.shape) != 1:
            shape = tuple(x.shape)
            raise ValueError(f"outer: {name} must be one-dimensional, got shape {shape}; use xp.reshape(x, (-1,))")
    return _multiply(x1[:, None], x2[None, :])


def cross(x1, x2, /, *, axis=-1):
    """Cross product of vectors of three components along ``axis``; the other axes broadcast.

    Raises
    ------
    ValueError
        An argument does not have three components along ``axis``, or ``axis`` is not negative while the arguments have
        different numbers of axes.
    """
    xp = namespace(x1, x2)
    for name, x in (("x1", x1), ("x2", x2)):
        if not -len(x.shape) <= axis < len(x.shape) or x.shape[axis] != 3:
            raise ValueError(f"cross: {name} must have size 3 along axis {axis}, got shape {tuple(x.shape)}")
    if axis >= 0 and len(x1.shape) != len(x2.shape):
        raise ValueError(
            "cross: count the axis from the end (a negative axis): "
            f"x1 and x2 have {len(x1.shape)} and {len(x2.shape)} axes"
        )
    a, b = [lambda k, x=x: xp.roll(x, -k, axis=axis) for x in _same_kind(x1, x2)]
    return a(1) * b(2) - a(2) * b(1)


def diagonal(x, /, *, offset=0):
    """Diagonals of matrices, (..., m, n) to (..., k); ``offset`` counts above the main diagonal."""
    if len(x.shape) < 2:
        raise ValueError(f"diagonal: x must have shape (..., m, n), got {tuple(x.shape)}")
    return manipulation.diagonal(x, offset=offset)


def trace(x, /, *, offset=0, dtype=None):
    """Sums of diagonals, (..., m, n) to (...); ``offset`` counts above the main diagonal."""
    if len(x.shape) < 2:
        raise ValueError(f"trace: x must have shape (..., m, n), got {tuple(x.shape)}")
    return namespace(x).sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def matrix_rank(x, /, *, rtol=None):
    """Number of singular values above ``rtol`` times the largest one: a constant, without derivative.

    ``rtol`` is by default ``max(m, n)`` times the machine epsilon.
    """
    _check.matrix("matrix_rank", "x", x)
    rank = namespace(raw(x)).linalg.matrix_rank(raw(x), rtol=rtol)
    return lift(rank) if is_traced(x) else rank


def _same_kind(x1, x2):
    return (lift(x1), lift(x2)) if is_traced(x1) or is_traced(x2) else (x1, x2)


def _multiply(x1, x2):
    x1, x2 = _same_kind(x1, x2)
    return x1 * x2
