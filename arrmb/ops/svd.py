"""Singular value decomposition, X = U diag(s) V^H, X (m, n) of any shape, s descending; thin, or with square U and V.

With P = U^H dX V, K-_ij = 1/(s_j - s_i) (0 where i = j and at ties), K+_ij = 1/(s_j + s_i) (0 where both are zero),
and s^-1 (0 where s is zero):

    Ωu = ½ (K- ∘ (P + P^H) + K+ ∘ (P - P^H))          ds = Re diag(P)
    Ωv = ½ (K- ∘ (P + P^H) - K+ ∘ (P - P^H))
    dU = U Ωu + (I - U U^H) dX V s^-1                 dV = V Ωv + (I - V V^H) dX^H U s^-1

    M = U^H Ubar,  N = V^H Vbar,  Em = M - M^H,  En = N - N^H
    C = diag(sbar) + ½ (K- ∘ (Em + En) + K+ ∘ (Em - En))
    Xbar = U C V^H + (I - U U^H) Ubar s^-1 V^H + U s^-1 Vbar^H (I - V V^H)

With ``full_matrices``, U2 completes U to a basis. It is free up to U2 -> U2 Q; in the gauge U2^H dU2 = 0,

    dU2 = -U dU^H U2 = -U s^-1 V^H dX^H U2            Xbar gains -U2 (U2bar^H U) s^-1 V^H

and V2 likewise. The part U2^H U2bar of the cotangent is left out: it is Hermitian for a loss of the projector U2 U2^H,
and only its skew part would multiply U2^H dU2.

No singular value is squared, so singular values of 1e-30 and 1e30 are fine in float32. The diagonal of K+ fixes the
free phase of each pair (u_i, v_i) so that Im P_ii is shared between them. A singular value is zero, and two are tied,
to within max(10, m, n) eps of the largest one of the same matrix.

Source: Ionescu, Vantzos, Sminchisescu (arXiv:1509.07838), section 5, with 1/(s_j² - s_i²) split into partial fractions;
Wan, Zhang, "Automatic differentiation for complex valued SVD" (arXiv:1909.02659).
Domain: real or complex, batched; complex losses must not depend on the phases of the pairs (u_i, v_i), which are free.

* Distinct, nonzero singular values: smooth, exact at any order.
* Ties, first order: exact for a loss that depends on a tied group through symmetric functions of its singular values
  and through the group's U V^H, U U^H and V V^H. For another loss it is not, even where the loss is differentiable, for
  the reason told in `arrmb.ops.eigh`: the gradient of <G, U diag(s) V^H> is G, but cannot be had from (Ubar, sbar,
  Vbar). Near ties likewise, with a relative error of about eps s_max / gap.
* Zero singular values, first order: exact for a loss that depends on their vectors through the projectors on the two
  null spaces, [U_0 U2] and [V_0 V2], if at all.
* U2, V2: exact for a loss that depends on them through U2 U2^H and V2 V2^H, to any order where the singular values are
  distinct and nonzero.
* Ties and zeros, second order: raises (NaN where values cannot be looked at). Exact are `svd_top`, `polar`,
  `singular_sum`, and functions of the matrix.

``gauge="raise"`` checks that a loss is of these kinds (see `gauge.py`): the skew part of U^H Ubar + V^H Vbar at tied
values, free phases of complex pairs included; that of [U_0 U2]^H [U_0 U2]bar, and of V, for zero values and the
complements.
"""

from .._lapack import svd as _backend_svd
from .._threads import over_batch
from .._xp import H, conj, device, embed_diag, is_traced, namespace, raw, real, sym
from ..tape.core import Op, has_derivative
from . import gauge as _gauge


def _inverse(a, zero):
    """1/a, and 0 where ``zero``."""
    xp = namespace(a)
    return xp.where(zero, 0.0, 1.0 / xp.where(zero, 1.0, a))


def _size(u, vh):
    return max(u.shape[-2], vh.shape[-1])


def _inverses(u, s, vh):
    """K-, K+, and s^-1 as a row."""
    below = namespace(raw(s))  # what counts as zero is a constant
    row, column = s[..., None, :], s[..., :, None]
    minus, plus = row - column, row + column
    if s.shape[-1] == 0:
        return minus, plus, row
    small = _gauge.rounding(s, _size(u, vh))[..., None]
    return (
        _inverse(minus, below.abs(raw(minus)) <= small),
        _inverse(plus, raw(plus) <= small),
        _inverse(row, raw(row) <= small),
    )


