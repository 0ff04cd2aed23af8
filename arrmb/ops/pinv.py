"""Pseudo-inverse, Y = A⁺. Of the singular values, those above rtol s_max count; the others are taken as zero.

Where the rank is constant (Golub and Pereyra, theorem 4.3):

    dY = -Y dA Y + Y Y^H dA^H (I - A Y) + (I - Y A) dA^H Y^H Y
    Abar = -Y^H Ybar Y^H + (I - A Y) Ybar^H Y Y^H + Y^H Y Ybar^H (I - Y A)

They hold where A = A Y A: what rtol leaves out must be zero to rounding. Where it is not, there is
`truncated_pinv.py`. The rules need A and Y alone, so ties of singular values do not matter.

    A = Q R (thin),  R = U s V^H  =>  Y = V s⁺ U^H Q^H

Source: Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
separate", SIAM J. Numer. Anal. 10 (1973), theorem 4.3.
Domain: any shape but empty matrices, real or complex, batched; rtol of the size of rounding, as its default, max(m, n)
eps, or with only zeros left out. A⁺ jumps where the rank changes, and no derivative
exists there; the derivative given is that along which the rank stays as it was counted. Exact at any order.
"""

from .._lapack import svd as _backend_svd
from .._threads import over_batch
from .._xp import H, eps, is_traced, namespace
from ..tape.core import Op
from .tall_qr import tall_qr


def factors(a, rtol=None):
    """Q, U s⁺, V^H and where a singular value counts, of the docstring. Raw arrays."""
    xp = namespace(a)
    q, r = tall_qr(a)
    u, s, vh = _backend_svd(r)
    if rtol is None:
        rtol = max(a.shape[-2:]) * eps(a)
    elif hasattr(rtol, "shape"):
        rtol = rtol[..., None]
    kept = s > rtol * s[..., :1]  # the largest comes first
    inverse = xp.where(kept, 1.0 / xp.where(kept, s, 1.0), 0.0)
    return q, u * inverse[..., None, :], vh, kept


def _forward(a, *, rtol=None):
    if is_traced(a):
        y = pinv(a, rtol=rtol)
    else:
        q, u, vh, _ = factors(a, rtol)
        y = H(vh) @ H(q @ u)
    return y, (a, y)


def _off_rows(a, y, v):
    """v (I - A Y)"""
    return v - (v @ a) @ y


def _off_null(a, y, v):
    """(I - Y A) v"""
    return v - y @ (a @ v)


def _variation(saved, da):
    a, y = saved
    return _off_rows(a, y, (y @ H(y)) @ H(da)) + _off_null(a, y, H(y @ da)) @ y - (y @ da) @ y


def _adjoint(saved, ybar):
    a, y = saved
    return H(_off_rows(a, y, (y @ H(y)) @ ybar) + _off_null(a, y, ybar @ H(y)) @ y) - H(y) @ (ybar @ H(y))


pinv = Op("pinv", *over_batch(_forward, _variation, _adjoint, cost=20.0))
