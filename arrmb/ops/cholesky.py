"""Cholesky factor, X = L L^H, L lower triangular with a positive diagonal.

The function is one of the Hermitian part of X, E = (dX)_sym. With Φ the lower triangle with half the diagonal:

    E = dL L^H + L dL^H  =>  L^-1 E L^-H = A + A^H,  A = L^-1 dL lower triangular  =>  dL = L Φ(L^-1 E L^-H)
    <Lbar, L Φ(L^-1 E L^-H)> = <L^-H Φ(L^H Lbar) L^-1, E>  =>  Xbar = (L^-H Φ(L^H Lbar) L^-1)_sym

Φ is its own adjoint, so the identity holds for every complex Lbar; what an imaginary part of its diagonal would add is
skew-Hermitian, and the Hermitian part drops it.

Source: Murray, "Differentiation of the Cholesky decomposition" (arXiv:1602.07527), equations 8 and 10.
Domain: positive definite, real or complex, batched; smooth, exact at any order.
"""

import math

from .._lapack import cholesky as _backend_cholesky
from .._threads import over_batch
from .._xp import H, device, diag_part, eye_like, is_traced, namespace, on_host, real, sym
from ..tape.core import Op
from .triangular import solve_triangular

LOWER, UPPER = ({"lower": lower, "unit_diagonal": False} for lower in (True, False))


def lower_half(x):
    """Φ(X): the lower triangle with half the diagonal."""
    xp = namespace(x)
    ones = xp.ones(x.shape[-2:], dtype=x.dtype, device=device(x))
    return x * (xp.tril(ones) - 0.5 * eye_like(x))


def _forward(x):
    if is_traced(x):
        lower = cholesky(x)
        return lower, (lower,)
    xp, lower = namespace(x), _backend_cholesky(sym(x))
    if not on_host(x):  # CuPy looks at no values, and leaves what cuSOLVER had when it met a pivot that is not positive
        definite = xp.all(real(diag_part(lower)) > 0.0, axis=-1)
        lower = xp.where(definite[..., None, None], lower, math.nan)
    return lower, (lower,)


def _variation(saved, dx):
    (lower,) = saved
    half = solve_triangular(lower, sym(dx), **LOWER)  # L^-1 E
    return lower @ lower_half(H(solve_triangular(lower, H(half), **LOWER)))


def _adjoint(saved, lbar):
    (lower,) = saved
    half = solve_triangular(H(lower), lower_half(H(lower) @ lbar), **UPPER)
    return sym(H(solve_triangular(H(lower), H(half), **UPPER)))


cholesky = Op("cholesky", *over_batch(_forward, _variation, _adjoint, cost=0.3))
