"""The k largest singular triplets, X V = U diag(s) and X^H U = V diag(s) with U (m, k), V (n, k), s_k > s_{k+1}.

First order: the rules of `svd` with no cotangent on the rest. Divided by are s_j - s_i and s_j + s_i where j is among
the k, never a gap between two of the rest.

Second order: the same derivative, with the rest behind a linear solve. With A = [[0, X], [X^H, 0]], W = [U; V]/√2,
W^H W = I, A W = W diag(s), and for each j

    N_j = s_j I - A + W diag(s) W^H       positive definite: s_j on W; on its complement s_j minus an eigenvalue of A,
                                          which are s_i of the rest, zeros, and all -s_i
    B = dA W,  C = W^H B                  ds = Re diag(C),  K-_ij = 1/(s_j - s_i) among the k (0 where i = j, at ties)
    dw_j = W (K- ∘ C)_j + N_j^-1 (I - W W^H) b_j

    with Wbar = √2 [Ubar; Vbar]:  Bbar_j = (W (K- ∘ W^H Wbar + diag(sbar)))_j + (I - W W^H) N_j^-1 (I - W W^H) wbar_j
    Xbar = (Bbar_U V^H + U Bbar_V^H)/√2

The rule is smooth in X, U, s and V, so it is differentiated as it stands. The component of dw_j along [u_j; -v_j] is
i Im(u_j^H dX v_j)/(2 s_j), the gauge of `svd`.

Source: Magnus, "On differentiating eigenvalues and eigenvectors", Econometric Theory 1 (1985), theorem 1, for A, with
the group's shift in place of the pseudo-inverse.
Domain: k from 0 to min(m, n); real or complex, batched; s_k > s_{k+1}, where s_{min(m, n) + 1} = 0: otherwise the
triplets are not defined, which raises where values can be looked at. Losses as for `svd`. Exact at any order whatever
ties and zeros the rest has, where the k are distinct; at ties among the k as `svd`: first order, for a loss that does
not see the choice of basis. The second order costs k solves of size m + n.
"""

from .._lapack import svd as _backend_svd
from .._threads import over_batch
from .._xp import H, embed_diag, eye_like, is_traced, namespace, on_host, real, sym
from ..tape.core import Op
from . import gauge as _gauge
from . import svd as _svd
from .dilation import dilation

_ROOT_HALF = 0.5**0.5


def _cut(u, s, vh, k):
    return u[..., :, :k], s[..., :k], vh[..., :k, :]


def _check_gap(s, k, m, n):
    if k == 0 or 0 in s.shape or not on_host(s):
        return
    xp = namespace(s)
    rest = s[..., k] if k < min(m, n) else 0.0 * s[..., 0]
    # A zero in the last place of a square matrix counts too: (u, v) belongs to s and (u, -v) to -s, a tie of A.
    bad = s[..., k - 1] - rest <= _gauge.rounding(s, max(m, n))[..., 0]
    if bool(xp.any(bad)):
        raise ValueError(
            f"svd_top: k={k} splits a group of equal singular values, or takes in a zero one (number {k} and {k + 1} "
            "from the top): the triplets are not defined; choose k at a gap of the spectrum"
        )


def _forward(x, *, k, gauge="drop"):
    u, s, vh = _backend_svd(x)
    _check_gap(s, k, *x.shape[-2:])
    if gauge == "raise":
        u, vh = _svd.generic(u, s, vh)
    return _cut(u, s, vh, k), (u, s, vh, gauge, k)


def _check_direction(u, s, vh, dx):
    pairs = _gauge.tied(s, _svd._size(u, vh))
    _gauge.check_direction("svd_top", s, pairs, sym(H(u) @ dx @ H(vh)), dx, what="singular ")


def _variation(saved, dx):
    u, s, vh, gauge, k = saved
    if gauge == "raise":
        _check_direction(*_cut(u, s, vh, k), dx)
    return _cut(*_svd._variation((u, s, vh, "drop"), dx), k)


