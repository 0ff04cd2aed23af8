"""Determinant, and its sign and logarithm.

    det       y = det X                   dy = tr(adj(X) dX),   Xbar = ybar adj(X)^H
              With C = adj(X)^T, the cofactors: dy = Σ C ∘ dX,  Xbar = ybar conj(C).  For X = U S V^H:
                  C = φ conj(U) diag(p) V^T,  φ = det U det V^H,  p_i = Π_{k≠i} s_k
                  dC = φ conj(U) D V^T,  Ê = U^H dX V,  D_ij = -p_ij Ê_ji,  D_ii = Σ_j p_ij Ê_jj,  p_ij = Π_{k≠i,j} s_k
              p_ii being 0. The products of the other singular values are formed without a division, so X may be
              singular. dX -> dC is symmetric: Σ G ∘ dC(E) = Σ E ∘ dC(G). The third and higher orders are taken of
              C = y X^-T, which needs an inverse.

    slogdet   X = sign e^logabsdet, |sign| = 1.  With t = tr(X^-1 dX) = d log det X:
              dlogabsdet = Re t,   dsign = i Im(t) sign  (real X: dsign = 0)
              Xbar = (lbar + i Im(conj(sign) sbar)) X^-H

    logdeth   y = log det X, X Hermitian positive definite, from its Cholesky factor.
              dy = Re tr(X^-1 dX),   Xbar = ybar X^-1

Source: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), 2.2.4; the derivative at a
singular matrix is Jacobi's formula; Magnus and Neudecker, "Matrix Differential Calculus" (3rd ed., 2007), 8.3 and 8.4.
Domain: square, real or complex, batched. det: the first and the second order are exact everywhere, singular matrices of
any rank included; third and higher orders need an invertible X, and have a relative error of about eps cond(X)²: in
double precision 4e-10 at cond 1e4, 6e-6 at 1e6 (4 × 4, one small singular value). slogdet: invertible X, smooth, exact
at any order. logdeth: the Hermitian part of X is used; positive definite, smooth, exact at any order.
"""

from .._lapack import svd as _backend_svd
from .._xp import H, conj, device, diag_part, embed_diag, is_complex, is_traced, namespace, on_host, raw, real, sym
from ..tape.core import Op, unlift
from .cholesky import cholesky


def _before_after(s):
    """Products of s_k over k < i, and over k > i."""
    xp = namespace(s)
    before = xp.cumulative_prod(s, axis=-1, include_initial=True)[..., :-1]
    after = xp.flip(xp.cumulative_prod(xp.flip(s, axis=-1), axis=-1, include_initial=True)[..., :-1], axis=-1)
    return before, after


def _without_two(s):
    """p_ij of the docstring."""
    xp = namespace(s)
    before, after = _before_after(s)
    above = xp.triu(xp.ones(2 * s.shape[-1:], dtype=s.dtype, device=device(s)), k=1) > 0.0
    # row i: the products of s_k over i < k < j
    between = xp.cumulative_prod(xp.where(above, s[..., None, :], 1.0), axis=-1, include_initial=True)[..., :-1]
    p = xp.where(above, before[..., :, None] * between * after[..., None, :], 0.0)
    return p + xp.matrix_transpose(p)


def _decompose(x):
    """conj(U), s, V^T and φ."""
    xp = namespace(x)
    u, s, vh = _backend_svd(x)
    return conj(u), s, conj(vh), (xp.linalg.det(u) * xp.linalg.det(vh))[..., None, None]


# det


def _det_forward(x):
    return namespace(x).linalg.det(x), (x,)


def _det_variation(saved, dx):
    c = _cofactors(*saved)
    return namespace(c, dx).sum(c * dx, axis=(-2, -1))


def _det_adjoint(saved, ybar):
    return conj(_cofactors(*saved)) * ybar[..., None, None]


det = Op("det", _det_forward, _det_variation, _det_adjoint)


# C, the cofactors of X


