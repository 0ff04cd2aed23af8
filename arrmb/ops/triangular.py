"""Triangular systems, T X = B, T the lower or upper triangle of A, with its diagonal or with ones there.

    T dX = dB - dT X          Bbar = T^-H Xbar,   Abar = -triangle(Bbar X^H)

The other triangle of A is not looked at, and has no gradient; nor has the diagonal where it is taken as one.

Source: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), 2.3.1.
Domain: square A without zeros on the diagonal of T, real or complex, batched with broadcasting; smooth, exact at any
order.
"""

from .._lapack import solve_triangle
from .._xp import H, is_traced, namespace
from ..tape.core import Op
from .solve_sylvester import broadcast_batches


def _triangle(x, lower, unit_diagonal):
    xp, k = namespace(x), int(unit_diagonal)
    return xp.tril(x, k=-k) if lower else xp.triu(x, k=k)


def _forward(a, b, *, lower, unit_diagonal):
    if is_traced(a) or is_traced(b):
        x = solve_triangular(a, b, lower=lower, unit_diagonal=unit_diagonal)
    else:
        x = solve_triangle(*broadcast_batches(a, b), lower, unit_diagonal)
    return x, (a, x, lower, unit_diagonal)


def _variation(saved, da, db):
    a, x, lower, unit = saved
    rhs = None if da is None else -(_triangle(da, lower, unit) @ x)
    if db is not None:
        rhs = db if rhs is None else rhs + db
    return solve_triangular(a, rhs, lower=lower, unit_diagonal=unit)


def _adjoint(saved, xbar):
    a, x, lower, unit = saved
    bbar = solve_triangular(H(a), xbar, lower=not lower, unit_diagonal=unit)
    return -_triangle(bbar @ H(x), lower, unit), bbar


solve_triangular = Op("solve_triangular", _forward, _variation, _adjoint)
