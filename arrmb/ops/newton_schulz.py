"""Square root and inverse square root of a Hermitian positive definite matrix by the coupled Newton-Schulz iteration.

    c = ‖X‖_F per matrix,  A = X / c,  Y_0 = A,  Z_0 = I
    T_k = ½ (3I - Z_k Y_k),   Y_k+1 = Y_k T_k,   Z_k+1 = T_k Z_k,   k = 0 ... K-1
    R = √c Y_K -> X^½,        W = Z_K / √c -> X^-½

The rules are those of this map, K steps and no more, so they agree with its values for any K, converged or not:

    dT = -½ (dZ Y + Z dY),    dY' = dY T + Y dT,    dZ' = dT Z + T dZ
    dc = Re<A, dX>,           dA = (dX - A dc)/c,   dR = √c dY_K + (dc/2c) R,   dW = dZ_K/√c - (dc/2c) W

Backwards, with bars for the cotangents, from Ybar = √c Rbar and Zbar = Wbar/√c:

    Tbar = Y^H Ybar' + Zbar' Z^H,   Ybar = Ybar' T^H - ½ Z^H Tbar,   Zbar = T^H Zbar' - ½ Tbar Y^H
    Xbar = (Abar - A Re<A, Abar>)_sym / c + A (Re<Rbar, R> - Re<Wbar, W>)/2c

A is positive definite with eigenvalues p in (0, 1]. In its eigenbasis Z_k Y_k has the eigenvalue p_k, with p_0 = p and
p_k+1 = p_k (3 - p_k)²/4: a small one grows by 9/4 in each step, and 1 - p_k+1 = (1 - p_k)² (4 - p_k)/4 at the end. So

    K = 5 + log(1/p_min)/log(9/4),   1/p_min = ‖X‖_F / λ_min <= √n κ        (float64; 4 instead of 5 in float32)

steps reach rounding error, about eps √κ: 11 steps for √n κ = 1e2, 20 for 1e5, 30 for 1e9.

Source: Higham, "Functions of Matrices" (2008), 6.7, for the iteration and its stability; Li, Xie, Wang, Gao,
"Towards faster training of global covariance pooling networks by iterative matrix square root normalization" (CVPR
2018), for the normalisation and its compensation in a layer.
Domain: positive definite (the Hermitian part is used), real or complex, batched. A polynomial in X / ‖X‖_F: smooth
where X is not zero, exact at any order and any multiplicities, as the derivative of the K-step map. It is that of the
square root where the iteration has converged. A negative eigenvalue makes it diverge, which raises where values can be
looked at.
"""

from .._tf32 import products
from .._threads import over_batch
from .._xp import H, conj, eye_like, namespace, on_host, raw, real, sym
from ..tape.core import Op


def frobenius(x):
    """‖X‖_F per matrix (..., 1, 1), 1 for a zero matrix; nothing overflows or underflows on the way."""
    below = namespace(raw(x))
    largest = below.max(below.abs(raw(x)), axis=(-2, -1), keepdims=True)
    largest = below.where(largest == 0.0, below.ones_like(largest), largest)
    u = x / largest
    total = dot(u, u)
    is_zero = raw(total) == 0.0
    xp = namespace(x)
    return xp.where(is_zero, 1.0, xp.sqrt(xp.where(is_zero, 1.0, total)) * largest)


def dot(a, b):
    """Re<a, b> per matrix (..., 1, 1)."""
    xp = namespace(a, b)
    return xp.sum(real(conj(a) * b), axis=(-2, -1), keepdims=True)


class Diverged(ValueError):
    """An iteration whose matrix is not positive definite."""


def bounded(p):
    """``p`` = Z Y, unless it shows that its eigenvalues have left (0, 1], where values can be looked at."""
    if on_host(p) and 0 not in p.shape:
        below = namespace(raw(p))
        if float(below.max(below.abs(raw(p)))) > 2.0:
            raise Diverged("the Newton-Schulz iteration diverges, as it does where an eigenvalue is negative")
    return p