def _cofactors_forward(x):
    if is_traced(x):
        return _cofactors(x), (x,)
    if 0 in x.shape:
        return x + 0.0, (x,)
    u, s, vt, phase = _decompose(x)
    before, after = _before_after(s)
    return phase * ((u * (before * after)[..., None, :]) @ vt), (x,)


def _cofactors_variation(saved, dx):
    x = unlift(saved[0])
    if not is_traced(x):
        return _change(x, dx)
    xp = namespace(x)
    try:
        inverse = xp.matrix_transpose(xp.linalg.inv(x))  # C = y X^-T
    except ValueError as error:
        raise ValueError("det: the third and higher derivatives need an invertible matrix") from error
    t = xp.sum(inverse * dx, axis=(-2, -1))[..., None, None]
    return (t * inverse - inverse @ xp.matrix_transpose(dx) @ inverse) * xp.linalg.det(x)[..., None, None]


def _cofactors_adjoint(saved, cbar):
    return conj(_cofactors_variation(saved, conj(cbar)))


_cofactors = Op("cofactors", _cofactors_forward, _cofactors_variation, _cofactors_adjoint)


# dC(E) at X, which is a constant here


def _change_forward(x, e):
    if is_traced(e):
        return _change(x, e), (x,)
    if 0 in x.shape:
        return e + 0.0, (x,)
    xp = namespace(x)
    u, s, vt, phase = _decompose(x)
    hat = xp.matrix_transpose(u) @ e @ xp.matrix_transpose(vt)
    p = xp.astype(_without_two(s), x.dtype)
    d = embed_diag((p @ diag_part(hat)[..., None])[..., 0]) - p * xp.matrix_transpose(hat)
    return phase * (u @ d @ vt), (x,)


def _change_variation(saved, dx, de):
    return _change(unlift(saved[0]), de)


def _change_adjoint(saved, cbar):
    return None, conj(_change(unlift(saved[0]), conj(cbar)))


_change = Op("cofactors2", _change_forward, _change_variation, _change_adjoint)


# slogdet


def _slogdet_forward(x):
    sign, logabsdet = namespace(x).linalg.slogdet(x)
    return (sign, logabsdet), (x, sign)


def _i_imag(z):
    return namespace(z).astype(0.5 * (z - conj(z)), z.dtype)  # NumPy 1 widens scalars


def _must_be_invertible(sign):
    sign = raw(sign)
    if on_host(sign) and bool(namespace(sign).any(sign == 0.0)):
        raise ValueError(
            "slogdet: x is singular: log|det| is -inf there and has no derivative; use det, or add a multiple of the "
            "identity"
        )


def _slogdet_variation(saved, dx):
    x, sign = saved
    _must_be_invertible(sign)
    xp = namespace(x, dx)
    t = xp.sum(diag_part(xp.linalg.solve(x, dx)), axis=-1)
    return _i_imag(t) * sign if is_complex(x) else xp.zeros_like(sign), real(t)


def _slogdet_adjoint(saved, sbar, lbar):
    x, sign = saved
    _must_be_invertible(sign)
    tbar = lbar
    if sbar is not None and is_complex(x):
        tbar = _i_imag(conj(sign) * sbar)
        tbar = tbar if lbar is None else lbar + tbar
    return None if tbar is None else tbar[..., None, None] * H(namespace(x).linalg.inv(x))


slogdet = Op("slogdet", _slogdet_forward, _slogdet_variation, _slogdet_adjoint)


# logdeth


def _logdeth_forward(x):
    xp = namespace(x)
    return xp.sum(2.0 * xp.log(real(diag_part(cholesky(x)))), axis=-1), (sym(x),)


def _logdeth_variation(saved, dx):
    inverse = namespace(saved[0]).linalg.inv(saved[0])
    return real(namespace(inverse, dx).sum(conj(inverse) * sym(dx), axis=(-2, -1)))


def _logdeth_adjoint(saved, ybar):
    return sym(namespace(saved[0]).linalg.inv(saved[0])) * ybar[..., None, None]


logdeth = Op("logdeth", _logdeth_forward, _logdeth_variation, _logdeth_adjoint)
