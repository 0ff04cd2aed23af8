"""Determinant, and its sign and logarithm.

    det       y = det X                   dy = tr(adj(X) dX),   Xbar = ybar adj(X)^H
              With X = U S V^H, adj(X)^H = conj(det U det V^H) U diag(p) V^H, p_i = prod_{j != i} s_j: products of the
              other singular values, formed without a division, so X may be singular.
              Where X is invertible, adj(X) = y X^-1; higher derivatives are taken of this form.

    slogdet   X = sign e^logabsdet, |sign| = 1.  With t = tr(X^-1 dX) = d log det X:
              dlogabsdet = Re t,   dsign = i Im(t) sign  (real X: dsign = 0)
              Xbar = (lbar + i Im(conj(sign) sbar)) X^-H

Source: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), 2.2.4; the derivative at a
singular matrix is Jacobi's formula.
Domain: square, real or complex, batched. det: the first order is exact everywhere, singular matrices of any rank
included; second and higher orders need an invertible X. slogdet: invertible X, smooth, exact at any order.
"""

from .._xp import H, conj, diag_part, is_complex, namespace, real
from ..tape.core import Op


def _adjugate_h(x):
    """adj(X)^H, the conjugate of the matrix of cofactors."""
    xp = namespace(x)
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    before = xp.cumulative_prod(s, axis=-1, include_initial=True)[..., :-1]
    after = xp.flip(xp.cumulative_prod(xp.flip(s, axis=-1), axis=-1, include_initial=True)[..., :-1], axis=-1)
    phase = conj(xp.linalg.det(u) * xp.linalg.det(vh))
    return phase[..., None, None] * ((u * (before * after)[..., None, :]) @ vh)


def _det_forward(x):
    return namespace(x).linalg.det(x), (x,)


def _det_variation(saved, dx):
    return namespace(dx).sum(conj(_adjugate_h(*saved)) * dx, axis=(-2, -1))


def _det_adjoint(saved, ybar):
    return ybar[..., None, None] * _adjugate_h(*saved)


# The same function with rules that may be differentiated: adj(X) = y X^-1.


def _smooth_forward(x):
    xp = namespace(x)
    y = xp.linalg.det(x)
    return y, (y, xp.linalg.inv(x))


def _smooth_variation(saved, dx):
    y, xinv = saved
    return y * namespace(dx).sum(namespace(xinv).matrix_transpose(xinv) * dx, axis=(-2, -1))


def _smooth_adjoint(saved, ybar):
    y, xinv = saved
    return (ybar * conj(y))[..., None, None] * H(xinv)


_smooth_det = Op("det", _smooth_forward, _smooth_variation, _smooth_adjoint)

det = Op("det", _det_forward, _det_variation, _det_adjoint, composite=_smooth_det)


# slogdet


def _slogdet_forward(x):
    sign, logabsdet = namespace(x).linalg.slogdet(x)
    return (sign, logabsdet), (x, sign)


def _i_imag(z):
    return namespace(z).astype(0.5 * (z - conj(z)), z.dtype)  # NumPy 1 widens scalars


def _slogdet_variation(saved, dx):
    x, sign = saved
    xp = namespace(x, dx)
    t = xp.sum(diag_part(xp.linalg.solve(x, dx)), axis=-1)
    return _i_imag(t) * sign if is_complex(x) else xp.zeros_like(sign), real(t)


def _slogdet_adjoint(saved, sbar, lbar):
    x, sign = saved
    tbar = lbar
    if sbar is not None and is_complex(x):
        tbar = _i_imag(conj(sign) * sbar)
        tbar = tbar if lbar is None else lbar + tbar
    return None if tbar is None else tbar[..., None, None] * H(namespace(x).linalg.inv(x))


slogdet = Op("slogdet", _slogdet_forward, _slogdet_variation, _slogdet_adjoint)