def _forward(x, *, iterations, only=None, precision=None):
    """R and W, or one of them: ``only`` is "root" or "inverse". The last step does not compute the other."""
    xp, times = namespace(x), products(precision)
    x = sym(x)
    c = frobenius(x)
    a = x / c
    three = 3.0 * eye_like(a)
    t = 0.5 * (three - a)
    y, z = times(a, t), t
    steps = [t]
    for k in range(1, iterations):
        t = three - bounded(times(z, y))
        t *= 0.5
        steps += [y, z, t]
        last = only if k == iterations - 1 else None
        y, z = None if last == "inverse" else times(y, t), None if last == "root" else times(t, z)
    root = xp.sqrt(c)
    r = None if only == "inverse" else sym(y) * root
    w = None if only == "root" else sym(z) / root
    return chosen(only, r, w), (only, precision, a, c, r, w, *steps)


def chosen(only, r, w):
    """Both roots, or the one of them that ``only`` names."""
    return (r, w) if only is None else r if only == "root" else w


def _variation(saved, dx):
    only, precision, a, c, r, w, t, *steps = saved
    xp, times = namespace(a, dx), products(precision)
    dx = sym(dx)
    dc = dot(a, dx)
    da = (dx - a * dc) / c
    dt = -0.5 * da
    dy, dz = times(da, t) + times(a, dt), dt
    for k in range(0, len(steps), 3):
        y, z, t = steps[k : k + 3]
        dt = -0.5 * (times(dz, y) + times(z, dy))
        last = only if k + 3 == len(steps) else None
        dy, dz = (
            None if last == "inverse" else times(dy, t) + times(y, dt),
            None if last == "root" else times(dt, z) + times(t, dz),
        )
    root, half = xp.sqrt(c), 0.5 * (dc / c)
    dr = None if only == "inverse" else sym(dy) * root + r * half
    dw = None if only == "root" else sym(dz) / root - w * half
    return chosen(only, dr, dw)


def _adjoint(saved, *bars):
    only, precision, a, c, r, w, t0, *steps = saved
    times = products(precision)
    rbar, wbar = {None: bars, "root": (*bars, None), "inverse": (None, *bars)}[only]
    xp = namespace(a, *(v for v in (rbar, wbar) if v is not None))
    root, cbar = xp.sqrt(c), 0.0  # cbar: 2c times the cotangent of c
    ybar = zbar = None
    if rbar is not None:
        ybar, cbar = sym(rbar) * root, cbar + dot(rbar, r)
    if wbar is not None:
        zbar, cbar = sym(wbar) / root, cbar - dot(wbar, w)
    for k in range(len(steps) - 3, -1, -3):
        ybar, zbar = _before(times, *steps[k : k + 3], ybar, zbar)
    if ybar is None or zbar is None:  # after one step only
        ybar, zbar = (xp.zeros_like(a) if v is None else v for v in (ybar, zbar))
    abar = sym(times(ybar, H(t0)) - 0.5 * (times(H(a), ybar) + zbar))
    return (abar + a * (0.5 * cbar - dot(a, abar))) / c


def _before(times, y, z, t, ybar, zbar):
    """The cotangents of Y and Z from those after a step, of which one may be None, zero."""
    if zbar is None:
        tbar = times(H(y), ybar)
    elif ybar is None:
        tbar = times(zbar, H(z))
    else:
        tbar = times(H(y), ybar) + times(zbar, H(z))
    tbar *= -0.5  # in place, here and in T: memory that is not at hand costs more than the product
    through_y, through_z = times(H(z), tbar), times(tbar, H(y))
    return (
        through_y if ybar is None else times(ybar, H(t)) + through_y,
        through_z if zbar is None else times(H(t), zbar) + through_z,
    )


newton_schulz = Op("newton_schulz", *over_batch(_forward, _variation, _adjoint))
