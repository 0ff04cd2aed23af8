"""Norms of vectors and matrices.

Raw or traced arrays in, the same kind out, on any backend.
"""

import math

from .._xp import device, is_complex, is_traced, namespace, raw, real
from ..ops.singular_sum import Between, OddPower, singular_sum
from . import _check

__all__ = ["ky_fan_norm", "matrix_norm", "schatten_norm", "vector_norm"]


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
        ``x`` is not a floating-point array, ``ord`` not a number, or ``axis`` not an integer.
    ValueError
        ``axis`` is none of ``x``, ``ord`` is NaN, or vectors are empty while ``ord`` is negative or ``inf``.

    Notes
    -----
    Powers are taken relative to the largest absolute value, so that none leaves the range. At the zero vector, a kink,
    the gradient is taken as 0. For 0 < ``ord`` <= 1 so are the components of zero entries, where there is a kink or an
    infinite derivative; for ``ord`` < 0 a zero entry makes the norm 0, and the gradient is taken as 0. For ``inf`` tied
    entries share the gradient. A power below 2 has no second derivative at zero entries: it is taken as 0 there.
    """
    _check.floating("vector_norm", "x", x)
    _check.number("vector_norm", "ord", ord)
    axis = _axes(x, axis)
    if (ord < 0 or ord == math.inf) and 0 in [x.shape[a] for a in axis]:
        raise ValueError(f"vector_norm: x has no entries, shape {tuple(x.shape)}, and ord={ord} needs at least one")
    xp = namespace(x)
    if not is_traced(x) and not 1 < ord < math.inf:
        return xp.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=ord)
    if ord == 0:
        return xp.astype(xp.count_nonzero(x, axis=axis, keepdims=keepdims), real(raw(x)).dtype)
    if ord == 1:
        return xp.sum(xp.abs(x), axis=axis, keepdims=keepdims)
    if abs(ord) == math.inf:
        return (xp.max if ord > 0 else xp.min)(xp.abs(x), axis=axis, keepdims=keepdims)
    size = _largest(x, axis, keepdims)  # a constant for the derivatives, the norm being homogeneous
    x = xp.divide(x, _largest(x, axis, True))
    if ord == 2:
        squares = xp.real(xp.conj(x) * x) if is_complex(x) else x * x
        y = _root(xp.sum(squares, axis=axis, keepdims=keepdims), xp.sqrt)
    else:
        y = _power_mean(xp.abs(x), axis, keepdims, ord)
    return _times(y, size)


def _axes(x, axis):
    """``axis`` as a tuple of numbers of axes that ``x`` has."""
    if axis is None:
        return tuple(range(len(x.shape)))
    axes = [
        _check.number("vector_norm", "axis", a, integer=True) for a in (axis if isinstance(axis, tuple) else [axis])
    ]
    for a in axes:
        if not -len(x.shape) <= a < len(x.shape):
            raise ValueError(f"vector_norm: axis {a} is none of x, which has shape {tuple(x.shape)}")
    return tuple(axes)


def _power_mean(size, axis, keepdims, ord):
    """(sum size^ord)^(1/ord), without a power of zero: its derivatives are infinite where the exponent is low."""
    xp = namespace(size)
    zero = size == 0.0
    power = xp.where(zero, 0.0, xp.where(zero, 1.0, size) ** ord)
    y = _root(xp.sum(power, axis=axis, keepdims=keepdims), lambda y: y ** (1.0 / ord))
    return y if ord > 0 else xp.where(xp.any(zero, axis=axis, keepdims=keepdims), 0.0, y)


def _largest(x, axis, keepdims):
    """The largest absolute value, 1 for zero vectors, those without entries, and those with NaN or inf."""
    x = raw(x)
    xp = namespace(x)
    if 0 in x.shape:
        x = xp.zeros(tuple([n or 1 for n in x.shape]), dtype=x.dtype, device=device(x))
    return _or_one(xp.max(xp.abs(x), axis=axis, keepdims=keepdims))


def _or_one(size):
    xp = namespace(size)
    return xp.where((size > 0.0) & (size < math.inf), size, xp.ones_like(size))


def _times(y, size):
    y = y * size
    return y if y.dtype == size.dtype else namespace(y).astype(y, size.dtype)  # NumPy 1 widens scalars


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
        ``x`` is not a floating-point array, or ``ord`` is neither a number nor a string.
    ValueError
        ``x`` is not an array of matrices, ``ord`` is unknown, or there are no sums of which it is the extreme one.

    Notes
    -----
    "nuc", 2 and -2 are exact to third order at ties and near ties of singular values, wherever they have derivatives.
    At a kink the gradient is the subgradient of least norm: 0 at the zero matrix; without the vectors of zero singular
    values for "nuc"; the mean over the tied ones for 2 (and for -2, which is not convex; 0 where the smallest is 0).
    Column and row sums at ties share the gradient. Source: `arrmb.ops.singular_sum`.
    """
    _check.matrix("matrix_norm", "x", x)
    if not isinstance(ord, str):
        _check.number("matrix_norm", "ord", ord)
    xp = namespace(x)
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ValueError(f"matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    m, n = x.shape[-2:]
    if ord not in ("nuc", 2, -2) and (n if abs(ord) == 1 else m) == 0:
        raise ValueError(f"matrix_norm: x has no entries, shape {tuple(x.shape)}, and ord={ord} needs at least one")
    if not is_traced(x) and min(m, n) > 0:
        return xp.linalg.matrix_norm(x, keepdims=keepdims, ord=ord)
    if ord in ("nuc", 2, -2):
        k = min(m, n)
        lo, hi = {"nuc": (0, k), 2: (0, min(1, k)), -2: (max(k - 1, 0), k)}[ord]
        y = singular_sum(x, kernel=Between("matrix_norm", (m, n), lo, hi))
    else:
        sums = xp.sum(xp.abs(x), axis=-2 if abs(ord) == 1 else -1)
        y = xp.max(sums, axis=-1) if ord > 0 else xp.min(sums, axis=-1)
    return y[..., None, None] if keepdims else y


def schatten_norm(x, p, /):
    """Schatten norm, the p-norm of the singular values.

    Parameters
    ----------
    x : array, shape (..., m, n)
        Real or complex.
    p : float
        A Python number, at least 1: 1 is the nuclear norm, 2 the Frobenius norm, ``inf`` the spectral norm.

    Returns
    -------
    array, shape (...)
        Real.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array, or ``p`` is not a number.
    ValueError
        ``x`` is not an array of matrices, has NaN or inf where the backend looks, or ``p`` is less than 1.

    Notes
    -----
    Exact to third order at ties and near ties of singular values, wherever the norm has derivatives; for 1 < p < 2 the
    second is infinite at zero singular values, whose part is left out. At a kink the gradient is the subgradient of
    least norm, as in `matrix_norm`. The matrix is scaled by its largest singular value first, so that no power leaves
    the range. Source: `arrmb.ops.singular_sum`.
    """
    _check.matrix("schatten_norm", "x", x)
    remedy = "for a learnable p write xp.sum(svdvals(x) ** p, axis=-1) ** (1.0 / p), of first order"
    _check.number("schatten_norm", "p", p, remedy=remedy)
    if not p >= 1:
        raise ValueError(f"schatten_norm: p must be at least 1, or the sum is not a norm, got {p}")
    shape = tuple(x.shape[-2:])
    if p == 2:
        return vector_norm(x, axis=(-2, -1))
    with _check.backend_errors("schatten_norm", "x", _check.DIVERGED):
        if p == 1 or p == math.inf:
            return _sum(x, Between("schatten_norm", shape, 0, min(1, *shape) if p > 1 else min(shape)))
        if 0 in shape:
            return _sum(x, Between("schatten_norm", shape, 0, 0))
        scale = _or_one(_values(x)[..., :1])
        y = _sum(namespace(x).divide(x, scale[..., None]), OddPower("schatten_norm", shape, float(p)))
        return _times(_root(y, lambda y: y ** (1.0 / p)), scale[..., 0])


def _sum(x, kernel):
    return singular_sum(x, kernel=kernel) if is_traced(x) else kernel.total(_values(x))


def _values(x):
    return namespace(raw(x)).linalg.svdvals(raw(x))


def ky_fan_norm(x, k, /):
    """Ky Fan norm, the sum of the ``k`` largest singular values.

    Parameters
    ----------
    x : array, shape (..., m, n)
        Real or complex.
    k : int
        From 1, the spectral norm, to min(m, n), the nuclear norm.

    Returns
    -------
    array, shape (...)
        Real.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array, or ``k`` is not an integer.
    ValueError
        ``x`` is not an array of matrices, has NaN or inf where the backend looks, or ``k`` is out of range.

    Notes
    -----
    Exact to third order whatever ties there are among the k, or among the others. Where the singular values number k
    and k + 1 are equal, a kink, the gradient is the subgradient of least norm, the mean over the tied group; it leaves
    out the vectors of zero singular values. Source: `arrmb.ops.singular_sum`.
    """
    _check.matrix("ky_fan_norm", "x", x)
    k = _check.number("ky_fan_norm", "k", k, integer=True)
    k = _check.count("ky_fan_norm", k, 1, min(x.shape[-2:]), "min(m, n)")
    with _check.backend_errors("ky_fan_norm", "x", _check.DIVERGED):
        return _sum(x, Between("ky_fan_norm", tuple(x.shape[-2:]), 0, k))
