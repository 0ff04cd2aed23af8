"""Norms of vectors and matrices.

Raw or traced arrays in, the same kind out, on any backend.
"""

import math

from .._xp import is_complex, is_traced, namespace, raw, real
from . import _check
from .singular import svdvals

__all__ = ["matrix_norm", "vector_norm"]


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """Norm of vectors, ``(sum |x|^ord)^(1/ord)``.

    Parameters
    ----------
    x : array
        Real or complex.
    axis : int, tuple of int, or None
        The axes that make up a vector; None: all.
    keepdims : bool
    ord : float
        Any number; ``inf`` and ``-inf`` give the largest and the smallest absolute value, 0 the number of entries that
        are not 0 (a constant).

    Returns
    -------
    array
        Real.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.

    Notes
    -----
    At the zero vector, a kink, the gradient is taken as 0. For ``ord=1`` so are the components of zero entries, and for
    ``inf`` tied entries share the gradient. A power below 2 has no second derivative at zero entries.
    """
    _check.floating("vector_norm", "x", x)
    xp = namespace(x)
    if not is_traced(x):
        return xp.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
    if axis is None:
        axis = tuple(range(len(x.shape)))
    if ord == 0:
        return xp.astype(xp.count_nonzero(x, axis=axis, keepdims=keepdims), real(raw(x)).dtype)
    if ord == 1:
        return xp.sum(xp.abs(x), axis=axis, keepdims=keepdims)
    if abs(ord) == math.inf:
        return (xp.max if ord > 0 else xp.min)(xp.abs(x), axis=axis, keepdims=keepdims)
    if ord == 2:
        squares = xp.real(xp.conj(x) * x) if is_complex(x) else x * x
        return _root(xp.sum(squares, axis=axis, keepdims=keepdims), xp.sqrt)
    return _root(xp.sum(xp.abs(x) ** ord, axis=axis, keepdims=keepdims), lambda y: y ** (1.0 / ord))


def _root(y, root):
    """root(y), and 0 with derivative 0 where y is 0."""
    xp = namespace(y)
    zero = y == 0.0
    return xp.where(zero, 0.0, root(xp.where(zero, 1.0, y)))


def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """Norm of matrices.

    Parameters
    ----------
    x : array, shape (..., m, n)
        Real or complex.
    keepdims : bool
    ord : {"fro", "nuc", 1, -1, 2, -2, inf, -inf}
        Frobenius; sum of singular values; largest or smallest column sum, singular value, row sum.

    Returns
    -------
    array, shape (...), or (..., 1, 1) with ``keepdims``
        Real.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not an array of matrices, or ``ord`` is unknown.

    Notes
    -----
    At a kink (the zero matrix, rank deficiency for "nuc", a tie between the largest or the smallest) the gradient is
    that of one side, or the mean of several; 0 at the zero matrix for "fro".
    """
    _check.matrix("matrix_norm", "x", x)
    xp = namespace(x)
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ValueError(f"matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    if not is_traced(x):
        return xp.linalg.matrix_norm(x, keepdims=keepdims, ord=ord)
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord == "nuc":
        y = xp.sum(svdvals(x), axis=-1)
    elif abs(ord) == 2:
        y = svdvals(x)[..., 0 if ord == 2 else -1]
    else:
        sums = xp.sum(xp.abs(x), axis=-2 if abs(ord) == 1 else -1)
        y = xp.max(sums, axis=-1) if ord > 0 else xp.min(sums, axis=-1)
    return y[..., None, None] if keepdims else y
