"""Sylvester equation, A X + X B = C.

    A dX + dX B = dC - dA X - X dB
    A^H Cbar + Cbar B^H = Xbar,   Abar = -Cbar X^H,   Bbar = -X^H Cbar

Three ways to the solution, by ``route``:

    "kronecker"  (A ⊗ I + I ⊗ B^T) vec X = vec C, X by rows, one system of mn unknowns
    "schur"      A and B to Schur form, LAPACK's trsyl, matrix by matrix on the host; needs SciPy
    "sign"       spectra of A and B in one open half plane, right (s = 1) or left (s = -1). Newton's iteration for the
                 sign of [[A, C], [0, -B]], inverses and products only, μ² = (‖A^-1‖ + ‖B^-1‖)/(‖A‖ + ‖B‖):
                     A' = (μA + (μA)^-1)/2,  B' = (μB + (μB)^-1)/2,  C' = (μC + A^-1 C B^-1/μ)/2;   C -> 2 s X

`route` picks: Kronecker's for mn <= 64; else Schur's where SciPy and the values are at hand; else Kronecker's for
mn <= 1024; else the sign's. The sign's solution is refined twice with the same inverses. The residual of each is of
rounding size, or the equation counts as singular.

Source: Golub and Van Loan, "Matrix Computations" (4th ed., 2013), 7.6.3; Roberts (1971), and Higham, "Functions of
Matrices" (2008), 2.4 and 5.6, for the sign; Giles (2008), 2.3, for the rules' pattern.
Domain: no eigenvalue of A is minus one of B ("sign": one half plane), real or complex, batched with broadcasting;
smooth, exact at any order. Else a ValueError on the host, NaN elsewhere.
"""

import math

from .._lapack import has_scipy, iterate, on_numpy, run_over
from .._xp import H, eps, eye_like, is_traced, namespace, on_host, raw, raw_namespace, real
from ..tape.core import Op

_SMALL, _MEDIUM = 64, 1024  # mn up to which Kronecker's matrix is formed: always, and where Schur's way is not there
_STEPS, _FIXED = 60, 14  # of the sign iteration: at most on the host, and always elsewhere
_SINGULAR = (
    "{name}: the equation is singular or nearly so (condition above {limit:.1g}): an eigenvalue of its left matrix is "
    "minus one of its right matrix, and no solution has a derivative; or there is NaN or inf in an argument"
)


def route(a, b):
    """The way to the solution for raw arrays ``a`` and ``b``."""
    size = a.shape[-1] * b.shape[-1]
    if size > _SMALL and on_host(a) and has_scipy():
        return "schur"
    return "kronecker" if size <= _MEDIUM else "sign"


def fro(x):
    """Frobenius norm of each matrix, as (..., 1, 1); squares neither overflow nor underflow."""
    xp = namespace(x)
    x = xp.abs(x)
    largest = xp.max(x, axis=(-2, -1), keepdims=True)
    x = x / xp.where(largest > 0.0, largest, 1.0)
    return largest * xp.sqrt(xp.sum(x * x, axis=(-2, -1), keepdims=True))


# ------------------------------------------------------------------------------------- the solvers, on raw arrays


def _kronecker(a, b):
    """C -> X, and where the matrix is numerically singular."""
    xp = namespace(a)
    m, n = a.shape[-1], b.shape[-1]
    k = a[..., :, None, :, None] * eye_like(b)[:, None, :]
    k = k + eye_like(a)[:, None, :, None] * xp.matrix_transpose(b)[..., None, :, None, :]
    k = xp.reshape(k, (*a.shape[:-2], m * n, m * n))

    def solve(c):
        return xp.reshape(xp.linalg.solve(k, xp.reshape(c, (*c.shape[:-2], m * n, 1))), c.shape)

    return solve, fro(k) * fro(xp.linalg.inv(k)) > 0.1 * m * n / eps(a)


