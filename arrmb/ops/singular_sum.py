"""Sums of a function of the singular values, y = Σ f(s_i), X = U diag(s) V^H; and the functions that are norms.

    dy = Re<G, dX>,   G = U diag(f'(s)) V^H          Xbar = ybar G

G is an odd function of X: the block of f' of A = [[0, X], [X^H, 0]], f' made odd (`dilation.py`). First order: G from
the SVD. Second order: G by `spectral` at A, which is exact at ties and near ties; no singular vector is differentiated.

    Between(lo, hi)   sum of the singular values number lo + 1 to hi: Ky Fan (0, k), nuclear (0, K), spectral (0, 1),
                      smallest (K - 1, K), with K = min(m, n). f' is 1 within and 0 without; a group of tied values that
                      k cuts has in Ky Fan's k the mean, the part of the group that is within. Only gaps between values
                      of different f' enter.
    OddPower(p)       f = s^p, p > 1: Schatten norms. With q = p - 1, for a >= b >= 0 the divided differences of
                      f'(x)/p = sign(x) |x|^q are f[a,b] as in `scalar.power`, f[a,-b] = (a^q + b^q)/(a + b).

A singular value is zero, and two are tied, to within (m + n) eps of the largest one of the matrix; at zero f' is 0.
So at a kink the gradient is the subgradient of least norm: U_r V_r^H for the nuclear norm, U_1 V_1^H over the tied
vectors divided by their number for the spectral norm, 0 at the zero matrix.

Source: Lewis, "The convex analysis of unitarily invariant matrix functions", J. Convex Anal. 2 (1995), corollary 2.5;
Watson, "Characterization of the subdifferential of some matrix norms", Linear Algebra Appl. 170 (1992).
Domain: any shape, real or complex, batched. Exact to third order where y has the derivatives: Between, where there is a
gap at lo and at hi (nonzero singular values, for hi = K); OddPower, everywhere to first order, and to second where
p >= 2 or the rank is full. Elsewhere the second order is that within the pieces: finite.
"""

from .._lapack import svd as _backend_svd
from .._threads import over_batch
from .._xp import conj, eps, is_traced, namespace, real
from ..tape.core import Op, lift
from . import divided, scalar
from .dilation import odd_function
from .groups import Groups


class Between(Groups):
    """Kernel of the sum of the singular values number ``lo`` + 1 to ``hi`` of an m × n matrix."""

    def __init__(self, name, shape, lo, hi):
        self.name = name
        self.size = sum(shape)
        self.count = min(shape)
        self.lo, self.hi = lo, hi

    def total(self, s):
        return namespace(s).sum(s[..., self.lo : self.hi], axis=-1)

    def derivative(self, s):
        return self._weights(s, s)

    def values(self, w):
        xp = namespace(w)
        return divided.sign_of(w) * self._weights(xp.flip(w, axis=-1)[..., : self.count], xp.abs(w))

    def _weights(self, s, at):
        """f' at the sizes ``at``, for the descending singular values ``s``."""
        if 0 in at.shape or self.count == 0:
            return 0.0 * at
        rounding = self.size * eps(s) * s[..., :1]
        weight = self._share(self.hi, s, at, rounding) - self._share(self.lo, s, at, rounding)
        return namespace(s).where(at <= rounding, 0.0, weight)

    def _share(self, k, s, at, rounding):
        xp = namespace(s)
        if k == 0:
            return 0.0 * at
        cut = s[..., k - 1 : k]

        def count(mask):
            return xp.sum(xp.astype(mask, s.dtype), axis=-1, keepdims=True)

        above, tied = count(s > cut + rounding), count(xp.abs(s - cut) <= rounding)
        return xp.where(at > cut + rounding, 1.0, xp.where(at >= cut - rounding, (k - above) / tied, 0.0))


class OddPower:
    """Kernel of the sum of s^p: its derivative p |x|^(p-1), made odd."""

    def __init__(self, name, shape, p):
        self.name = name
        self.p = p
        self._slope = 2.0 if p == 2.0 else 0.0  # of f' at 0; for p < 2 it has none
        self.size = sum(shape)
        self._power = scalar.power(p - 1.0)

    def total(self, s):
        return namespace(s).sum(s**self.p, axis=-1)

    def derivative(self, s):
        return self._f(self._rounded(s))

    def eigenvalues(self, w):
        return self._rounded(w)

    def values(self, w):
        return self._f(w)

    def first(self, w):
        return self._divided(w[..., :, None], w[..., None, :])

    def second(self, w):
        return divided.second_by_quadrature(w, self.first(w), self._d2f)

    def _rounded(self, w):
        """Values that are zero to rounding, where |x|^q may be steep, are zero."""
        if 0 in w.shape:
            return w
        xp = namespace(w)
        size = xp.abs(w)
        return xp.where(size <= self.size * eps(w) * xp.max(size, axis=-1, keepdims=True), 0.0, w)

    def _scaled(self, x, factor, q):
        """factor |x|^q, and 0 at 0."""
        xp = namespace(x)
        return xp.where(x == 0.0, 0.0, factor * xp.where(x == 0.0, 1.0, xp.abs(x)) ** q)

    def _f(self, x):
        return divided.sign_of(x) * self._scaled(x, self.p, self.p - 1.0)

    def _d2f(self, x):
        return divided.sign_of(x) * self._scaled(x, self.p * (self.p - 1.0) * (self.p - 2.0), self.p - 3.0)

    def _divided(self, a, b):
        xp = namespace(a)
        a, b = xp.broadcast_arrays(a, b)
        size_a, size_b = xp.abs(a), xp.abs(b)
        both = size_a + size_b
        zero = both == 0.0
        same = self._power.divided(xp.where(zero, 1.0, size_a), xp.where(zero, 1.0, size_b))
        q = self.p - 1.0
        opposite = (self._scaled(a, 1.0, q) + self._scaled(b, 1.0, q)) / xp.where(zero, 1.0, both)
        one_side = ((a > 0.0) & (b > 0.0)) | ((a < 0.0) & (b < 0.0))
        return xp.where(zero, self._slope, self.p * xp.where(one_side, same, opposite))


def _forward(x, *, kernel):
    if is_traced(x):
        return singular_sum(x, kernel=kernel), (x, kernel, None)
    u, s, vh = _backend_svd(x)
    return kernel.total(s), (x, kernel, (u, s, vh))


def _gradient(saved):
    x, kernel, factors = saved
    if factors is None:
        return odd_function(x, kernel)
    u, s, vh = factors
    g = (u * kernel.derivative(s)[..., None, :]) @ vh
    return lift(g) if is_traced(x) else g


def _variation(saved, dx):
    g = _gradient(saved)
    return namespace(g, dx).sum(real(conj(g) * dx), axis=(-2, -1))


def _adjoint(saved, ybar):
    return ybar[..., None, None] * _gradient(saved)


singular_sum = Op("singular_sum", *over_batch(_forward, _variation, _adjoint, cost=20.0))
