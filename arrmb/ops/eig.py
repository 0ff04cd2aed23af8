"""Eigenvalues and eigenvectors of a square matrix, X V = V diag(w), columns of V of unit norm. Complex results.

With P = V^-1 dX V and K_ij = 1/(w_j - w_i), 0 on the diagonal and at ties,

    dX V + X dV = dV diag(w) + V diag(dw)  =>  dw = diag(P),   dV = C - V diag(d),   C = V (K ∘ P)

where d_j = v_j^H c_j makes v_j^H dv_j = 0: the real part keeps the norm, the imaginary part is the free phase, of which
no change is made. With t_j = v_j^H vbar_j:

    <Vbar, C - V diag(d)> = <Vbar - V diag(t), C>        Y = V^H (Vbar - V diag(t))
    Xbar = V^-H (diag(wbar) + conj(K) ∘ Y) V^H           its real part for real X

Rows of V^-1 are the left eigenvectors y_j, scaled to y_j^H v_j = 1.

Source: Magnus, "On differentiating eigenvalues and eigenvectors", Econometric Theory 1 (1985), theorem 2; Boeddeker,
Hanebrink, Drude, Heymann, Haeb-Umbach, "On the computation of complex-valued gradients with application to
statistically optimum beamforming" (arXiv:1701.00392), for unit vectors.
Domain: real or complex, batched. Losses must not depend on the phases of the eigenvectors.

* Distinct eigenvalues: smooth, exact at any order. Digits are lost as c_j = |y_j| |v_j| / |y_j^H v_j|, the condition
  number of an eigenvalue, which is infinite where eigenvectors coincide: a defective matrix, where w and V have no
  derivative.
* Ties of a diagonalisable matrix, first order: exact for symmetric functions of the tied eigenvalues, and for losses
  with Y zero on the group's block. A tie is |w_i - w_j| <= n eps max|w| max(c_i, c_j), what rounding can split.
* Ties, second order: raises (NaN where values cannot be looked at).

A matrix of eigenvectors that is singular to rounding (n eps) raises where a derivative is taken and values are free to
look at; with gauge="raise", already at 2 sqrt(n eps), which is where rounding hides a Jordan block of size two (at 0.7
to 5 sqrt(n eps), measured, n up to 30), and half of the digits are lost. So do, with gauge="raise", the losses,
directions and second derivatives that `gauge.py` tells of, the loss of a tied group if any part of its Y is not zero.
"""

from .._lapack import eig as _backend_eig
from .._threads import over_batch
from .._xp import H, conj, embed_diag, eps, is_traced, known, namespace, on_host, raw
from ..tape.core import Op
from . import gauge as _gauge
from .eigh import check_variation, guarded
from .gaps import reciprocal
from .inverse import solve


def _forward(x, *, gauge="drop"):
    if is_traced(x):
        w, v = eig(x, gauge=gauge)
    else:
        w, v = _backend_eig(x)
        if gauge == "raise":
            v = _gauge.generic(w, v)
            v = v / namespace(v).linalg.vector_norm(v, axis=-2, keepdims=True)
    return (w, v), (w, v, gauge)


def _products(v, c):
    """v_j^H c_j as a row."""
    return namespace(v, c).sum(conj(v) * c, axis=-2, keepdims=True)


def _tied(op, w, v, gauge):
    """Pairs that rounding can split. Raises for a defective matrix, where it may look."""
    w, v = raw(w), raw(v)
    xp = namespace(w)
    if 0 in v.shape:
        return _gauge.tied(w)
    if gauge == "raise" or on_host(v):
        _check_defective(op, v, gauge)
    c = xp.linalg.vector_norm(xp.linalg.inv(v), axis=-1)
    spread = xp.maximum(c[..., None, :], c[..., :, None])
    return xp.abs(w[..., None, :] - w[..., :, None]) <= _gauge.rounding(w)[..., None] * spread


def _check_defective(op, v, gauge):
    xp = namespace(v)
    s, rounding = xp.linalg.svdvals(v), v.shape[-1] * eps(v)
    ratio = float(known(xp.min(s[..., -1] / s[..., 0]), 'gauge="raise"'))
    if ratio <= (2.0 * rounding**0.5 if gauge == "raise" else rounding):
        raise ValueError(
            f"{op}: x is defective to rounding: its eigenvectors are linearly dependent (the condition number of their "
            f"matrix is {1.0 / ratio if ratio else float('inf'):.1e}), so its eigenvalues and eigenvectors have no "
            "derivative; write the loss without them, for instance with trace, det or matrix_power"
        )


def _inverse_gaps(w, pairs):
    return reciprocal(w[..., None, :] - w[..., :, None], pairs)


def _changes(v, dx):
    """P and dw."""
    p = solve(v, namespace(dx).astype(dx, v.dtype) @ v)
    return p, namespace(p).linalg.diagonal(p)


def _variation(saved, dx):
    w, v, gauge = saved
    pairs = _tied("eig", w, v, gauge)
    p, dw = _changes(v, dx)
    if gauge == "raise":
        check_variation("eig", w, p, p, dw, pairs)
    c = v @ (_inverse_gaps(w, pairs) * p)
    return guarded("eig", w, gauge, dw, c - v * _products(v, c), pairs=pairs)


def _adjoint(saved, wbar, vbar):
    w, v, gauge = saved
    pairs = _tied("eig", w, v, gauge)
    if gauge == "raise":
        _gauge.check("eig", w, pairs, None, None, wbar)
    core = None if wbar is None else embed_diag(wbar)
    if vbar is not None:
        t = _products(v, vbar)
        y = H(v) @ (vbar - v * t)
        if gauge == "raise":
            phase = namespace(raw(t)).imag(raw(t))[..., 0, :]
            _gauge.check_vectors("eig", w, pairs, abs(raw(y)) + embed_diag(abs(phase)), vbar)
        y = conj(_inverse_gaps(w, pairs)) * y
        core = y if core is None else core + y
    return guarded("eig", w, gauge, solve(H(v), core @ H(v)), pairs=pairs)


eig = Op("eig", *over_batch(_forward, _variation, _adjoint, cost=40.0))


# eigenvalues alone: the same rules without dV and Vbar


def _values_forward(x, *, gauge="drop"):
    w, v = eig(x, gauge=gauge) if is_traced(x) else _backend_eig(x)
    return w, (w, v, gauge)


def _values_variation(saved, dx):
    w, v, gauge = saved
    pairs = _tied("eigvals", w, v, gauge)
    p, dw = _changes(v, dx)
    if gauge == "raise":
        _gauge.check_direction("eigvals", w, pairs, p, p)
    return guarded("eigvals", w, gauge, dw, pairs=pairs)


def _values_adjoint(saved, wbar):
    w, v, gauge = saved
    pairs = _tied("eigvals", w, v, gauge)
    if gauge == "raise":
        _gauge.check("eigvals", w, pairs, None, None, wbar)
    return guarded("eigvals", w, gauge, solve(H(v), H(v) * wbar[..., :, None]), pairs=pairs)


eigvals = Op("eigvals", *over_batch(_values_forward, _values_variation, _values_adjoint, cost=40.0))
