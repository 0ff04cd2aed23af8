"""Inverse of a square matrix and linear systems.

    inv     Y = X^-1         Y X = I    =>  dY = -Y dX Y
                             <Ybar, -Y dX Y> = <-Y^H Ybar Y^H, dX>

    solve   X = A^-1 B       A X = B    =>  dX = A^-1 (dB - dA X)
                             Bbar = A^-H Xbar,   Abar = -Bbar X^H

A vector B (one-dimensional, as the standard has it) takes part as a column. One factorisation per pass.

Source: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), 2.2.3 and 2.3.1.
Domain: square, full rank, real or complex, batched with broadcasting; smooth, exact at any order.
"""

from .._threads import over_batch
from .._xp import H, namespace, raw, raw_namespace
from ..tape.core import Op


def _inv_forward(x):
    y = namespace(x).linalg.inv(x)
    return y, (y,)


def _inv_variation(saved, dx):
    (y,) = saved
    return -(y @ dx @ y)


def _inv_adjoint(saved, ybar):
    (y,) = saved
    return -(H(y) @ ybar @ H(y))


inv = Op("inv", *over_batch(_inv_forward, _inv_variation, _inv_adjoint, cost=3.0))


# solve


def _solve(a, b):
    """A^-1 B for stacks of matrices. Not every backend broadcasts here, so the batches are made equal first."""
    xp = namespace(a, b)
    if a.shape[:-2] != b.shape[:-2]:
        none = raw_namespace(xp).broadcast_arrays(raw(a)[..., :0, :0], raw(b)[..., :0, :0])
        batch = tuple(none[0].shape[:-2])
        a, b = xp.broadcast_to(a, (*batch, *a.shape[-2:])), xp.broadcast_to(b, (*batch, *b.shape[-2:]))
    return xp.linalg.solve(a, b)


def _solve_forward(a, b):
    vector = len(b.shape) == 1
    x = _solve(a, b[:, None] if vector else b)
    return x[..., 0] if vector else x, (a, x, vector)


def _solve_variation(saved, da, db):
    a, x, vector = saved
    rhs = None if da is None else -(da @ x)
    if db is not None:
        db = db[:, None] if vector else db
        rhs = db if rhs is None else rhs + db
    dx = _solve(a, rhs)
    return dx[..., 0] if vector else dx


def _solve_adjoint(saved, xbar):
    a, x, vector = saved
    bbar = _solve(H(a), xbar[..., None] if vector else xbar)
    return -(bbar @ H(x)), bbar[..., 0] if vector else bbar


solve = Op("solve", *over_batch(_solve_forward, _solve_variation, _solve_adjoint, cost=3.0))
