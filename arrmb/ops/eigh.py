"""Eigenvalues and eigenvectors of a Hermitian matrix, X = V diag(w) V^H, w ascending.

The function is one of the Hermitian part of X, E = (dX)_sym. With P = V^H E V and K_ij = 1/(w_j - w_i), 0 where i = j:

    E V + X dV = dV diag(w) + V diag(dw)  =>  dw = Re diag(P),   dV = V (K ∘ P)
    <wbar, dw> + <Vbar, dV> = <diag(wbar) + K ∘ (V^H Vbar), V^H E V>
    Xbar = (V (diag(wbar) + K ∘ (V^H Vbar)) V^H)_sym

K_ij is 0 as well where |w_i - w_j| <= max(10, n) eps max|w|, a tie (per matrix). ``gaps`` puts one of the published
approximations in the place of K (`gaps.py`); what follows is about the exact one.

Source: Ionescu, Vantzos, Sminchisescu, "Training deep networks with structured layers by matrix backpropagation"
(arXiv:1509.07838), section 5; Giles (2008), 3.1.
Domain: real or complex, batched; complex losses must not depend on the phases of the eigenvectors, which are free.

* Distinct eigenvalues: smooth, exact at any order.
* Ties, first order: exact for a loss that depends on each tied group through the projector on its eigenspace and
  through symmetric functions of its eigenvalues (then wbar is constant over the group, and V^H Vbar is Hermitian on its
  block). For any other loss it is not, even where the loss is differentiable: the gradient of <G, V diag(w) V^H> is G,
  but at a tie the entries of G off the diagonal of the tied block do not appear in (wbar, Vbar) at one basis V, so no
  rule of eigh can return them. Functions of the matrix belong to the spectral functions (`spectral`, `logmh`, `powmh`,
  ...), which are exact at ties to second order; subspaces to `top_projector`, leading eigenvectors to `eigh_top`.
* Near ties, first order: as at ties, with a relative error of about eps max|w| / gap.
* Ties, second order: raises, for eigenvalues alone too (NaN where values cannot be looked at): for a symmetric loss f
  the entry of the Hessian within a tied block is f_ii - f_ij, second derivatives of f that a rule of one op cannot see.

With gauge="raise" all that is not exact at ties raises (`gauge.py`): in the adjoint a loss that is not of the kind
above or depends on a phase, in the variation a direction that splits a tie (V^H dX V is not a multiple of the identity
on its block: the eigenvectors of X + t dX then jump, or turn by an amount that dX alone does not determine; for
eigenvalues alone, it is not diagonal).
"""

from .._lapack import eigh as _backend_eigh
from .._threads import over_batch
from .._xp import H, conj, embed_diag, is_traced, namespace, raw, real, sym
from ..tape.core import Op, has_derivative
from . import gauge as _gauge
from .gaps import inverse_gaps


def _forward(x, *, gauge="drop", gaps="exact"):
    if is_traced(x):
        w, v = eigh(x, gauge=gauge, gaps=gaps)
    else:
        w, v = _backend_eigh(sym(x))
        if gauge == "raise":
            v = _gauge.generic(w, v)
    return (w, v), (w, v, gauge, gaps)


def _variation(saved, dx):
    w, v, gauge, gaps = saved
    dx = sym(dx)
    p = H(v) @ dx @ v
    dw = real(namespace(p).linalg.diagonal(p))
    if gauge == "raise":
        check_variation("eigh", w, p, dx, dw)
    return guarded("eigh", w, gauge, dw, v @ (inverse_gaps(w, gaps) * p))


def guarded(op, w, gauge, *results, pairs=None):
    """The results of a rule, unless it is itself differentiated at a tie."""
    pairs = _gauge.off_diagonal(_gauge.tied(w) if pairs is None else pairs) if has_derivative(w) else None
    return _gauge.guard(op, w, pairs, gauge, *results)


def check_variation(op, w, p, scale, dw, pairs=None):
    """Raise unless the blocks of ``p`` at ties are multiples of the identity."""
    pairs = _gauge.tied(w) if pairs is None else pairs
    p, dw = raw(p), raw(dw)
    abs = namespace(p).abs
    _gauge.check_direction(op, w, pairs, abs(p) + abs(dw[..., None, :] - dw[..., :, None]), scale)


def _adjoint(saved, wbar, vbar):
    w, v, gauge, gaps = saved
    m = None if vbar is None else H(v) @ vbar
    if gauge == "raise":
        check_adjoint("eigh", w, m, vbar, wbar)
    if m is None:
        return guarded("eigh", w, gauge, sym((v * wbar[..., None, :]) @ H(v)))
    core = inverse_gaps(w, gaps) * m
    if wbar is not None:
        core = core + embed_diag(wbar)
    return guarded("eigh", w, gauge, sym(v @ core @ H(v)))


def check_adjoint(op, w, core, vbar, wbar, pairs=None):
    """Raise if a loss depends on what is free."""
    pairs = _gauge.tied(w) if pairs is None else pairs
    _gauge.check(op, w, pairs, core, vbar, wbar)


eigh = Op("eigh", *over_batch(_forward, _variation, _adjoint, cost=10.0))


# eigenvalues alone: the same rules without dV and Vbar


def _values_forward(x, *, gauge="drop"):
    w, v = eigh(x, gauge=gauge) if is_traced(x) else _backend_eigh(sym(x))
    return w, (w, v, gauge)


def _values_variation(saved, dx):
    w, v, gauge = saved
    dx = sym(dx)
    if gauge == "raise":
        _gauge.check_direction("eigvalsh", w, _gauge.tied(w), H(v) @ dx @ v, dx)
    dw = real(namespace(v, dx).sum(conj(v) * (dx @ v), axis=-2))
    return guarded("eigvalsh", w, gauge, dw)


def _values_adjoint(saved, wbar):
    w, v, gauge = saved
    if gauge == "raise":
        check_adjoint("eigvalsh", w, None, None, wbar)
    return guarded("eigvalsh", w, gauge, sym((v * wbar[..., None, :]) @ H(v)))


eigvalsh = Op("eigvalsh", *over_batch(_values_forward, _values_variation, _values_adjoint, cost=10.0))
