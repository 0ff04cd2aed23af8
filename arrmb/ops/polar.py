"""Polar decomposition X = Q P: Q = U V^H and P = V diag(s) V^H = (X^H X)^(1/2), for X = U diag(s) V^H (thin).

With W = U^H dX V and K_ij = 1/(s_i + s_j) (0 where both are zero), Q^H Q dQ and P² = X^H X give

    dQ = U (K ∘ (W - W^H)) V^H + (I - U U^H) dX V s^-1 V^H + U s^-1 U^H dX (I - V V^H)
    dP = V (K ∘ (S W + W^H S)) V^H + T + T^H,   T = V U^H dX (I - V V^H)

    Qbar:  M = U^H Qbar V
    Pbar:  N = V^H Pbar V + (V^H Pbar V)^H,   K ∘ (S W + W^H S) has the adjoint U S (K ∘ N) V^H
    Xbar = U (K ∘ (M - M^H) + S (K ∘ N)) V^H + (I - U U^H) Qbar V s^-1 V^H
           + U (s^-1 U^H Qbar + V^H (Pbar + Pbar^H)) (I - V V^H)

There are only sums of singular values, so ties do not matter. s_i/(s_i + s_j) is at most 1: dP does not grow where X is
nearly singular; dQ does, as 1/s_min.

Second order: Q is a block of the sign of A = [[0, X], [X^H, 0]] (`dilation.py`), with eigenvalues -s, |m - n| zeros and
s. `Signs` is the function that is -1, 0 and 1 on these three groups, and `spectral` differentiates it through the gaps
between groups alone. P = (Q^H X)_sym.

Source: Higham, "Functions of Matrices" (2008), chapter 8; Kenney and Laub, "Polar decomposition and matrix sign
function condition estimates", SIAM J. Sci. Stat. Comput. 12 (1991), for the derivative.
Domain: any shape, real or complex, batched; full rank, otherwise Q is not unique: the first order stays finite, without
the pairs of zeros; the second, where the smallest singular value is 0 to rounding, (m + n) eps s_max, raises an error,
or is NaN where values cannot be looked at (GPU). Exact to second order at any ties and near ties, with a relative error
of eps s_max/s_min and its square; a third derivative raises.
"""

from .._lapack import svd as _backend_svd
from .._threads import over_batch
from .._xp import H, namespace, sym
from ..tape.core import Op
from .dilation import odd_function
from .gauge import rounding
from .groups import Groups
from .svd import _inverses


class Signs(Groups):
    """Kernel of the sign of the dilation: -1 on the k lowest eigenvalues, 1 on the k highest, 0 between them."""

    name = "polar"

    def __init__(self, k):
        self.k = k

    def values(self, w):
        xp = namespace(w)
        ones = xp.ones_like(w[..., : self.k])
        signs = xp.concat([-ones, xp.zeros_like(w[..., 2 * self.k :]), ones], axis=-1)
        if self.k == 0:
            return signs
        return self.refused(
            signs,
            w,
            w[..., -self.k, None] <= rounding(w),  # the smallest singular value
            "polar: x is rank deficient to rounding: the second derivative of the polar factors does not exist there",
        )


def _forward(x):
    u, s, vh = _backend_svd(x)
    return (u @ vh, sym((H(vh) * s[..., None, :]) @ vh)), (u, s, vh)


def _off(x, vh):
    """X (I - V V^H)"""
    return x - (x @ H(vh)) @ vh


def _variation(saved, dx):
    u, s, vh = saved
    _, plus, sinv = _inverses(u, s, vh)
    uh_dx, dx_v = H(u) @ dx, dx @ H(vh)
    w = uh_dx @ H(vh)
    sw = s[..., :, None] * w
    dq = u @ (plus * (w - H(w))) @ vh
    dp = H(vh) @ (plus * (sw + H(sw))) @ vh
    if u.shape[-2] > u.shape[-1]:
        dq = dq + ((dx_v - u @ w) * sinv) @ vh
    if vh.shape[-1] > vh.shape[-2]:
        outside = _off(uh_dx, vh)
        t = H(vh) @ outside
        dq, dp = dq + (u * sinv) @ outside, dp + t + H(t)
    return dq, dp


def _adjoint(saved, qbar, pbar):
    u, s, vh = saved
    _, plus, sinv = _inverses(u, s, vh)
    core, right, left = 0.0, None, None
    if qbar is not None:
        m = H(u) @ qbar @ H(vh)
        core = plus * (m - H(m))
        right = (u * sinv) @ (H(u) @ qbar)
        if u.shape[-2] > u.shape[-1]:
            left = ((qbar @ H(vh) - u @ m) * sinv) @ vh
    if pbar is not None:
        twice = pbar + H(pbar)
        core = core + s[..., :, None] * (plus * (vh @ twice @ H(vh)))
        side = u @ (vh @ twice)
        right = side if right is None else right + side
    xbar = u @ core @ vh
    xbar = xbar if left is None else xbar + left
    return xbar + _off(right, vh) if vh.shape[-1] > vh.shape[-2] else xbar


def _composite(x):
    q = odd_function(x, Signs(min(x.shape[-2:])))
    return q, sym(H(q) @ x)


polar = Op("polar", *over_batch(_forward, _variation, _adjoint), _composite)
