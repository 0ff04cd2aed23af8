"""Thin singular value decomposition, X = U diag(s) V^H, X (m, n) of any shape, s descending.

With P = U^H dX V, K-_ij = 1/(s_j - s_i) (0 where i = j and at ties), K+_ij = 1/(s_j + s_i) (0 where both are zero),
and s^-1 (0 where s is zero):

    Ωu = ½ (K- ∘ (P + P^H) + K+ ∘ (P - P^H))          ds = Re diag(P)
    Ωv = ½ (K- ∘ (P + P^H) - K+ ∘ (P - P^H))
    dU = U Ωu + (I - U U^H) dX V s^-1                 dV = V Ωv + (I - V V^H) dX^H U s^-1

    M = U^H Ubar,  N = V^H Vbar,  Em = M - M^H,  En = N - N^H
    C = diag(sbar) + ½ (K- ∘ (Em + En) + K+ ∘ (Em - En))
    Xbar = U C V^H + (I - U U^H) Ubar s^-1 V^H + U s^-1 Vbar^H (I - V V^H)

No singular value is squared, so singular values of 1e-20 and 1e20 are fine in float32. The diagonal of K+ fixes the
free phase of each pair (u_i, v_i) so that Im P_ii is shared between them. A singular value is zero, and two are tied,
to within max(m, n) eps of the largest one of the same matrix.

Source: Ionescu, Vantzos, Sminchisescu (arXiv:1509.07838), section 5, with 1/(s_j² - s_i²) split into partial fractions;
Wan, Zhang, "Automatic differentiation for complex valued SVD" (arXiv:1909.02659).
Domain: real or complex, batched; complex losses must not depend on the phases of the pairs (u_i, v_i), which are free.

* Distinct, nonzero singular values: smooth, exact at any order.
* Ties, first order: exact for a loss that depends on a tied group through symmetric functions of its singular values
  and through the group's U V^H, U U^H and V V^H. For another loss it is not, even where the loss is differentiable, for
  the reason told in `arrmb.ops.eigh`: the gradient of <G, U diag(s) V^H> is G, but cannot be had from (Ubar, sbar,
  Vbar). Near ties likewise, with a relative error of about eps s_max / gap.
* Zero singular values, first order: exact for a loss that does not depend on their vectors.
* Ties and zeros, second order: not exact.
"""

from .._xp import H, conj, embed_diag, eps, namespace, raw, real
from ..tape.core import Op


def _inverse(a, zero):
    """1/a, and 0 where ``zero``."""
    xp = namespace(a)
    return xp.where(zero, 0.0, 1.0 / xp.where(zero, 1.0, a))


def _inverses(u, s, vh):
    """K-, K+, and s^-1 as a row."""
    below = namespace(raw(s))  # what counts as zero is a constant
    row, column = s[..., None, :], s[..., :, None]
    small = raw(s)[..., :1, None] * (eps(s) * max(u.shape[-2], vh.shape[-1]))
    minus, plus = row - column, row + column
    return (
        _inverse(minus, below.abs(raw(minus)) <= small),
        _inverse(plus, raw(plus) <= small),
        _inverse(row, raw(row) <= small),
    )


def _forward(x):
    u, s, vh = namespace(x).linalg.svd(x, full_matrices=False)
    return (u, s, vh), (u, s, vh)


def _variation(saved, dx):
    u, s, vh = saved
    minus, plus, sinv = _inverses(u, s, vh)
    uh_dx, dx_v = H(u) @ dx, dx @ H(vh)
    p = uh_dx @ H(vh)
    even, odd = 0.5 * minus * (p + H(p)), 0.5 * plus * (p - H(p))
    du, dvh = u @ (even + odd), H(even - odd) @ vh
    if u.shape[-2] > u.shape[-1]:
        du = du + (dx_v - u @ p) * sinv
    if vh.shape[-1] > vh.shape[-2]:
        dvh = dvh + namespace(s).matrix_transpose(sinv) * (uh_dx - p @ vh)
    return du, real(namespace(p).linalg.diagonal(p)), dvh


def _adjoint(saved, ubar, sbar, vhbar):
    u, s, vh = saved
    if ubar is None and vhbar is None:
        return (u * sbar[..., None, :]) @ vh
    minus, plus, sinv = _inverses(u, s, vh)
    core, outside_u, outside_v = 0.0 if sbar is None else embed_diag(sbar), None, None
    if ubar is not None:
        m = H(u) @ ubar
        core = core + 0.5 * (minus + plus) * (m - H(m))
        if u.shape[-2] > u.shape[-1]:
            outside_u = ((ubar - u @ m) * sinv) @ vh
    if vhbar is not None:
        nh = vhbar @ H(vh)
        core = core + 0.5 * (minus - plus) * (H(nh) - nh)
        if vh.shape[-1] > vh.shape[-2]:
            outside_v = (u * sinv) @ (vhbar - nh @ vh)
    xbar = u @ core @ vh
    xbar = xbar if outside_u is None else xbar + outside_u
    return xbar if outside_v is None else xbar + outside_v


svd = Op("svd", _forward, _variation, _adjoint)


# singular values alone: the same rules without dU, dV and their cotangents


def _values_forward(x):
    u, s, vh = namespace(x).linalg.svd(x, full_matrices=False)
    return s, (u, vh)


def _values_variation(saved, dx):
    u, vh = saved
    return real(namespace(u, dx).sum(conj(u) * (dx @ H(vh)), axis=-2))


def _values_adjoint(saved, sbar):
    u, vh = saved
    return (u * sbar[..., None, :]) @ vh


svdvals = Op("svdvals", _values_forward, _values_variation, _values_adjoint)
