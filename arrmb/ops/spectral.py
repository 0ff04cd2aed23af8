"""Functions of a Hermitian matrix, Y = F(X) = V f(w) V^H with X = V w V^H, exact at ties.

With K_ij = f[w_i, w_j] and f[.,.,.] the divided differences of f (`scalar.py`), Ê = V^H E V:

    first:   L(E)     = V (K ∘ Ê) V^H                                      Daleckii and Krein (1951)
    second:  D²(E, G) = V S V^H,  S_ij = Σ_k f[w_i, w_k, w_j] (Ê_ik Ĝ_kj + Ĝ_ik Ê_kj)

    dY = L(dX)                     <Ybar, L(dX)> = <L(Ybar), dX>           L is self-adjoint, f being real
    d(L(E)) = L(dE) + D²(E, dX)    <Ybar, D²(E, dX)> = <D²(E, Ybar), dX>   so is D²(E, ·)

No eigenvector is differentiated: the second order is `frechet2`, not the derivative of the formula for L, which is
wrong at ties. All rules share the one decomposition ``eig`` of the matrix below all traces.

The same rules serve every kernel (`kernel.py`): functions in closed form (`scalar.py`), functions that a user gives,
and functions that are constant on groups of eigenvalues (`groups.py`), where only gaps between groups count.

Source: Higham, "Functions of Matrices" (2008), 3.2; Bhatia, "Matrix Analysis" (1997), V.3.
Domain: the Hermitian part of X is used; any multiplicities; eigenvalues in the domain of f. Exact to second order; a
third raises.
"""

from .._lapack import eigh as _backend_eigh
from .._threads import over_batch
from .._xp import H, is_traced, namespace, on_host, raw, sym
from ..tape.core import Op


def decompose(x, kernel):
    """Eigenvalues (ascending, in the kernel's domain) and eigenvectors of the Hermitian part of ``x``."""
    x = raw(x)
    w, v = _backend_eigh(sym(x))
    return kernel.eigenvalues(w), v


def _finite(differences, kernel, w):
    xp = namespace(w)
    if on_host(w) and not bool(xp.all(xp.isfinite(differences))):
        raise ValueError(
            f"{kernel.name}: the derivative is not finite at this spectrum, from {float(xp.min(w)):.6g} to "
            f"{float(xp.max(w)):.6g}: the function has none at an eigenvalue (such as a root's at 0), or it overflows; "
            "add a multiple of the identity, or scale x"
        )
    return differences


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


spectral = Op("spectral", *over_batch(_spectral_forward, _spectral_rule, _spectral_rule, cost=10.0))


# Y = L(E) at X


def _frechet_forward(x, e, *, kernel, eig):
    if is_traced(x) or is_traced(e):
        y = frechet(x, e, kernel=kernel, eig=eig)
    else:
        w, v = eig
        y = v @ (_finite(kernel.first(w), kernel, w) * (H(v) @ sym(e) @ v)) @ H(v)
    return y, (x, e, eig, kernel)


def _frechet_x(saved, g):
    x, e, eig, kernel = saved
    return frechet2(x, e, g, kernel=kernel, eig=eig)


def _frechet_e(saved, g):
    x, _, eig, kernel = saved
    return frechet(x, g, kernel=kernel, eig=eig)


frechet = Op("frechet", *over_batch(_frechet_forward, (_frechet_x, _frechet_e), (_frechet_x, _frechet_e)))


# Y = D²(E, G) at X


def _frechet2_forward(x, e, g, *, kernel, eig):
    if is_traced(x) or is_traced(e) or is_traced(g):
        y = frechet2(x, e, g, kernel=kernel, eig=eig)
    else:
        w, v = eig
        e_hat, g_hat = H(v) @ sym(e) @ v, H(v) @ sym(g) @ v
        s = namespace(x).zeros_like(e_hat)
        for k, differences in enumerate(kernel.second(w)):  # one slice at a time: memory n², not n³
            s = s + _finite(differences, kernel, w) * (e_hat[..., :, k, None] * g_hat[..., k, None, :])
        y = v @ (s + H(s)) @ H(v)  # the terms Ĝ Ê are the conjugate transpose of Ê Ĝ
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
frechet2 = Op("frechet2", *over_batch(_frechet2_forward, _frechet2_rules, _frechet2_rules))
