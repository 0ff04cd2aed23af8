"""Matrix product, Y = A B, batched, with vectors as the standard has them.

    dY = dA B + A dB                 <Ybar, dA B> = <Ybar B^H, dA>,  <Ybar, A dB> = <A^H Ybar, dB>

Source: Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), 2.2.2.
Domain: everywhere, any order; a cotangent is summed over broadcast batch axes by the engine.
"""

import math

from .._threads import product
from .._xp import H, conj, namespace
from ..tape.core import Op

# A vector a takes part as a row (1, n), a vector b as a column (n, 1); the axis of 1 is missing from y.


def _times(a, b):
    """A B; PyTorch's operator does not promote, the function of its namespace does."""
    return product(a, b) if a.dtype == b.dtype else namespace(a, b).matmul(a, b)


def _forward(a, b):
    return _times(a, b), (a, b)


def _da(saved, da):
    return _times(da, saved[1])


def _db(saved, db):
    return _times(saved[0], db)


def _abar(saved, ybar):
    a, b = saved
    if len(b.shape) == 1:
        return ybar[..., None] * conj(b)
    if len(a.shape) == 1:
        return (ybar[..., None, :] @ H(b))[..., 0, :]
    return _times(ybar, H(b))


def _bbar(saved, ybar):
    a, b = saved
    if len(a.shape) == 1:
        return conj(a) * ybar if len(b.shape) == 1 else conj(a)[:, None] * ybar[..., None, :]
    if len(b.shape) == 1:
        return (H(a) @ ybar[..., None])[..., 0]
    if len(b.shape) == 2 and len(a.shape) > 2:  # the sum over the batch is part of one product, not taken afterwards
        a, ybar = _rows(a), _rows(ybar)
    return _times(H(a), ybar)


def _rows(x):
    return namespace(x).reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


matmul = Op("matmul", _forward, (_da, _db), (_abar, _bbar))
