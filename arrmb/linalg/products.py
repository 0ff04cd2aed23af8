"""Products of the standard's linalg extension: compositions of other functions, without own rules.

Raw or traced arrays in, the same kind out, on any backend.
"""

from .._xp import device, integer, is_traced, namespace, raw
from ..ops import manipulation
from ..ops.matmul import matmul as _matmul
from ..tape.core import lift
from . import _check, _shapes
from .least_squares import relative_tolerance

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
    """Matrix product.

    Parameters
    ----------
    x1 : array, shape (..., m, k) or (k,)
    x2 : array, shape (..., k, n) or (k,)
        Leading axes broadcast; a vector is a row on the left and a column on the right.

    Returns
    -------
    array, shape (..., m, n)
        Without the axis of a vector.

    Raises
    ------
    TypeError
        An argument is not an array, or the arguments belong to different backends.
    ValueError
        The shapes do not fit.

    Notes
    -----
    Smooth; derivatives exact at any order. Source: `arrmb.ops.matmul`.
    """
    _shapes.arrays("matmul", x1=x1, x2=x2)
    a, b = tuple(x1.shape), tuple(x2.shape)
    if not a or not b or a[-1] != b[-2:][0]:
        raise ValueError(
            f"matmul: x1 {a} and x2 {b} do not fit: they must have shapes (..., m, k) and (..., k, n), or (k,) for a "
            "vector; see matrix_transpose, and * for numbers"
        )
    _shapes.broadcast("matmul", a[:-2], b[:-2])
    return _matmul(x1, x2)


def matrix_transpose(x, /):
    """Transpose of the last two axes, not conjugated.

    Parameters
    ----------
    x : array, shape (..., m, n)

    Returns
    -------
    array, shape (..., n, m)

    Raises
    ------
    TypeError
        ``x`` is not an array.
    ValueError
        ``x`` has fewer than two axes.

    Notes
    -----
    Linear; derivatives exact at any order.
    """
    _shapes.matrices("matrix_transpose", x)
    return namespace(x).matrix_transpose(x)


def tensordot(x1, x2, /, *, axes=2):
    """Contraction: sum of products over pairs of axes.

    Parameters
    ----------
    x1, x2 : arrays
    axes : int or pair of sequences of int
        How many of the last axes of ``x1`` go with the first of ``x2``, or which axes of ``x1`` go with which of
        ``x2``.

    Returns
    -------
    array
        The other axes of ``x1``, then those of ``x2``.

    Raises
    ------
    TypeError
        An argument is not an array, or the arguments belong to different backends.
    ValueError
        The shapes do not fit.

    Notes
    -----
    Smooth; derivatives exact at any order. Neither argument is conjugated.
    """
    _shapes.arrays("tensordot", x1=x1, x2=x2)
    return namespace(x1, x2).tensordot(x1, x2, axes=_shapes.pairs_of_axes(tuple(x1.shape), tuple(x2.shape), axes))


def vecdot(x1, x2, /, *, axis=-1):
    """Inner products of vectors, the first one conjugated.

    Parameters
    ----------
    x1, x2 : arrays, shapes (..., n)
        The other axes broadcast.
    axis : int
        The axis of the vectors, counted from the end.

    Returns
    -------
    array, shape (...)

    Raises
    ------
    TypeError
        An argument is not an array, or the arguments belong to different backends.
    ValueError
        The shapes do not fit.

    Notes
    -----
    Smooth; derivatives exact at any order.
    """
    _shapes.arrays("vecdot", x1=x1, x2=x2)
    axis = _check.number("vecdot", "axis", axis, integer=True)
    a, b = list(x1.shape), list(x2.shape)
    if axis >= 0 and len(a) == len(b):
        axis -= len(a)
    if not -min(len(a), len(b)) <= axis < 0 or a[axis] != b[axis]:
        raise ValueError(
            f"vecdot: x1 {tuple(a)} and x2 {tuple(b)} must have equal lengths along axis {axis}, counted from the end"
        )
    del a[axis], b[axis]
    _shapes.broadcast("vecdot", a, b)
    return namespace(x1, x2).vecdot(x1, x2, axis=axis)


