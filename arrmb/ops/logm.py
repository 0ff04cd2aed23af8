"""Principal logarithm of square matrices, Y = log X, by inverse scaling and squaring.

    X_0 = X,   X_{k+1} = X_k^(1/2)   until A = X_s - I is small,   Y = 2^s r(A),
    r(A) = Σ_j w_j A Z_j,   Z_j = (I + t_j A)^-1        the Padé approximant of log(1 + A): Gauss-Legendre on [0, 1]

    first:  X_{k+1} dX_{k+1} + dX_{k+1} X_{k+1} = dX_k,   dY = 2^s Σ_j w_j Z_j dA Z_j

As the coefficients are real, L*(Ybar) = L(X^H, Ybar): the adjoint is the same function of the conjugate transposes of
the roots and of Z_j. s is per matrix: a mask leaves alone a matrix that needs fewer roots than others of its batch. It
comes from max(‖A²‖^(1/2), ‖A³‖^(1/3)), 1-norms, which may be far below ‖A‖.

Source: Al-Mohy and Higham, "Improved inverse scaling and squaring algorithms for the matrix logarithm" (2012), and with
Relton, "Computing the Fréchet derivative of the matrix logarithm and estimating the condition number" (2013), for the
bounds; Higham, "Functions of Matrices" (2008), 11.4, for the partial fractions.
Domain: no eigenvalue on the closed negative real axis, real (real logarithm) or complex, defective matrices too,
batched; smooth, exact at any order. Outside: a ValueError on the host, NaN elsewhere. Where values cannot be looked at
(GPU) 12 roots are taken, enough for all norms and conditions of double precision.
"""

from .._threads import over_batch
from .._xp import H, device, eye_like, namespace, on_host, raw, real
from ..tape.core import Op
from .expm import norm1
from .sqrtm import half, sqrtm

_THETA = 0.25  # 0.28 would do for 7 nodes, value and derivative
_ROOTS, _FIXED = 40, 12
# nodes and weights of 8-point Gauss-Legendre on [0, 1]
_HALF_NODES = (0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363)
_HALF_WEIGHTS = (0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763)
_NODES = [0.5 * (1.0 + sign * t) for t in _HALF_NODES for sign in (1.0, -1.0)]
_WEIGHTS = [0.5 * w for w in _HALF_WEIGHTS for _ in (0, 1)]


def _far(a):
    """Where A is too large for the approximant. Raw."""
    xp = namespace(a)
    size = norm1(a)
    a = a / xp.where(size > 0.0, size, 1.0)[..., None, None]
    a2 = a @ a
    size = size * xp.maximum(norm1(a2) ** 0.5, norm1(a2 @ a) ** (1.0 / 3.0))
    return ~(size <= _THETA)[..., None, None]  # NaN is far, and is not left unnoticed


def _constants(values, x):
    values = namespace(raw(x)).asarray(values, dtype=real(raw(x)).dtype, device=device(x))
    return namespace(x).reshape(values, (len(_NODES),) + (1,) * len(x.shape))


def _forward(x, *, name="logm"):
    xp, one = namespace(x), eye_like(x)
    if 0 in x.shape:
        return x + 0.0, (0, name, x)
    roots, masks = [], []
    count = 0.0
    for _ in range(_ROOTS if on_host(x) else _FIXED):
        far = _far(raw(x) - raw(one))
        if on_host(x) and not bool(namespace(far).any(far)):
            break
        # a matrix that is near enough takes no part: its root is never looked at
        x = xp.where(far, sqrtm(xp.where(far, x, one), name=name), x)
        roots.append(x)
        masks.append(far)
        count = count + namespace(far).astype(far, real(raw(x)).dtype)
    a = x - one
    z = xp.linalg.inv(one + _constants(_NODES, x) * a)
    scale = 2.0**count
    y = (a @ xp.sum(_constants(_WEIGHTS, x) * z, axis=0)) * scale
    return y, (len(roots), name, z, scale, *roots, *masks)


def _frechet(saved, e, of=lambda x: x):
    """L(X, E), or L(X^H, E) where the function ``of`` each matrix is the conjugate transpose."""
    count, name, z, *rest = saved
    if not rest:
        return e + 0.0
    for root, far in zip(rest[1 : 1 + count], rest[1 + count :]):
        xp = namespace(root, e)
        safe = xp.where(far, of(root), eye_like(root))
        e = xp.where(far, half(safe, e, name), e)
    z = of(z)
    return namespace(z, e).sum(_constants(_WEIGHTS, e) * (z @ e @ z), axis=0) * rest[0]


def _adjoint(saved, ybar):
    return _frechet(saved, ybar, of=H)


logm = Op("logm", *over_batch(_forward, _frechet, _adjoint, cost=60.0))
