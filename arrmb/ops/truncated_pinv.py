"""Truncated pseudo-inverse: Y = V f(s) U^H for X = U diag(s) V^H (thin), f = 1/s on s > rtol s_max, 0 on the others.

The singular values left out need not be zero. So X Y X is not X, and the rules of `pinv.py` do not hold: Y depends on
the singular vectors of what is left out. Y^H = U f(s) V^H is an odd function of X; with P = U^H E V its change is

    L(E) = U (α ∘ P + β ∘ P^H) V^H + (I - U U^H) E V g V^H + U g U^H E (I - V V^H)
    α_ij = (f[s_i, s_j] + f[s_i, -s_j])/2,   β_ij = (f[s_i, s_j] - f[s_i, -s_j])/2,   g = f(s)/s

and, a being a value that is kept and b one that is not,

    both kept      α = 0                      β = -1/(s_i s_j)
    one kept       α = 1/((a - b)(a + b))     β = (b/a) α
    none           α = 0                      β = 0                    g = 1/a² on the kept, 0 on the others

    dY = L(dX)^H,   Xbar = L(Ybar^H)          L is self-adjoint, f being real

There are only gaps between what is kept and what is not: ties on either side do not matter. Where all that is left out
is zero, this is the rule of `pinv.py`.

Second order: Y^H is a block of the function f of A = [[0, X], [X^H, 0]] (`dilation.py`), with f[a,b,c] = 1/(abc) where
all are kept, 0 where none is, and by recursion over the widest gap elsewhere: that gap has a kept value at one end, as
these are the largest in absolute value.

Source: Golub and Van Loan, "Matrix Computations" (4th ed., 2013), 5.5.4, for the rank to a tolerance; Noferini, "A
formula for the Fréchet derivative of a generalized matrix function", SIAM J. Matrix Anal. Appl. 38 (2017), for L.
Domain: any shape but empty matrices, real or complex, batched; as long as no singular value crosses rtol s_max: there Y
jumps. With a value within rounding, max(m, n) eps s_max, of rtol s_max, a derivative raises an error, or is NaN where
values cannot be looked at (GPU); unless the value is zero to rounding: then the rank is taken as constant. Exact to
second order, with a relative error of eps s_max over the gap at the cut and over the least kept value, and of its
square; a third derivative raises.
"""

from .._lapack import svd as _backend_svd
from .._threads import over_batch
from .._xp import H, device, eps, integer, is_traced, namespace, raw
from ..tape.core import Op, lift, unlift
from .dilation import odd_function
from .divided import nonzero, recursion
from .groups import Groups
from .tall_qr import tall_qr


def _decompose(x, rtol):
    """U, s, V^H, which s are kept, and (..., 1) whether one is too near to the cut. Raw arrays."""
    xp = namespace(x)
    q, r = tall_qr(x)
    u, s, vh = _backend_svd(r)
    cut = (rtol[..., None] if hasattr(rtol, "shape") else rtol) * s[..., :1]  # the largest comes first
    rounding = max(x.shape[-2:]) * eps(x) * s[..., :1]
    near = (xp.abs(s - cut) <= rounding) & (s > rounding)
    return q @ u, s, vh, s > cut, xp.any(near, axis=-1, keepdims=True)


def _reciprocal(s, kept):
    xp = namespace(s)
    return xp.where(kept, 1.0 / xp.where(kept, s, 1.0), 0.0)


def _checked(f, near):
    return Groups.refused(
        f,
        f,
        near,
        "pinv: a singular value lies on rtol times the largest one, to rounding: the pseudo-inverse jumps there and "
        "has no derivative; choose rtol in a gap between the singular values",
    )


def _forward(x, *, rtol):
    u, s, vh, kept, near = _decompose(x, rtol)
    return H(vh) @ H(u * _reciprocal(s, kept)[..., None, :]), (u, s, vh, kept, near)


def _coefficients(u, s, vh, kept, near):
    """α, β, and g as a row."""
    xp = namespace(s)
    f = _checked(_reciprocal(s, kept), near)
    si, sj, fi, fj = s[..., :, None], s[..., None, :], f[..., :, None], f[..., None, :]
    across = kept[..., :, None] != kept[..., None, :]
    alpha = xp.where(across, 1.0 / xp.where(across, xp.abs(si - sj), 1.0) / xp.where(across, si + sj, 1.0), 0.0)
    beta = xp.where(across, alpha * (si * fj + sj * fi), -fi * fj)  # of the two f one is 1/a, the other 0
    return alpha, beta, (f * f)[..., None, :]


def _change(saved, e):
    """L(E)"""
    u, _, vh, _, _ = saved
    alpha, beta, g = _coefficients(*(unlift(v) for v in saved))
    if is_traced(u):
        alpha, beta, g = lift(alpha), lift(beta), lift(g)
    left, right = H(u) @ e, e @ H(vh)
    p = left @ H(vh)
    y = u @ (alpha * p + beta * H(p)) @ vh
    if u.shape[-2] > u.shape[-1]:
        y = y + ((right - u @ p) * g) @ vh
    if vh.shape[-1] > vh.shape[-2]:
        y = y + (u * g) @ (left - p @ vh)
    return y


class Truncated(Groups):
    """Kernel of the dilation: 1/w on the ``rank`` (..., 1) lowest and highest eigenvalues, 0 between them."""

    name = "pinv"
    by_matrix = False

    def __init__(self, rank, near):
        self.rank, self.near = rank, near

    def _kept(self, w):
        n = w.shape[-1]
        place = namespace(w).arange(n, dtype=self.rank.dtype, device=device(w))
        return (place < self.rank) | (place >= n - self.rank)

    def values(self, w):
        return _checked(_reciprocal(w, self._kept(w)), self.near)

    def first(self, w):
        xp = namespace(w)
        kept, f = self._kept(w), self.values(w)
        fi, fj = f[..., :, None], f[..., None, :]
        across = kept[..., :, None] != kept[..., None, :]
        gap = xp.where(across, w[..., :, None] - w[..., None, :], 1.0)
        return xp.where(across, (fi - fj) / gap, -fi * fj)

    def second(self, w):
        xp = namespace(w)
        kept, f = self._kept(w), self.values(w)
        fi, fj = f[..., :, None], f[..., None, :]
        for k, (numerator, gap) in enumerate(recursion(w, self.first(w))):
            alike = kept == kept[..., k, None]
            alike = alike[..., :, None] & alike[..., None, :]
            yield xp.where(alike, fi * fj * f[..., k, None, None], numerator / nonzero(gap))


def _composite(x, *, rtol):
    _, s, _, kept, near = _decompose(raw(x), rtol)
    xp = namespace(s)
    rank = xp.sum(xp.astype(kept, integer(xp)), axis=-1, keepdims=True)
    return H(odd_function(x, Truncated(rank, near)))


def _variation(saved, dx):
    return H(_change(saved, dx))


def _adjoint(saved, ybar):
    return _change(saved, H(ybar))


truncated_pinv = Op("truncated_pinv", *over_batch(_forward, _variation, _adjoint, cost=20.0), _composite)
