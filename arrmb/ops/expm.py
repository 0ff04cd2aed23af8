"""Exponential of square matrices by scaling and squaring, Y = r(2^-s X)^(2^s) with r the [13/13] Padé approximant.

With A = 2^-s X, its powers A2 = A², A4, A6, and U and V the odd and the even part of the numerator of r:

    U = A W,  W = A6 W1 + W2,  V = A6 Z1 + Z2         W1, W2, Z1, Z2 linear in A2, A4, A6
    (V - U) R = V + U,   Y_0 = R,   Y_{k+1} = Y_k²,   Y = Y_s

    first:  each line differentiated,  dA2 = A dA + dA A, ...,  (V - U) dR = dV + dU - (dV - dU) R,
            dY_{k+1} = Y_k dY_k + dY_k Y_k

That is the derivative of the rational function that was computed, 2 products for one of the forward pass. It has the
accuracy of the value: L(X, dX) of exp is the corner of exp([[X, dX], [0, X]]), and the lines above are the same
rational function of the block matrix. As the coefficients are real, L*(Ybar) = L(X^H, Ybar): the adjoint is the same
function of the conjugate transposes of what was saved. V - U is well conditioned (Higham: ‖(V - U)^-1‖ <= 17), so its
inverse serves all.

s is chosen per matrix, from max(‖A4‖^(1/4), ‖A6‖^(1/6)), which may be far below ‖A‖, and a bound on the rest of the
series, ‖|A|^27‖; all norms are 1-norms. A matrix of a batch that needs fewer squarings than another one is left alone
by a mask: its result does not depend on the others.

Source: Higham, "The scaling and squaring method for the matrix exponential revisited" (2005), algorithm 2.3; Al-Mohy
and Higham, "A new scaling and squaring algorithm for the matrix exponential" (2009), algorithm 5.1, for s; the same,
"Computing the Fréchet derivative of the matrix exponential" (2009), algorithm 6.4.
Domain: square, any entries whose exponential does not overflow, defective matrices too, real or complex, batched;
smooth, exact at any order. Where values cannot be looked at (GPU) there are at most 16 squarings, enough for norms up
to 2e5, and NaN beyond.
"""

import math

from .._threads import over_batch
from .._xp import H, eps, eye_like, namespace, on_host, raw, real
from ..tape.core import Op

_THETA = 4.25
_FIXED = 16  # squarings where the number cannot depend on values
# numerator's coefficients over the first
_B = [
    math.factorial(26 - k) * math.factorial(13) / (math.factorial(26) * math.factorial(k) * math.factorial(13 - k))
    for k in range(14)
]
_LOG2_REST = math.log2(113250775606021113483283660800000000)  # minus log2 of the coefficient of A^27 in the error


def norm1(x):
    """The 1-norm of each matrix."""
    xp = namespace(x)
    sums = xp.sum(xp.abs(x), axis=-2)
    return xp.max(sums, axis=-1) if x.shape[-1] else xp.sum(sums, axis=-1)


def _log2(x):
    """log2, and a large negative number for 0."""
    xp = namespace(x)
    return xp.where(x > 0.0, xp.log2(xp.where(x > 0.0, x, 1.0)), -4096.0)


def _power_of_2(exponent, x):
    """As (..., 1, 1), in the precision of ``x``: NumPy 1 has widened scalars on the way."""
    dtype = real(raw(x)).dtype
    return namespace(exponent).astype(2.0 ** exponent[..., None, None], dtype)


def _unit(x):
    """X 2^-e of norm about one, so that no power of it overflows or is lost, and e: an untraced array (...)."""
    norm = norm1(raw(x))
    xp = namespace(norm)
    e = xp.where((norm > 0.0) & xp.isfinite(norm), xp.maximum(xp.ceil(_log2(norm)), -100.0), 0.0)
    return x * _power_of_2(-e, x), e


