"""Second-order pooling of features F (n locations × d channels): Gram matrices, and their functions on the small side.

    gram           Y = F^H F
                   dY = F^H dF + (F^H dF)^H            Fbar = F (Ybar + Ybar^H)

    small_side     Y = f(F^H F + εI) for n < d, through the n × n matrix F F^H = U x U^H, with
                   h(x) = f[x+ε, ε] = (f(x+ε) - f(ε))/x:       Y = f(ε) I + F^H h(F F^H) F

In the eigenbasis, with T = U^H F, and K_ij = h[x_i, x_j]:

    Y  = f(ε) I + T^H h T
    dY = R + R^H + T^H (K ∘ (M T^H + T M^H)) T,  M = U^H dF,  R = T^H h M
    Fbar = 2 U (h M + (K ∘ (M T^H)) T),          M = T [Ybar]_sym

The rank of F^H F is at most n, so Y sits at a tie of multiplicity d - n by construction; no rule divides by a gap.

Source: Ionescu, Vantzos, Sminchisescu, arXiv:1509.07838, section 4 (DeepO2P); the small side: f(F^H F + ε) has the
singular vectors of F.
Domain: any F, real or complex, f as in `scalar.py`, finite at ε. Exact to second order.
"""

from .._lapack import eigh as _backend_eigh
from .._threads import over_batch
from .._xp import H, eps, eye_like, namespace, sym
from ..tape.core import Op
from .spectral import spectral

# gram


def _gram_forward(f):
    return H(f) @ f, (f,)


def _gram_variation(saved, df):
    (f,) = saved
    product = H(f) @ df
    return product + H(product)


def _gram_adjoint(saved, ybar):
    (f,) = saved
    return f @ (ybar + H(ybar))


gram = Op("gram", *over_batch(_gram_forward, _gram_variation, _gram_adjoint))


# f(X + εI) of a positive semidefinite X


class Shifted:
    """Kernel of f(· + ε) at a Gram matrix: eigenvalues of it that come out negative are rounding errors of 0."""

    def __init__(self, kernel, epsilon):
        self.name, self.values, self.first, self.second = kernel.name, kernel.values, kernel.first, kernel.second
        self._epsilon = epsilon

    def eigenvalues(self, w):
        return namespace(w).where(w < 0.0, 0.0, w) + self._epsilon


# small_side


def _small_side_forward(f, *, kernel, epsilon):
    xp = namespace(f)
    x, u = _backend_eigh(f @ H(f))
    x = xp.where(x < 0.0, 0.0, x)  # the zeros of a rank deficient F come out with either sign
    t = H(u) @ f
    at_epsilon = xp.full_like(x[..., :1], epsilon)
    h = kernel.divided(x + epsilon, at_epsilon)[..., :, None]
    y = H(t) @ (h * t)
    y = y + kernel.f(at_epsilon)[..., None] * eye_like(y)
    return y, (u, t, x, h, kernel, epsilon)


def _k(x, kernel, epsilon):
    # h[a,b] = (f[hi, lo] - f[lo, ε])/(hi - ε), with hi and lo the larger and the smaller of a + ε and b + ε. The
    # quotient's rounding error grows as 1/hi' for hi' = hi - ε, but K only occurs between factors T, whose rows are √x
    # ≤ √hi' long.
    xp = namespace(x)
    a, b = xp.broadcast_arrays(x[..., :, None], x[..., None, :])
    hi, lo = xp.maximum(a, b), xp.minimum(a, b)
    negligible = hi <= eps(x) * epsilon
    difference = kernel.divided(hi + epsilon, lo + epsilon) - kernel.divided(lo + epsilon, xp.full_like(lo, epsilon))
    return xp.where(negligible, 0.0, difference / xp.where(negligible, 1.0, hi))


def _small_side_variation(saved, df):
    u, t, x, h, kernel, epsilon = saved
    m = H(u) @ df
    inner = m @ H(t)
    r = H(t) @ (h * m)
    return r + H(r) + H(t) @ ((_k(x, kernel, epsilon) * (inner + H(inner))) @ t)


def _small_side_adjoint(saved, ybar):
    u, t, x, h, kernel, epsilon = saved
    m = t @ sym(ybar)
    return 2.0 * (u @ (h * m + (_k(x, kernel, epsilon) * (m @ H(t))) @ t))


def _large_side(f, *, kernel, epsilon):
    """The same function on the d × d side, where second divided differences of f give the second order."""
    return spectral(gram(f), kernel=Shifted(kernel, epsilon))


small_side = Op(
    "small_side", *over_batch(_small_side_forward, _small_side_variation, _small_side_adjoint, cost=10.0), _large_side
)
