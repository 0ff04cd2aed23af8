"""Functions of a Hermitian matrix that are constant on groups of eigenvalues: kernels for `spectral.py`.

    TopGroup(k)         1 on the k largest eigenvalues, 0 on the rest       projector on the top eigenvectors
    Window(low, high)   1 on low < w < high, 0 outside                      projector on the eigenvectors inside
    sign                -1, 0, 1 on negative, zero, positive eigenvalues    X (X²)^(-1/2) of a regular X

Such an f is constant near every eigenvalue, so that f[a,b] = 0 inside a group, and ties there do not matter. Between
groups f[a,b] = (f(a) - f(b))/(a - b) has all its digits, and f[a,b,c] by recursion over the widest gap never divides by
a gap inside a group: where not all three are in one group, the widest gap is between two.

Source: Kato, "Perturbation Theory for Linear Operators" (2nd ed., 1976), II.2; Higham, "Functions of Matrices" (2008),
5.1, for sign.
Domain: the groups must be apart: eigenvalues k and k + 1 that are equal to rounding, max(10, n) eps max|w|, or an
eigenvalue on a bound, raise an error, or make the result NaN where values cannot be looked at (GPU). Eigenvalues of
sign that are 0 to rounding are a group of their own: its derivatives are those along which the rank does not change, as
in `projector`; along others sign jumps, and has none.
"""

from .._xp import namespace, on_host
from .divided import nonzero, recursion, sign_of
from .gauge import rounding


class Groups:
    """A kernel of which f(w), by ``values``, is constant on groups."""

    def eigenvalues(self, w):
        return w

    def first(self, w):
        xp = namespace(w)
        f = self.values(w)
        df = f[..., :, None] - f[..., None, :]
        across = df != 0.0
        return xp.where(across, df / xp.where(across, w[..., :, None] - w[..., None, :], 1.0), 0.0)

    def second(self, w):
        xp = namespace(w)
        f = self.values(w)
        for k, (numerator, gap) in enumerate(recursion(w, self.first(w))):
            other = f != f[..., k, None]
            yield xp.where(other[..., :, None] | other[..., None, :], numerator / nonzero(gap), 0.0)

    @staticmethod
    def refused(f, w, bad, message):
        """f, or an error where a matrix is ``bad`` (..., 1); NaN where that cannot be looked at."""
        if not on_host(w):
            return namespace(w).where(bad, float("nan"), f)
        if bool(namespace(w).any(bad)):
            raise ValueError(message)
        return f


class TopGroup(Groups):
    """1 on the k largest eigenvalues, 0 on the rest."""

    name = "top_projector"

    def __init__(self, k):
        self.k = k

    def values(self, w):
        xp = namespace(w)
        n, k = w.shape[-1], self.k
        top = xp.concat([xp.zeros_like(w[..., : n - k]), xp.ones_like(w[..., n - k :])], axis=-1)
        if not 0 < k < n:
            return top
        return self.refused(
            top,
            w,
            w[..., n - k, None] - w[..., n - k - 1, None] <= rounding(w),
            f"top_projector: k={k} splits a group of equal eigenvalues (number {k} and {k + 1} from the top): the "
            "projector is not defined; choose k at a gap of the spectrum",
        )


class Window(Groups):
    """1 on eigenvalues between two bounds, 0 outside."""

    name = "window_projector"

    def __init__(self, low, high):
        self.low, self.high = low, high

    def values(self, w):
        xp = namespace(w)
        inside = xp.astype((w > self.low) & (w < self.high), w.dtype)
        if w.shape[-1] == 0:
            return inside
        on_bound = (xp.abs(w - self.low) <= rounding(w)) | (xp.abs(w - self.high) <= rounding(w))
        return self.refused(
            inside,
            w,
            xp.any(on_bound, axis=-1, keepdims=True),
            f"window_projector: an eigenvalue lies on a bound, {self.low:.6g} or {self.high:.6g}, to rounding: whether "
            "it is inside is not defined; move the bound into a gap of the spectrum",
        )


class Sign(Groups):
    """-1, 0 and 1 on negative, zero (to rounding) and positive eigenvalues."""

    name = "signmh"

    def eigenvalues(self, w):
        xp = namespace(w)
        return xp.where(xp.abs(w) <= rounding(w), 0.0, w) if w.shape[-1] else w

    def values(self, w):
        return sign_of(w)


sign = Sign()