def _squarings(a, a4, a6, e, e4, e6):
    """s of the docstring, for X = 2^e A and its powers. Raw arrays."""
    xp = namespace(a)
    spread = xp.maximum((_log2(norm1(a4)) + e4) / 4.0, (_log2(norm1(a6)) + e6) / 6.0)
    s = xp.maximum(xp.ceil(spread - math.log2(_THETA)), 0.0)
    absolute = xp.matrix_transpose(xp.abs(a))
    v = xp.ones_like(absolute[..., :1])
    for _ in range(27):
        v = absolute @ v
    rest = _log2(xp.max(v[..., 0], axis=-1)) - _log2(norm1(a)) + 26.0 * (e - s)
    s = s + xp.maximum(xp.ceil((rest - _LOG2_REST - math.log2(eps(a))) / 26.0), 0.0)
    return xp.where(xp.isfinite(s), s, 0.0)


def _polynomials(a2, a4, a6):
    """W1, W2, Z1, Z2 without what is constant in them."""
    b = _B
    w1 = b[13] * a6 + b[11] * a4 + b[9] * a2
    w2 = b[7] * a6 + b[5] * a4 + b[3] * a2
    z1 = b[12] * a6 + b[10] * a4 + b[8] * a2
    z2 = b[6] * a6 + b[4] * a4 + b[2] * a2
    return w1, w2, z1, z2


def _forward(x):
    xp = namespace(x)
    if x.shape[-1] == 0:
        return x + 0.0, ()
    one = eye_like(x)
    a, e = _unit(x)
    a2, e2 = _unit(a @ a)
    e2 = e2 + 2.0 * e
    a4, e4 = _unit(a2 @ a2)
    e4 = e4 + 2.0 * e2
    a6, e6 = _unit(a4 @ a2)
    e6 = e6 + e4 + e2
    s = _squarings(raw(a), raw(a4), raw(a6), e, e4, e6)
    a, a2 = a * _power_of_2(e - s, x), a2 * _power_of_2(e2 - 2.0 * s, x)
    a4, a6 = a4 * _power_of_2(e4 - 4.0 * s, x), a6 * _power_of_2(e6 - 6.0 * s, x)
    w1, w2, z1, z2 = _polynomials(a2, a4, a6)
    w = a6 @ w1 + w2 + _B[1] * one
    u, v = a @ w, a6 @ z1 + z2 + one
    inverse = xp.linalg.inv(v - u)
    y = inverse @ (v + u)
    saved, powers = (_power_of_2(-s, x), a, a2, a4, a6, w1, w, z1, inverse, y), []
    count = _FIXED
    if on_host(x):
        count = int(namespace(s).max(s)) if 0 not in s.shape else 0
    masks = [(s > k)[..., None, None] for k in range(count)]
    for mask in masks:
        powers.append(y)
        y = xp.where(mask, y @ y, y)
    if not on_host(x):
        y = xp.where((s <= count)[..., None, None], y, math.nan)
    return y, (*saved, *powers, *masks)


def _frechet(saved, e, of=lambda x: x):
    """L(X, E), or L(X^H, E) where the function ``of`` each matrix is the conjugate transpose."""
    if not saved:
        return e + 0.0
    factor, (a, a2, a4, a6, w1, w, z1, inverse, r) = saved[0], map(of, saved[1:10])
    count = (len(saved) - 10) // 2
    e = e * factor
    e2 = a @ e + e @ a
    e4 = a2 @ e2 + e2 @ a2
    e6 = a4 @ e2 + e4 @ a2
    dw1, dw2, dz1, dz2 = _polynomials(e2, e4, e6)
    du = a @ (a6 @ dw1 + e6 @ w1 + dw2) + e @ w
    dv = a6 @ dz1 + e6 @ z1 + dz2
    e = inverse @ (dv + du + (du - dv) @ r)
    for y, mask in zip(saved[10 : 10 + count], saved[10 + count :]):
        y = of(y)
        e = namespace(y, e).where(mask, y @ e + e @ y, e)
    return e


def _adjoint(saved, ybar):
    return _frechet(saved, ybar, of=H)


expm = Op("expm", *over_batch(_forward, _frechet, _adjoint))
