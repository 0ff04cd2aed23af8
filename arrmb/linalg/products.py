"""Products, norms and powers of the standard's linalg extension: compositions of other functions, without own rules.

Raw or traced arrays in, the same kind out, on any backend.
"""

import math

from .._xp import device, is_complex, is_traced, namespace, raw, real
from ..ops import manipulation
from ..tape.core import lift
from . import _check
from .decompositions import svdvals
from .systems import inv

__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
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


def matrix_power(x, n, /):
    """Integer power of square matrices, by repeated squaring.

    Parameters
    ----------
    x : array, shape (..., n, n)
    n : int
        Negative: the power ``-n`` of the inverse; 0: the identity.

    Returns
    -------
    array, shape (..., n, n)

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array, or ``n`` is not an integer.
    ValueError
        ``x`` is not square, or is singular while ``n`` is negative.

    Notes
    -----
    Smooth; derivatives exact at any order. For real powers of Hermitian matrices see `powmh`.
    """
    _check.matrix("matrix_power", "x", x, square=True)
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"matrix_power: n must be a Python int, got {type(n).__name__}; for real powers use powmh")
    xp = namespace(x)
    if n == 0:
        eye = xp.eye(x.shape[-1], dtype=x.dtype, device=device(x))
        return xp.broadcast_to(eye, x.shape) + xp.zeros_like(x)  # an array of its own, not a view
    square, power = inv(x) if n < 0 else x, None
    n = abs(n)
    while True:
        if n % 2:
            power = square if power is None else power @ square
        n //= 2
        if not n:
            return power
        square = square @ square


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
