"""The k largest eigenvalues and their eigenvectors of a Hermitian matrix, X V = V diag(w), w ascending.

Only gaps between two of the k, and between one of them and the rest, enter: ties among the rest do not matter. With all
eigenvectors (V, R) and eigenvalues (w, u), E = (dX)_sym, K_ij = 1/(w_j - w_i) (0 where i = j and at ties), L_ij =
1/(w_j - u_i):

    dw = Re diag(V^H E V)          dV = V (K ∘ (V^H E V)) + R (L ∘ (R^H E V))
    Xbar = [(V (diag(wbar) + K ∘ (V^H Vbar)) + R (L ∘ (R^H Vbar))) V^H]_sym

Second and higher orders must not differentiate R, which jumps at ties of u. The rules are smooth in X, w and V: with
Π = I - V V^H, column j of the second term solves a linear system,

    M_j z_j = Π b_j,    M_j = w_j Π - Π X Π + σ V V^H,    B = E V, or Vbar

whose matrix has the eigenvalues w_j - u_i on the range of Π and σ = max|X_ij| elsewhere. These are the rules of
`_pairs`, with which the op is written where a derivative of its rules is wanted.

Source: Magnus, "On differentiating eigenvalues and eigenvectors", Econometric Theory 1 (1985), theorem 1, with the
reduced resolvent; as in `eigh.py`.
Domain: real or complex, batched. A gap below the k (else no derivative: raises where values are free to look at, as
`top_projector` does). Exact to any order where the k largest are distinct, whatever ties the rest have; ties and phases
within the k are as in `eigh.py`. First order costs one eigendecomposition; the second, k linear systems of size n per
matrix, with memory k n².
"""

from .._lapack import eigh as _backend_eigh
from .._threads import over_batch
from .._xp import H, embed_diag, eye_like, known, namespace, on_host, raw, real, sym
from ..tape.core import Op
from . import gauge as _gauge
from .eigh import check_adjoint, check_variation, guarded
from .gaps import exact, reciprocal


def _forward(x, *, k, gauge="drop"):
    xp = namespace(x)
    w, v = _backend_eigh(sym(x))
    rest = w.shape[-1] - k
    _check_split(w, k, gauge)
    pairs = _gauge.tied(w)[..., rest:, rest:]  # to the rounding of the whole matrix
    if gauge == "raise":
        v = xp.concat([v[..., :rest], _gauge.generic(w[..., rest:], v[..., rest:], pairs)], axis=-1)
    return (w[..., rest:], v[..., rest:]), (w, v, pairs, k, gauge)


def _check_split(w, k, gauge):
    n = w.shape[-1]
    if 0 < k < n and (on_host(w) or gauge == "raise"):
        xp = namespace(w)
        if bool(known(xp.any(w[..., n - k] - w[..., n - k - 1] <= _gauge.rounding(w)[..., 0]), 'gauge="raise"')):
            raise ValueError(
                f"eigh_top: k={k} splits a group of equal eigenvalues (number {k} and {k + 1} from the top): their "
                "eigenvectors are not defined; choose k at a gap of the spectrum"
            )


def _split(w, v, k):
    """w, V, R and L."""
    rest = w.shape[-1] - k
    u, w = w[..., :rest], w[..., rest:]
    gap = w[..., None, :] - u[..., :, None]
    return w, v[..., rest:], v[..., :rest], reciprocal(gap, gap == 0.0)


def _variation(saved, dx):
    w, v, pairs, k, gauge = saved
    w, v, r, across = _split(w, v, k)
    ev = sym(dx) @ v
    return _tangents(w, v, pairs, ev, r @ (across * (H(r) @ ev)), gauge)


def _adjoint(saved, wbar, vbar):
    w, v, pairs, k, gauge = saved
    w, v, r, across = _split(w, v, k)
    return _cotangent(w, v, pairs, wbar, vbar, None if vbar is None else r @ (across * (H(r) @ vbar)), gauge)


def _tangents(w, v, pairs, ev, outside, gauge):
    p = H(v) @ ev
    dw = real(namespace(p).linalg.diagonal(p))
    if gauge == "raise":
        check_variation("eigh_top", w, p, ev, dw, pairs)
    return guarded("eigh_top", w, gauge, dw, v @ (exact(w, pairs) * p) + outside, pairs=pairs)


def _cotangent(w, v, pairs, wbar, vbar, outside, gauge):
    m = None if vbar is None else H(v) @ vbar
    if gauge == "raise":
        check_adjoint("eigh_top", w, m, vbar, wbar, pairs)
    if m is None:
        return guarded("eigh_top", w, gauge, sym((v * wbar[..., None, :]) @ H(v)), pairs=pairs)
    core = exact(w, pairs) * m
    if wbar is not None:
        core = core + embed_diag(wbar)
    return guarded("eigh_top", w, gauge, sym((v @ core + outside) @ H(v)), pairs=pairs)


# Second and higher orders: the same with R replaced by linear systems.


def _pairs_forward(x, *, k, gauge):
    w, v = eigh_top(x, k=k, gauge=gauge)
    below = sym(raw(x))
    rest = below.shape[-1] - k
    pairs = _gauge.tied(namespace(below).linalg.eigvalsh(below))[..., rest:, rest:]
    return (w, v), (sym(x), w, v, pairs, gauge)


def _outside(x, w, v, b):
    """Columns M_j^-1 Π b_j."""
    xp = namespace(x, w, v, b)
    sigma = namespace(raw(x)).max(abs(raw(x)), axis=(-2, -1), keepdims=True)
    off = eye_like(x) - v @ H(v)
    shifted = w[..., :, None, None] * off[..., None, :, :]
    m = shifted - (off @ x @ off - xp.where(sigma == 0.0, 1.0, sigma) * (v @ H(v)))[..., None, :, :]
    z = xp.linalg.solve(m, xp.matrix_transpose(off @ b)[..., None])
    return xp.matrix_transpose(z[..., 0])


def _pairs_variation(saved, dx):
    x, w, v, pairs, gauge = saved
    ev = sym(dx) @ v
    return _tangents(w, v, raw(pairs), ev, _outside(x, w, v, ev), gauge)


def _pairs_adjoint(saved, wbar, vbar):
    x, w, v, pairs, gauge = saved
    return _cotangent(w, v, raw(pairs), wbar, vbar, None if vbar is None else _outside(x, w, v, vbar), gauge)


_pairs = Op("eigh_top", *over_batch(_pairs_forward, _pairs_variation, _pairs_adjoint, cost=10.0))


def _composite(x, *, k, gauge="drop"):
    return _pairs(x, k=k, gauge=gauge)


eigh_top = Op("eigh_top", *over_batch(_forward, _variation, _adjoint, cost=10.0), _composite)