def outer(x1, x2, /):
    """Outer product of two vectors, not conjugated.

    Parameters
    ----------
    x1 : array, shape (m,)
    x2 : array, shape (n,)

    Returns
    -------
    array, shape (m, n)

    Raises
    ------
    TypeError
        An argument is not an array, or the arguments belong to different backends.
    ValueError
        An argument is not one-dimensional.

    Notes
    -----
    Smooth; derivatives exact at any order.
    """
    _shapes.arrays("outer", x1=x1, x2=x2)
    for name, x in (("x1", x1), ("x2", x2)):
        if len(x.shape) != 1:
            shape = tuple(x.shape)
            raise ValueError(f"outer: {name} must be one-dimensional, got shape {shape}; use xp.reshape(x, (-1,))")
    x1, x2 = _same_kind(x1, x2)
    return x1[:, None] * x2[None, :]


def cross(x1, x2, /, *, axis=-1):
    """Cross product of vectors of three components.

    Parameters
    ----------
    x1, x2 : arrays, shapes (..., 3)
        The other axes broadcast.
    axis : int
        The axis of the components.

    Returns
    -------
    array, shape (..., 3)

    Raises
    ------
    TypeError
        An argument is not an array, or the arguments belong to different backends.
    ValueError
        An argument does not have three components along ``axis``, or ``axis`` is not negative while the arguments have
        different numbers of axes.

    Notes
    -----
    Smooth; derivatives exact at any order.
    """
    _shapes.arrays("cross", x1=x1, x2=x2)
    axis, xp = _check.number("cross", "axis", axis, integer=True), namespace(x1, x2)
    for name, x in (("x1", x1), ("x2", x2)):
        if not -len(x.shape) <= axis < len(x.shape) or x.shape[axis] != 3:
            raise ValueError(f"cross: {name} must have size 3 along axis {axis}, got shape {tuple(x.shape)}")
    if axis >= 0 and len(x1.shape) != len(x2.shape):
        raise ValueError(
            "cross: count the axis from the end (a negative axis): "
            f"x1 and x2 have {len(x1.shape)} and {len(x2.shape)} axes"
        )
    _shapes.broadcast("cross", x1.shape, x2.shape)
    a, b = [lambda k, x=x: xp.roll(x, -k, axis=axis) for x in _same_kind(x1, x2)]
    return a(1) * b(2) - a(2) * b(1)


def diagonal(x, /, *, offset=0):
    """Diagonals of matrices.

    Parameters
    ----------
    x : array, shape (..., m, n)
    offset : int
        Which diagonal: this many above the main one, or below it if negative.

    Returns
    -------
    array, shape (..., k)
        k is the length of the diagonal, ``min(m, n)`` for the main one.

    Raises
    ------
    TypeError
        ``x`` is not an array, or ``offset`` not an integer.
    ValueError
        ``x`` has fewer than two axes.

    Notes
    -----
    Linear; derivatives exact at any order.
    """
    _shapes.matrices("diagonal", x)
    offset = _check.number("diagonal", "offset", offset, integer=True)
    return manipulation.diagonal(x, offset=offset)


def trace(x, /, *, offset=0, dtype=None):
    """Sums of diagonals.

    Parameters
    ----------
    x : array, shape (..., m, n)
    offset : int
        Which diagonal, as in `diagonal`.
    dtype : dtype, optional
        In which the sum is taken.

    Returns
    -------
    array, shape (...)

    Raises
    ------
    TypeError
        ``x`` is not an array, or ``offset`` not an integer.
    ValueError
        ``x`` has fewer than two axes.

    Notes
    -----
    Linear; derivatives exact at any order.
    """
    _shapes.matrices("trace", x)
    offset = _check.number("trace", "offset", offset, integer=True)
    return namespace(x).sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def matrix_rank(x, /, *, rtol=None):
    """Number of singular values above ``rtol`` times the largest one.

    Parameters
    ----------
    x : array, shape (..., m, n)
    rtol : float or array, optional
        Default: ``max(m, n)`` times the machine epsilon.

    Returns
    -------
    array, shape (...)
        Integers.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array, or ``rtol`` is not a number.
    ValueError
        ``x`` is not an array of matrices, has NaN or inf where the backend looks, or ``rtol`` is negative.

    Notes
    -----
    A constant: it has no derivative, and lets none through.
    """
    _check.matrix("matrix_rank", "x", x)
    rtol, values = relative_tolerance("matrix_rank", x, rtol), raw(x)
    xp = namespace(values)
    if 0 in values.shape[-2:]:
        rank = xp.zeros(values.shape[:-2], dtype=integer(xp), device=device(values))
    else:
        with _check.backend_errors("matrix_rank", "x", _check.DIVERGED):
            rank = xp.linalg.matrix_rank(values, rtol=rtol)
    return lift(rank) if is_traced(x) else rank


def _same_kind(x1, x2):
    return (lift(x1), lift(x2)) if is_traced(x1) or is_traced(x2) else (x1, x2)
