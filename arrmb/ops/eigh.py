"""Eigenvalues and eigenvectors of a Hermitian matrix, X = V diag(w) V^H, w ascending.

The function is one of the Hermitian part of X, E = (dX)_sym. With P = V^H E V and K_ij = 1/(w_j - w_i), 0 where i = j:

    E V + X dV = dV diag(w) + V diag(dw)  =>  dw = Re diag(P),   dV = V (K ∘ P)
    <wbar, dw> + <Vbar, dV> = <diag(wbar) + K ∘ (V^H Vbar), V^H E V>
    Xbar = (V (diag(wbar) + K ∘ (V^H Vbar)) V^H)_sym

K_ij is 0 as well where |w_i - w_j| <= n eps max|w|, a tie (per matrix).

Source: Ionescu, Vantzos, Sminchisescu, "Training deep networks with structured layers by matrix backpropagation"
(arXiv:1509.07838), section 5; Giles (2008), 3.1.
Domain: real or complex, batched; complex losses must not depend on the phases of the eigenvectors, which are free.

* Distinct eigenvalues: smooth, exact at any order.
* Ties, first order: exact for a loss that depends on each tied group through the projector on its eigenspace and
  through symmetric functions of its eigenvalues (then wbar is constant over the group, and V^H Vbar is Hermitian on its
  block). For any other loss it is not, even where the loss is differentiable: the gradient of <G, V diag(w) V^H> is G,
  but at a tie the entries of G off the diagonal of the tied block do not appear in (wbar, Vbar) at one basis V, so no
  rule of eigh can return them. Functions of the matrix belong to the spectral functions (`spectral`, `logmh`, `powmh`,
  ...), which are exact at ties to second order; subspaces to `top_projector`.
* Near ties, first order: as at ties, with a relative error of about eps max|w| / gap.
* Ties, second order: not exact.
"""

from .._xp import H, conj, embed_diag, eps, namespace, raw, real, sym
from ..tape.core import Op


def _inverse_gaps(w):
    """K_ij = 1/(w_j - w_i), 0 on the diagonal and at ties."""
    xp = namespace(w)
    gap = w[..., None, :] - w[..., :, None]
    if w.shape[-1] == 0:
        return gap
    below = namespace(raw(w))  # which pairs are tied is a constant
    largest = below.max(below.abs(raw(w)), axis=-1)
    tied = below.abs(raw(gap)) <= (w.shape[-1] * eps(w) * largest)[..., None, None]
    return xp.where(tied, 0.0, 1.0 / xp.where(tied, 1.0, gap))


def _forward(x):
    w, v = namespace(x).linalg.eigh(sym(x))
    return (w, v), (w, v)


def _variation(saved, dx):
    w, v = saved
    p = H(v) @ sym(dx) @ v
    return real(namespace(p).linalg.diagonal(p)), v @ (_inverse_gaps(w) * p)


def _adjoint(saved, wbar, vbar):
    w, v = saved
    if vbar is None:
        return sym((v * wbar[..., None, :]) @ H(v))
    core = _inverse_gaps(w) * (H(v) @ vbar)
    if wbar is not None:
        core = core + embed_diag(wbar)
    return sym(v @ core @ H(v))


eigh = Op("eigh", _forward, _variation, _adjoint)


# eigenvalues alone: the same rules without dV and Vbar


def _values_forward(x):
    w, v = namespace(x).linalg.eigh(sym(x))
    return w, (v,)


def _values_variation(saved, dx):
    (v,) = saved
    return real(namespace(v, dx).sum(conj(v) * (sym(dx) @ v), axis=-2))


def _values_adjoint(saved, wbar):
    (v,) = saved
    return sym((v * wbar[..., None, :]) @ H(v))


eigvalsh = Op("eigvalsh", _values_forward, _values_variation, _values_adjoint)
