"""Principal square root of square matrices, S S = X, the eigenvalues of S in the open right half plane.

    S dS + dS S = dX              a Sylvester equation; its solution is unique, as no two eigenvalues of S add up to 0
    S^H Xbar + Xbar S^H = Sbar

S by the product form of the Denman and Beavers iteration, inverses and products only, no Schur form:

    M_0 = Y_0 = X,   M' = (I + (μ²M + (μ²M)^-1)/2)/2,   Y' = μ Y (I + (μ²M)^-1)/2;       M -> I, Y -> S
    μ⁴ = ‖M^-1‖/‖M‖ far from convergence, 1 near it

Each matrix of a batch stops by itself. The iteration loses as many digits as X has; two Newton steps, S += D with
S D + D S = X - S², bring back those that S has, and their residual is the test of the domain. All equations are solved
by the sign iteration of `solve_sylvester.py`.

Source: Higham, "Functions of Matrices" (2008), (6.29) and table 6.2 for the iteration and its accuracy; Cheng, Higham,
Kenney, Laub, "Approximating the logarithm of a matrix to specified accuracy" (2001).
Domain: no eigenvalue on the closed negative real axis, real (real root) or complex, defective matrices too, batched;
smooth, exact at any order. Outside: a ValueError on the host, NaN elsewhere.
"""

import math

from .._lapack import iterate
from .._threads import over_batch
from .._xp import H, eps, eye_like, is_traced, namespace, on_host
from ..tape.core import Op
from .solve_sylvester import fro, sign_iteration, sylvester

_STEPS, _FIXED = 60, 14
_OUTSIDE = (
    "{name}: x has an eigenvalue on the closed negative real axis (or one that rounding cannot tell from it), or NaN: "
    "the principal branch does not exist there; for Hermitian matrices there are sqrtmh and logmh"
)


def _root(x, name):
    """S of raw matrices."""
    xp = namespace(x)
    if 0 in x.shape:
        return x + 0.0
    one = eye_like(x)

    def step(state):
        m, y, running = state
        inverse = xp.linalg.inv(m)
        off = fro(m - one)
        mu2 = xp.where(off < 0.1, 1.0, xp.sqrt(fro(inverse)) / xp.sqrt(fro(m)))
        scaled = inverse / mu2
        m = xp.where(running, 0.5 * (one + 0.5 * (mu2 * m + scaled)), m)
        y = xp.where(running, xp.sqrt(mu2) * (0.5 * (y + y @ scaled)), y)
        running = running & ~(off <= 0.1 * eps(x) ** 0.5)  # the step just made was the last
        return (m, y, running), None

    (_, y, running), _ = iterate(step, (x, x, fro(x) >= 0.0), _STEPS, _FIXED)
    if on_host(x) and bool(xp.any(running)):
        raise ValueError(_OUTSIDE.format(name=name))
    solve, bad = sign_iteration(y, y)
    for _ in range(2):
        y = y + solve(x - y @ y)
    bad = bad | running | ~(fro(x - y @ y) <= 100 * x.shape[-1] * eps(x) * fro(y) ** 2)
    if not on_host(x):
        return xp.where(bad, math.nan, y)
    if bool(xp.any(bad)):
        raise ValueError(_OUTSIDE.format(name=name))
    return y


def _forward(x, *, name="sqrtm"):
    s = sqrtm(x, name=name) if is_traced(x) else _root(x, name)
    return s, (s, name)


def half(s, e, name):
    """The solution L of S L + L S = E."""
    return sylvester(s, s, e, way="sign", name=name)


def _variation(saved, dx):
    return half(saved[0], dx, saved[1])


def _adjoint(saved, sbar):
    return half(H(saved[0]), sbar, saved[1])


sqrtm = Op("sqrtm", *over_batch(_forward, _variation, _adjoint, cost=30.0))