def sign_iteration(a, b):
    """C -> X, and where the iteration has not converged."""
    xp = namespace(a)
    same = b is a
    m, n = a.shape[-1], b.shape[-1]
    trace = real(xp.linalg.trace(a)[..., None, None] / m + xp.linalg.trace(b)[..., None, None] / n)
    s = xp.where(trace < 0.0, -1.0, xp.ones_like(trace))
    one_a, one_b = s * eye_like(a), s * eye_like(b)

    def step(state):
        a, b, running = state
        ai = xp.linalg.inv(a)
        bi = ai if same else xp.linalg.inv(b)
        off = xp.maximum(fro(a - one_a), fro(b - one_b))
        mu = xp.sqrt(fro(ai) + fro(bi)) / xp.sqrt(fro(a) + fro(b))
        mu = xp.where(off < 0.1, 1.0, mu)
        record = running, mu, ai, bi
        a = xp.where(running, 0.5 * (mu * a + ai / mu), a)
        b = a if same else xp.where(running, 0.5 * (mu * b + bi / mu), b)
        running = running & (off > 0.1 * eps(a) ** 0.5)  # the step just made was the last
        return (a, b, running), record

    (_, _, running), steps = iterate(step, (a, b, xp.ones_like(s) > 0.0), _STEPS, _FIXED)

    def along(c, record):
        going, mu, ai, bi = record
        return xp.where(going, 0.5 * (mu * c + ai @ c @ bi / mu), c)

    def solve(c):
        return 0.5 * s * run_over(along, c, steps)

    return solve, running


def _schur(a, b, c):
    """X, and where LAPACK had to perturb the equation. NumPy arrays."""
    import numpy as np
    from scipy.linalg import get_lapack_funcs, schur

    x, bad = np.empty_like(c), np.zeros((*c.shape[:-2], 1, 1), dtype=bool)
    (trsyl,) = get_lapack_funcs(("trsyl",), (a, c))
    for i in np.ndindex(c.shape[:-2]):
        ta, ua = schur(a[i], output="real")
        tb, ub = schur(b[i], output="real")
        y, scale, info = trsyl(ta, tb, np.conj(ua.T) @ c[i] @ ub)
        x[i] = (ua @ y @ np.conj(ub.T)) / scale
        bad[i] = info != 0
    return x, bad


def _solve(a, b, c, way, name):
    xp = namespace(a, b, c)
    if 0 in c.shape:
        return c + 0.0
    if way == "schur":
        x, bad = on_numpy(_schur, a, b, c)
    else:
        solve, bad = (sign_iteration if way == "sign" else _kronecker)(a, b)
        x = solve(c)
        for _ in range(2 if way == "sign" else 0):
            x = x + solve(c - a @ x - x @ b)
    size = eps(a) * (fro(a) + fro(b)) * fro(x)
    if way != "sign":  # where the sign has converged, the solution is unique, however large
        bad = bad | ~(0.1 * fro(c) >= size)
    bad = bad | ~(fro(c - a @ x - x @ b) <= 1e3 * size)
    if not on_host(a):
        return xp.where(bad, math.nan, x)
    if bool(xp.any(bad)):
        half = "both spectra in one open half plane are needed here, where SciPy is not: pip install 'arrmb[scipy]'"
        why = _SINGULAR.format(name=name, limit=0.1 / eps(a))
        raise ValueError(f"{why}; {half}" if way == "sign" else why)
    return x


# ----------------------------------------------------------------------------------------------------------- the op


def broadcast_batches(*arrays):
    """The arrays with their leading axes broadcast: not every backend's solver does it."""
    xp = namespace(*arrays)
    batches = {tuple(x.shape[:-2]) for x in arrays}
    if len(batches) == 1:
        return arrays
    none = raw_namespace(xp).broadcast_arrays(*[raw(x)[..., :0, :0] for x in arrays])
    batch = tuple(none[0].shape[:-2])
    return [xp.broadcast_to(x, (*batch, *x.shape[-2:])) for x in arrays]


def _forward(a, b, c, *, way=None, name="solve_sylvester"):
    way = way or route(raw(a), raw(b))
    if is_traced(a) or is_traced(b) or is_traced(c):
        x = sylvester(a, b, c, way=way, name=name)
    else:
        same = b is a
        a, b, c = broadcast_batches(a, b, c)
        x = _solve(a, a if same else b, c, way, name)
    return x, (a, b, x, way, name)


def _variation(saved, da, db, dc):
    a, b, x, way, name = saved
    rhs = dc
    for part in (None if da is None else da @ x, None if db is None else x @ db):
        if part is not None:
            rhs = -part if rhs is None else rhs - part
    return sylvester(a, b, rhs, way=way, name=name)


def _adjoint(saved, xbar):
    a, b, x, way, name = saved
    ah = H(a)
    cbar = sylvester(ah, ah if raw(b) is raw(a) else H(b), xbar, way=way, name=name)
    return -(cbar @ H(x)), -(H(x) @ cbar), cbar


sylvester = Op("solve_sylvester", _forward, _variation, _adjoint)