def _forward(x, *, full_matrices=False, gauge="drop"):
    if is_traced(x):
        u, s, vh = svd(x, full_matrices=full_matrices, gauge=gauge)
    else:
        u, s, vh = _backend_svd(x, full_matrices)
        if gauge == "raise":
            u, vh = generic(u, s, vh)
    return (u, s, vh), (u, s, vh, gauge)


def _variation(saved, dx):
    u, s, vh, gauge = saved
    k, xp = s.shape[-1], namespace(s, dx)
    u, u2, vh, v2h = u[..., :, :k], u[..., :, k:], vh[..., :k, :], vh[..., k:, :]
    minus, plus, sinv = _inverses(u, s, vh)
    uh_dx, dx_v = H(u) @ dx, dx @ H(vh)
    p = uh_dx @ H(vh)
    even, odd = 0.5 * minus * (p + H(p)), 0.5 * plus * (p - H(p))
    du, dvh = u @ (even + odd), H(even - odd) @ vh
    outside_u, outside_v = None, None
    if u.shape[-2] > k:
        outside_u = dx_v - u @ p
        du = du + outside_u * sinv
    if vh.shape[-1] > k:
        outside_v = uh_dx - p @ vh
        dvh = dvh + xp.matrix_transpose(sinv) * outside_v
    if gauge == "raise":
        _check_direction(u, s, vh, p, outside_u, outside_v, dx)
    if u2.shape[-1]:
        du = xp.concat([du, -((u * sinv) @ H(H(u2) @ dx_v))], axis=-1)
    if v2h.shape[-2]:
        dvh = xp.concat([dvh, -(H(uh_dx @ H(v2h)) @ (xp.matrix_transpose(sinv) * vh))], axis=-2)
    return guarded("svd", u, s, vh, gauge, du, real(namespace(p).linalg.diagonal(p)), dvh)


def _adjoint(saved, ubar, sbar, vhbar):
    u, s, vh, gauge = saved
    if gauge == "raise":
        _check_loss("svd", u, s, vh, ubar, sbar, vhbar)
    k = s.shape[-1]
    u, u2, vh, v2h = u[..., :, :k], u[..., :, k:], vh[..., :k, :], vh[..., k:, :]
    if ubar is None and vhbar is None:
        return guarded("svd", u, s, vh, gauge, (u * sbar[..., None, :]) @ vh)
    minus, plus, sinv = _inverses(u, s, vh)
    core, outside_u, outside_v = 0.0 if sbar is None else embed_diag(sbar), None, None
    if ubar is not None:
        ubar, u2bar = ubar[..., :, :k], ubar[..., :, k:]
        m = H(u) @ ubar
        core = core + 0.5 * (minus + plus) * (m - H(m))
        if u.shape[-2] > k:
            outside_u = ubar - u @ m
            outside_u = outside_u - u2 @ (H(u2bar) @ u) if u2.shape[-1] else outside_u
            outside_u = (outside_u * sinv) @ vh
    if vhbar is not None:
        vhbar, v2hbar = vhbar[..., :k, :], vhbar[..., k:, :]
        nh = vhbar @ H(vh)
        core = core + 0.5 * (minus - plus) * (H(nh) - nh)
        if vh.shape[-1] > k:
            outside_v = vhbar - nh @ vh
            outside_v = outside_v - (vh @ H(v2hbar)) @ v2h if v2h.shape[-2] else outside_v
            outside_v = (u * sinv) @ outside_v
    xbar = u @ core @ vh
    xbar = xbar if outside_u is None else xbar + outside_u
    xbar = xbar if outside_v is None else xbar + outside_v
    return guarded("svd", u, s, vh, gauge, xbar)


svd = Op("svd", *over_batch(_forward, _variation, _adjoint, cost=10.0))


def guarded(op, u, s, vh, gauge, *results):
    """The results of a rule, unless it is itself differentiated at a tie or a zero."""
    pairs = None
    if has_derivative(s):
        zero, tied = _zeros(raw(s), _size(u, vh))
        pairs = _gauge.off_diagonal(tied) | (zero[..., :, None] & zero[..., None, :])
    return _gauge.guard(op, s, pairs, gauge, *results, what="singular ")


