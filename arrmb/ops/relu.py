"""Rectifier, Y = max(X, 0).

    dY = M ∘ dX,  M = 1 where X > 0, 0 elsewhere          <Ybar, M ∘ dX> = <M ∘ Ybar, dX>

Source: Nair, Hinton, "Rectified linear units improve restricted Boltzmann machines" (2010).
Domain: real; piecewise linear, any order away from the kink. At x = 0 the derivative is taken as 0. NaN stays NaN.
"""

from .._xp import namespace
from ..tape.core import Op


def forward(x):
    return namespace(x).maximum(x, 0.0), (x > 0.0,)


def _masked(saved, v):
    return v * namespace(v).astype(saved[0], v.dtype)


relu = Op("relu", forward, _masked, _masked)
