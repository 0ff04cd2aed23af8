"""Generalised Hermitian eigenvalue problem, A V = B V diag(w), V^H B V = I, B positive definite, w ascending.

With P = V^H dA V, R = V^H dB V (Hermitian parts of dA and dB), dV = V Ω, W = diag(w):

    V^H (A V = B V W)  =>  P + W Ω = R W + Ω W + diag(dw)      V^H B V = I  =>  Ω + Ω^H = -R

Off the diagonal Ω_ij = (P_ij - w_j R_ij)/(w_j - w_i), and on it Re Ω_ii = -R_ii/2. Written for all pairs at once, with
M_ij = (w_i + w_j)/2, Q = P - M ∘ R, and K_ij = 1/(w_j - w_i), 0 on the diagonal and at ties:

    dw = Re diag(Q)        dV = V (K ∘ Q - ½ R)

in which -½ R keeps V^H B V = I at ties too. With N = V^H Vbar and S = diag(wbar) + K ∘ N:

    Abar = (V S V^H)_sym        Bbar = -(V (M ∘ S + ½ N) V^H)_sym

Forward: B = L L^H, L^-1 A L^-H = U diag(w) U^H, V = L^-H U.

Source: Anderson et al., "LAPACK Users' Guide" (3rd ed., 1999), 2.3.5.1, for the reduction; de Leeuw, "Derivatives of
generalized eigen systems with applications" (UCLA Statistics, 2007), for real symmetric pairs.
Domain: real or complex, batched with broadcasting, both of one dtype; B positive definite: its condition number
multiplies the rounding of w and V. Distinct eigenvalues: smooth, exact at any order. Ties, phases and gauge="raise" as
for `eigh` (`eigh.py`); for functions of B^-1 A at ties, reduce by Cholesky and use the spectral functions.
"""

from .._threads import over_batch
from .._xp import H, embed_diag, is_traced, namespace, raw, real, sym
from ..tape.core import Op
from . import gauge as _gauge
from .eigh import check_adjoint, check_variation, guarded
from .gaps import exact
from .inverse import solve


def _forward(a, b, *, gauge="drop"):
    if is_traced(a) or is_traced(b):
        w, v = generalized_eigh(a, b, gauge=gauge)
        return (w, v), (w, v, gauge)
    xp = namespace(a, b)
    lower = xp.linalg.cholesky(sym(b))
    reduced = solve(lower, H(solve(lower, sym(a))))  # A L^-H is the conjugate transpose of L^-1 A
    w, u = xp.linalg.eigh(sym(reduced))
    if gauge == "raise":
        u = _gauge.generic(w, u)
    v = solve(H(lower), u)
    return (w, v), (w, v, gauge)


def _means(w):
    """M, the mean of each pair."""
    return 0.5 * (w[..., None, :] + w[..., :, None])


def _variation(saved, da, db):
    w, v, gauge = saved
    q = None if da is None else H(v) @ sym(da) @ v
    if db is not None:
        r = H(v) @ sym(db) @ v
        q = -(_means(w) * r) if q is None else q - _means(w) * r
    dw = real(namespace(q).linalg.diagonal(q))
    if gauge == "raise":
        check_variation("generalized_eigh", w, q, q, dw)
    core = exact(w) * q
    return guarded("generalized_eigh", w, gauge, dw, v @ (core if db is None else core - 0.5 * r))


def _adjoint(saved, wbar, vbar):
    w, v, gauge = saved
    n = None if vbar is None else H(v) @ vbar
    if gauge == "raise":
        check_adjoint("generalized_eigh", w, n, _scale(v, vbar), wbar)
    s = None if wbar is None else embed_diag(wbar)
    if n is not None:
        s = exact(w) * n if s is None else exact(w) * n + s
    t = _means(w) * s
    bbar = -_sandwich(v, t if n is None else t + 0.5 * n)
    return guarded("generalized_eigh", w, gauge, _sandwich(v, s), bbar)


def _scale(v, vbar):
    """Of V^H Vbar, where V is not of size one."""
    if vbar is None or 0 in v.shape:
        return vbar
    return abs(raw(vbar)) * namespace(raw(v)).max(abs(raw(v)))


def _sandwich(v, s):
    s = namespace(s).astype(s, v.dtype)
    return sym(v @ s @ H(v))


generalized_eigh = Op("generalized_eigh", *over_batch(_forward, _variation, _adjoint, cost=15.0))
