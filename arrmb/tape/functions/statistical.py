"""Reductions and running sums and products.

Domain: as the ops have it (`arrmb.ops.reductions`), and
mean: NaN over no entries. var, std: NaN where the correction leaves no entries.
std: at constant input, where it has a kink, the derivative is taken as 0, all orders.
prod, cumulative_prod: any order, at any number of zeros.
"""

import math

from ..._xp import device, from_front, is_complex, is_inexact, is_traced, namespace
from ...ops import elementwise, manipulation, reductions
from ..core import rebox
from ._lift import by_backend
from .elementwise import where
from .manipulation import astype, concat, permute_dims, reshape


def sum(x, /, *, axis=None, dtype=None, keepdims=False):
    if not is_inexact(x):  # integers and booleans have no derivative: the backend's own rules of promotion
        return by_backend("sum", x, axis=axis, dtype=dtype, keepdims=keepdims)
    return reductions.sum(x if dtype is None else astype(x, dtype), axis=axis, keepdims=keepdims)


def max(x, /, *, axis=None, keepdims=False):
    if not is_inexact(x):
        return by_backend("max", x, axis=axis, keepdims=keepdims)
    return reductions.max(x, axis=axis, keepdims=keepdims)


def min(x, /, *, axis=None, keepdims=False):
    if not is_inexact(x):
        return by_backend("min", x, axis=axis, keepdims=keepdims)
    return reductions.min(x, axis=axis, keepdims=keepdims)


def _count(x, axis):
    return math.prod(x.shape[a] for a in reductions.reduced_axes(x.ndim, axis))


def mean(x, /, *, axis=None, keepdims=False):
    if not is_inexact(x):
        return by_backend("mean", x, axis=axis, keepdims=keepdims)
    return _over(sum(x, axis=axis, keepdims=keepdims), _count(x, axis))


def _over(x, n):
    """``x / n``, not times 1/n: the mean of equal entries is that entry, as the backend has it."""
    y = x / n if n > 0 else x * math.nan
    return y if y.dtype == x.dtype else astype(y, x.dtype)  # NumPy 1.x widens 0-d arrays


def var(x, /, *, axis=None, correction=0.0, keepdims=False):
    if not is_inexact(x):
        return by_backend("var", x, axis=axis, correction=correction, keepdims=keepdims)
    from_mean = x - mean(x, axis=axis, keepdims=True)
    n = _count(x, axis) - correction
    squares = elementwise.real(from_mean * elementwise.conjugate(from_mean)) if is_complex(x) else from_mean * from_mean
    return _over(sum(squares, axis=axis, keepdims=keepdims), n)


def std(x, /, *, axis=None, correction=0.0, keepdims=False):
    if not is_inexact(x):
        return by_backend("std", x, axis=axis, correction=correction, keepdims=keepdims)
    y = var(x, axis=axis, correction=correction, keepdims=keepdims)
    constant = y == 0.0  # there sqrt has no finite derivative
    return where(constant, 0.0, elementwise.sqrt(where(constant, 1.0, y)))


def prod(x, /, *, axis=None, dtype=None, keepdims=False):
    """Product by a tree of pairwise products: its derivatives are right where entries are zero."""
    if not is_inexact(x):
        return by_backend("prod", x, axis=axis, dtype=dtype, keepdims=keepdims)
    x = x if dtype is None else astype(x, dtype)
    shape, axes = x.shape, reductions.reduced_axes(x.ndim, axis)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    x = reshape(permute_dims(x, (*kept, *axes)), (*(shape[i] for i in kept), math.prod(shape[i] for i in axes)))
    if x.shape[-1] == 0:
        x = namespace(x).ones((*x.shape[:-1], 1), dtype=x.dtype, device=device(x))
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        pairs = x[..., :half] * x[..., half : 2 * half]
        x = pairs if x.shape[-1] == 2 * half else concat([pairs, x[..., 2 * half :]], axis=-1)
    return reshape(x, tuple(1 if i in axes else n for i, n in enumerate(shape) if keepdims or i not in axes))


def _scan_axis(x, axis):
    if axis is None and x.ndim != 1:
        raise ValueError("cumulative_sum, cumulative_prod: axis is required for arrays of other than one dimension")
    return 0 if axis is None else from_front(axis, x.ndim)


def _along(axis, part):
    return (slice(None),) * axis + (part, ...)


def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    axis = _scan_axis(x, axis)
    if not is_inexact(x):
        return by_backend("cumulative_sum", x, axis=axis, dtype=dtype, include_initial=include_initial)
    y = reductions.cumulative_sum(x if dtype is None else astype(x, dtype), axis=axis)
    return manipulation.embed(y, axis=axis, before=1, after=0) if include_initial else y


def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    """Running product by doubling strides: its derivatives are right where entries are zero."""
    axis = _scan_axis(x, axis)
    if not is_inexact(x):
        return by_backend("cumulative_prod", x, axis=axis, dtype=dtype, include_initial=include_initial)
    y = x if dtype is None else astype(x, dtype)
    step, n = 1, y.shape[axis]
    while step < n:
        products = y[_along(axis, slice(step, None))] * y[_along(axis, slice(None, n - step))]
        y = concat([y[_along(axis, slice(None, step))], products], axis=axis)
        step *= 2
    if include_initial:
        one = namespace(x).ones((*x.shape[:axis], 1, *x.shape[axis + 1 :]), dtype=y.dtype, device=device(x))
        y = concat([one, y], axis=axis)
    return y


def diff(x, /, *, axis=-1, n=1, prepend=None, append=None):
    if n == 0:
        return rebox(x) if is_traced(x) else x
    axis = from_front(axis, x.ndim)
    parts = [part for part in (prepend, x, append) if part is not None]
    x = concat(parts, axis=axis) if len(parts) > 1 else x
    for _ in range(n):
        if x.shape[axis] == 0:  # a slice from 1 would start outside
            break
        x = x[_along(axis, slice(1, None))] - x[_along(axis, slice(None, -1))]
    return x
