"""K_ij ≈ 1/(w_j - w_i) in the derivatives of eigenvectors: the exact one, and those of the literature, for comparison.

The approximations give a finite number at ties and near them, which is not the derivative there: they are here so that
published methods can be compared by switching one argument. Each is one function of the eigenvalues w and of one
parameter with the published default; each is antisymmetric, and 0 on the diagonal. For taylor and pade let g be the one
of w_i, w_j larger in modulus, h the other, r = h/g, and ± the sign that K has: + where g = w_j.

    exact            1/(w_j - w_i), and 0 at ties
    taylor d = 9     ± (1 + r + ... + r^d) / g               1/(g - h) is this geometric series, |r| <= 1
    pade             ± 1 / (g max(1 - r, eps))               see below
    truncate c       1/(w_j - w_i), but at most c = 1e10 in modulus; ± c at a tie
    top N            exact, with w_i = 0 for all but the N largest: default four fifths, rounded up
    lorentzian ε     (w_j - w_i) / ((w_j - w_i)² + ε), ε = 1e-12

Padé approximants [m/n] of the geometric series are 1/(1 - r) itself for every n >= 1. So this variant is the exact K,
without the rule that a tie has 0. The published [50/50] coefficients, of a linear system that is singular but for
rounding, reproduce 1/(1 - r) to rounding down to 1 - r = 1e-9, and are arbitrary at 1 - r = 0; 1/eps stands for that.

Source: taylor: Wang, Dang, Hu, Fua, Salzmann, "Robust differentiable SVD" (TPAMI 2021, arXiv:2104.03821), degree 9;
pade, truncate, top: Song, Sebe, Wang, "Why approximate matrix square root outperforms accurate SVD in global covariance
pooling?" (ICCV 2021, arXiv:2105.02498), whose code leaves out the last 50 (AlexNet has 256); lorentzian:
Liao, Liu, Wang, Xiang, "Differentiable programming tensor networks" (Phys. Rev. X 9, 031041, 2019).
Domain: taylor converges where eigenvalues differ in modulus; it was written for positive semidefinite matrices, where
the larger modulus is the larger eigenvalue. Parameters are absolute, as published: mind the scale of the matrix.
"""

import math

from .._xp import device, eps, namespace, raw
from .gauge import tied


def inverse_gaps(w, kind="exact"):
    """K by its name, or by the pair of name and parameter; (..., n, n)."""
    name, *parameter = (kind,) if isinstance(kind, str) else kind
    return KINDS[name](w, *parameter)


def exact(w, pairs=None):
    """1/(w_j - w_i), 0 at ties (``pairs``, if given) and on the diagonal."""
    return reciprocal(w[..., None, :] - w[..., :, None], tied(w) if pairs is None else pairs)


def reciprocal(gap, dropped):
    """1/gap, 0 where ``dropped``."""
    xp = namespace(gap)
    return xp.where(dropped, 0.0, 1.0 / xp.where(dropped, 1.0, gap))


def _order(w):
    """+1 above the diagonal, -1 below, 0 on it: the sign of w_j - w_i, ties included."""
    places = namespace(raw(w)).arange(w.shape[-1], device=device(w))
    return namespace(places).astype(namespace(places).sign(places[None, :] - places[:, None]), w.dtype)


def _by_modulus(w):
    """g, made safe; r; and ±, 0 on the diagonal and where g is zero."""
    xp = namespace(w)
    row, column = w[..., None, :], w[..., :, None]
    size, other = abs(raw(row)), abs(raw(column))
    first = (size > other) | ((size == other) & (_order(w) > 0.0))  # the larger is w_j
    g, h = xp.where(first, row, column), xp.where(first, column, row)
    zero = raw(g) == 0.0
    below = namespace(first)
    sign = below.where(zero, 0.0, (2.0 * below.astype(first, w.dtype) - 1.0) * below.abs(_order(w)))
    g = xp.where(zero, 1.0, g)
    return g, h / g, sign


def taylor(w, degree=9):
    g, r, sign = _by_modulus(w)
    total = namespace(w).ones_like(r)
    for _ in range(degree):
        total = 1.0 + r * total
    return sign * total / g


def pade(w):
    g, r, sign = _by_modulus(w)
    rest = 1.0 - r
    return sign / (g * namespace(w).where(raw(rest) < eps(w), eps(w), rest))


def truncate(w, largest=1e10):
    gap = w[..., None, :] - w[..., :, None]
    close = namespace(raw(w)).abs(raw(gap)) <= 1.0 / largest
    return namespace(w).where(close, largest * _order(w), 1.0 / namespace(w).where(close, 1.0, gap))


def top(w, count=None):
    n = w.shape[-1]
    count = math.ceil(0.8 * n) if count is None else min(count, n)
    xp = namespace(w)
    return exact(xp.concat([xp.zeros_like(w[..., : n - count]), w[..., n - count :]], axis=-1))


def lorentzian(w, broadening=1e-12):
    gap = w[..., None, :] - w[..., :, None]
    return gap / (gap * gap + broadening)


KINDS = {f.__name__: f for f in (exact, taylor, pade, truncate, top, lorentzian)}