def generic(u, s, vh):
    """U and V^H, each group of tied values turned as one, those of zeros and of complements each by itself."""
    k, size = s.shape[-1], _size(u, vh)
    if k == 0:
        return u, vh
    zero, tied = _zeros(s, size)
    xp = namespace(s)
    turned = []
    for vectors, shift in ((u, 0.0), (H(vh), 1.0)):
        extra = xp.zeros_like(s[..., :1]) + xp.zeros((vectors.shape[-1] - k,), dtype=s.dtype, device=device(s))
        values = xp.concat([s, extra], axis=-1)
        null = xp.concat([zero, xp.ones_like(extra) > 0.0], axis=-1)
        pairs = null[..., :, None] & null[..., None, :]
        both = _gauge.generic(s, vectors[..., :k], tied)
        vectors = xp.concat([both, vectors[..., k:]], axis=-1)
        turned.append(_gauge.generic(values, vectors, pairs, shift))
    return turned[0], H(turned[1])


# gauge="raise": does the loss, or the direction, see a choice that is free?


def _zeros(s, size):
    """Which singular values are zero, and the pairs of nonzero ones that are tied."""
    zero = s <= (_gauge.rounding(s, size) if s.shape[-1] else s)
    return zero, _gauge.tied(s, size) & ~(zero[..., :, None] | zero[..., None, :])


def _with_complement(s, zero, core, outside=None):
    """Values, pairs of zeros, and core, with one more place that stands for the vectors outside the thin factor."""
    xp = namespace(s)
    extra = core.shape[-1] - s.shape[-1]
    if outside is not None:
        extra = 1
        size = xp.linalg.vector_norm(outside, axis=-2)[..., None, :]
        core = xp.concat([core, xp.astype(2.0 * size, core.dtype)], axis=-2)  # 2: `check` takes the skew part
        core = xp.concat([core, xp.zeros((*core.shape[:-1], 1), dtype=core.dtype, device=device(core))], axis=-1)
    if extra:
        more = xp.zeros_like(core[..., 0, :extra])
        s = xp.concat([s, real(more)], axis=-1)
        zero = xp.concat([zero, real(more) == 0.0], axis=-1)
    return s, zero[..., :, None] & zero[..., None, :], core


def _check_loss(op, u, s, vh, ubar, sbar, vhbar):
    u, s, vh, ubar, sbar, vhbar = map(raw, (u, s, vh, ubar, sbar, vhbar))
    xp, k = namespace(s), s.shape[-1]
    zero, pairs = _zeros(s, _size(u, vh))
    core, scale = xp.zeros_like(s[..., None] * u[..., :k, :k]), 0.0 * _gauge.largest(s[..., None])
    for vectors, bar in ((u, ubar), (H(vh), None if vhbar is None else H(vhbar))):
        if bar is None or 0 in bar.shape:
            continue
        square = H(vectors) @ bar
        core = core + square[..., :k, :k]
        scale = xp.maximum(scale, _gauge.largest(bar))
        thin = vectors.shape[-2] > vectors.shape[-1]
        padded = _with_complement(s, zero, square, bar - vectors @ square if thin else None)
        _gauge.check(op, *padded, bar, what="singular ")
    _gauge.check(op, s, pairs, core, xp.maximum(scale, _gauge.largest(core)), bars=sbar, what="singular ")


def _check_direction(u, s, vh, p, outside_u, outside_v, dx):
    s, p, outside_u, outside_v = map(raw, (s, p, outside_u, outside_v))
    zero, pairs = _zeros(s, _size(u, vh))
    _gauge.check_direction("svd", s, pairs, sym(p), dx, what="singular ")
    for core, outside in ((p, outside_u), (p, None if outside_v is None else H(outside_v))):
        _gauge.check_direction("svd", *_with_complement(s, zero, core, outside), dx, what="singular ")


# singular values alone: the same rules without dU, dV and their cotangents


def _values_forward(x):
    u, s, vh = svd(x) if is_traced(x) else _backend_svd(x)
    return s, (u, s, vh)


def _values_variation(saved, dx):
    u, s, vh = saved
    return guarded("svdvals", u, s, vh, "drop", real(namespace(u, dx).sum(conj(u) * (dx @ H(vh)), axis=-2)))


def _values_adjoint(saved, sbar):
    u, s, vh = saved
    return guarded("svdvals", u, s, vh, "drop", (u * sbar[..., None, :]) @ vh)


svdvals = Op("svdvals", *over_batch(_values_forward, _values_variation, _values_adjoint, cost=10.0))