def _adjoint(saved, *bars):
    u, s, vh, gauge, k = saved
    ubar, sbar, vhbar = bars
    xp = namespace(u, *[b for b in bars if b is not None])
    if ubar is not None:
        ubar = xp.concat([ubar, xp.zeros_like(u[..., :, k:])], axis=-1)
    if sbar is not None:
        sbar = xp.concat([sbar, xp.zeros_like(s[..., k:])], axis=-1)
    if vhbar is not None:
        vhbar = xp.concat([vhbar, xp.zeros_like(vh[..., k:, :])], axis=-2)
    if gauge == "raise":
        _svd._check_loss("svd_top", u, s, vh, ubar, sbar, vhbar)
    return _svd._adjoint((u, s, vh, "drop"), ubar, sbar, vhbar)


# The same triplets with rules that may be differentiated.


def _smooth_forward(x, *, k, gauge="drop"):
    y = _smooth(x, k=k, gauge=gauge) if is_traced(x) else svd_top(x, k=k, gauge=gauge)
    return y, (x, *y, gauge)


def _setting(x, u, s, vh):
    """W, K-, and the map b -> (N_j^-1 (I - W W^H) b_j)_j."""
    xp = namespace(x, u)
    w = _ROOT_HALF * xp.concat([u, H(vh)], axis=-2)
    gap = s[..., None, :] - s[..., :, None]
    minus = _svd._inverse(gap, _gauge.tied(s, _svd._size(u, vh)))
    a = dilation(x)
    n = s[..., :, None, None] * eye_like(a) + ((w * s[..., None, :]) @ H(w) - a)[..., None, :, :]

    def solve(b):
        b = b - w @ (H(w) @ b)
        z = xp.linalg.solve(n, xp.matrix_transpose(b)[..., None])
        z = xp.matrix_transpose(z[..., 0])
        return z - w @ (H(w) @ z)  # what rounding leaves along W

    return w, minus, solve


def _smooth_variation(saved, dx):
    x, u, s, vh, gauge = saved
    if gauge == "raise":
        _check_direction(u, s, vh, dx)
    xp, m = namespace(x, dx), u.shape[-2]
    w, minus, solve = _setting(x, u, s, vh)
    b = _ROOT_HALF * xp.concat([dx @ H(vh), H(dx) @ u], axis=-2)
    c = H(w) @ b
    dw = (w @ (minus * c) + solve(b)) / _ROOT_HALF
    du, ds, dvh = dw[..., :m, :], real(namespace(c).linalg.diagonal(c)), H(dw[..., m:, :])
    return _svd.guarded("svd_top", u, s, vh, gauge, du, ds, dvh)


def _smooth_adjoint(saved, ubar, sbar, vhbar):
    x, u, s, vh, gauge = saved
    m = u.shape[-2]
    if gauge == "raise":
        _svd._check_loss("svd_top", u, s, vh, ubar, sbar, vhbar)
    if ubar is None and vhbar is None:
        return _svd.guarded("svd_top", u, s, vh, gauge, (u * sbar[..., None, :]) @ vh)
    xp = namespace(x, *[b for b in (ubar, vhbar) if b is not None])
    w, minus, solve = _setting(x, u, s, vh)
    ubar = xp.zeros_like(u) if ubar is None else ubar
    vbar = xp.zeros_like(H(vh)) if vhbar is None else H(vhbar)
    wbar = xp.concat([ubar, vbar], axis=-2) / _ROOT_HALF
    core = minus * (H(w) @ wbar)
    core = core if sbar is None else core + embed_diag(sbar)
    bbar = _ROOT_HALF * (w @ core + solve(wbar))
    return _svd.guarded("svd_top", u, s, vh, gauge, bbar[..., :m, :] @ vh + u @ H(bbar[..., m:, :]))


_smooth = Op("svd_top", *over_batch(_smooth_forward, _smooth_variation, _smooth_adjoint, cost=20.0))

svd_top = Op("svd_top", *over_batch(_forward, _variation, _adjoint, cost=20.0), composite=_smooth)
