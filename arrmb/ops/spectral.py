"""Functions of a Hermitian matrix, Y = F(X) = V f(w) V^H with X = V w V^H, exact at ties.

With K_ij = f[w_i, w_j] and f[.,.,.] the divided differences of f (`scalar.py`), Ê = V^H E V:

    first:   L(E)     = V (K ∘ Ê) V^H                                      Daleckii and Krein (1951)
    second:  D²(E, G) = V S V^H,  S_ij = Σ_k f[w_i, w_k, w_j] (Ê_ik Ĝ_kj + Ĝ_ik Ê_kj)

    dY = L(dX)                     <Ybar, L(dX)> = <L(Ybar), dX>           L is self-adjoint, f being real
    d(L(E)) = L(dE) + D²(E, dX)    <Ybar, D²(E, dX)> = <D²(E, Ybar), dX>   so is D²(E, ·)

No eigenvector is differentiated: the second order is `frechet2`, not the derivative of the formula for L, which is
wrong at ties. All rules share the one decomposition ``eig`` of the matrix below all traces.

The same rules serve every kernel with the methods of `ScalarFunction` (values, first, second): `TopGroup` is the
projector on the top eigenvectors, where only gaps between the two groups count.

Source: Higham, "Functions of Matrices" (2008), 3.2; Bhatia, "Matrix Analysis" (1997), V.3.
Domain: the Hermitian part of X is used; any multiplicities; eigenvalues in the domain of f. Exact to second order; a
third raises.
"""

from .._xp import H, eps, is_traced, namespace, on_host, raw, sym
from ..tape.core import Op


def decompose(x, kernel):
    """Eigenvalues (ascending, in the kernel's domain) and eigenvectors of the Hermitian part of ``x``."""
    x = raw(x)
    w, v = namespace(x).linalg.eigh(sym(x))
    return _in_domain(w, kernel), v


def _in_domain(w, kernel):
    if kernel.domain == "real" or w.shape[-1] == 0:
        return w
    xp = namespace(w)
    if kernel.domain == "nonnegative":  # a zero eigenvalue comes out as a rounding error of either sign
        rounding = w.shape[-1] * eps(w) * xp.max(xp.abs(w), axis=-1, keepdims=True)
        w = xp.where((w < 0.0) & (w >= -rounding), 0.0, w)
    if on_host(w):
        bad = w < 0.0 if kernel.domain == "nonnegative" else w <= 0.0
        if bool(xp.any(bad)):
            raise ValueError(
                f"{kernel.name}: argument x must be positive "
                f"{'semi' if kernel.domain == 'nonnegative' else ''}definite, its smallest eigenvalue is "
                f"{float(xp.min(w)):.6g}; add a multiple of the identity, or rectify it with clampmh"
            )
    return w


# Y = F(X)


def _spectral_forward(x, *, kernel, eig=None):
    eig = eig or decompose(x, kernel)
    if is_traced(x):
        y = spectral(x, kernel=kernel, eig=eig)
    else:
        w, v = eig
        y = (v * kernel.values(w)[..., None, :]) @ H(v)
    return y, (x, eig, kernel)


def _spectral_rule(saved, e):
    x, eig, kernel = saved
    return frechet(x, e, kernel=kernel, eig=eig)


spectral = Op("spectral", _spectral_forward, _spectral_rule, _spectral_rule)


# Y = L(E) at X


def _frechet_forward(x, e, *, kernel, eig):
    if is_traced(x) or is_traced(e):
        y = frechet(x, e, kernel=kernel, eig=eig)
    else:
        w, v = eig
        y = v @ (kernel.first(w) * (H(v) @ sym(e) @ v)) @ H(v)
    return y, (x, e, eig, kernel)


def _frechet_x(saved, g):
    x, e, eig, kernel = saved
    return frechet2(x, e, g, kernel=kernel, eig=eig)


def _frechet_e(saved, g):
    x, _, eig, kernel = saved
    return frechet(x, g, kernel=kernel, eig=eig)


frechet = Op("frechet", _frechet_forward, (_frechet_x, _frechet_e), (_frechet_x, _frechet_e))


# Y = D²(E, G) at X


def _frechet2_forward(x, e, g, *, kernel, eig):
    if is_traced(x) or is_traced(e) or is_traced(g):
        y = frechet2(x, e, g, kernel=kernel, eig=eig)
    else:
        w, v = eig
        e_hat, g_hat = H(v) @ sym(e) @ v, H(v) @ sym(g) @ v
        s = namespace(x).zeros_like(e_hat)
        for k in range(w.shape[-1]):  # one slice at a time: memory n², not n³
            product = e_hat[..., :, k, None] * g_hat[..., k, None, :] + g_hat[..., :, k, None] * e_hat[..., k, None, :]
            s = s + kernel.second(w, k) * product
        y = v @ s @ H(v)
    return y, (x, e, g, eig, kernel)


def _frechet2_x(saved, _):
    raise NotImplementedError(
        f"{saved[4].name}: third derivatives are not implemented (they need third divided differences); the first and "
        "the second are exact"
    )


def _frechet2_e(saved, h):
    x, _, g, eig, kernel = saved
    return frechet2(x, h, g, kernel=kernel, eig=eig)


def _frechet2_g(saved, h):
    x, e, _, eig, kernel = saved
    return frechet2(x, e, h, kernel=kernel, eig=eig)


_frechet2_rules = (_frechet2_x, _frechet2_e, _frechet2_g)
frechet2 = Op("frechet2", _frechet2_forward, _frechet2_rules, _frechet2_rules)


class TopGroup:
    """Kernel of the projector on the k eigenvectors with the largest eigenvalues: f is 1 on this group, 0 on the rest.

    Divided differences are 0 inside a group, so ties there do not matter.
    """

    name = "top_projector"
    domain = "real"

    def __init__(self, k):
        self.k = k

    def _top(self, w):
        xp = namespace(w)
        n = w.shape[-1]
        top = xp.concat([xp.zeros_like(w[..., : n - self.k]), xp.ones_like(w[..., n - self.k :])], axis=-1)
        if 0 < self.k < n and on_host(w):
            gap, scale = w[..., n - self.k] - w[..., n - self.k - 1], xp.max(xp.abs(w), axis=-1)
            if bool(xp.any(gap <= n * eps(w) * scale)):
                raise ValueError(
                    f"top_projector: k={self.k} splits a group of equal eigenvalues (number {self.k} and {self.k + 1} "
                    "from the top): the projector is not defined; choose k at a gap of the spectrum"
                )
        return top

    def values(self, w):
        return self._top(w)

    @staticmethod
    def _quotient(df, gap):
        xp = namespace(df)
        across = df != 0.0
        return xp.where(across, df / xp.where(across, gap, 1.0), 0.0)

    def first(self, w):
        f = self._top(w)
        return self._quotient(f[..., :, None] - f[..., None, :], w[..., :, None] - w[..., None, :])

    def second(self, w, k):
        xp = namespace(w)
        f, first = self._top(w), self.first(w)
        fi, fk, fj = f[..., :, None], f[..., k, None, None], f[..., None, :]
        wi, wk, wj = w[..., :, None], w[..., k, None, None], w[..., None, :]
        ik, kj = first[..., :, k, None], first[..., k, None, :]
        # i and j in different groups: divide by their gap. Together, and apart from k: by the gap of i and k.
        split, apart = fi != fj, fi != fk
        gap = xp.where(split, wi - wj, xp.where(apart, wi - wk, 1.0))
        return xp.where(split, ik - kj, xp.where(apart, -kj, 0.0)) / gap
