"""Products that are in the main namespace of the standard."""

import math

from ..._xp import from_front, is_inexact
from ...ops import elementwise
from ...ops import matmul as _matmul
from ._lift import by_backend, lifted
from .manipulation import permute_dims, reshape
from .statistical import sum


def matmul(x1, x2, /):
    return _matmul.matmul(*lifted((x1, x2)))


def vecdot(x1, x2, /, *, axis=-1):
    if axis >= 0 or axis < -min(x1.ndim, x2.ndim) or x1.shape[axis] != x2.shape[axis]:
        raise ValueError(
            "vecdot: x1 and x2 must have vectors of one length along a negative axis, got shapes "
            f"{tuple(x1.shape)} and {tuple(x2.shape)} and axis {axis}"
        )
    if not is_inexact(x1) and not is_inexact(x2):
        return by_backend("vecdot", x1, x2, axis=axis)
    x1, x2 = lifted((x1, x2))
    return sum(elementwise.conjugate(x1) * x2, axis=axis)


def tensordot(x1, x2, /, *, axes=2):
    x1, x2 = lifted((x1, x2))
    if isinstance(axes, int):
        first, second = list(range(x1.ndim - axes, x1.ndim)), list(range(axes))
    else:
        first, second = ([from_front(a, x.ndim) for a in of] for x, of in zip((x1, x2), axes))
    free1 = [i for i in range(x1.ndim) if i not in first]
    free2 = [i for i in range(x2.ndim) if i not in second]
    n = math.prod(x1.shape[i] for i in first)
    rows = reshape(permute_dims(x1, (*free1, *first)), (math.prod(x1.shape[i] for i in free1), n))
    columns = reshape(permute_dims(x2, (*second, *free2)), (n, math.prod(x2.shape[i] for i in free2)))
    shape = [x1.shape[i] for i in free1] + [x2.shape[i] for i in free2]
    return reshape(_matmul.matmul(rows, columns), tuple(shape))
