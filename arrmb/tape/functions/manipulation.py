"""Rearrangements, and changes of dtype."""

from ..._xp import device, from_front, is_traced, namespace, raw, raw_namespace
from ...ops import indexing, manipulation
from ..core import lift, rebox
from ._lift import lifted


def reshape(x, /, shape, *, copy=None):
    return manipulation.reshape(x, shape=tuple(shape) if isinstance(shape, (tuple, list)) else (shape,))


def permute_dims(x, /, axes):
    return manipulation.permute_dims(x, axes=tuple(axes))


def matrix_transpose(x, /):
    return manipulation.matrix_transpose(x)


def moveaxis(x, source, destination, /):
    sources = source if isinstance(source, tuple) else (source,)
    destinations = destination if isinstance(destination, tuple) else (destination,)
    sources = [from_front(s, x.ndim) for s in sources]
    axes = [i for i in range(x.ndim) if i not in sources]
    for to, s in sorted(zip([from_front(d, x.ndim) for d in destinations], sources)):
        axes.insert(to, s)
    return permute_dims(x, axes)


def expand_dims(x, /, axis=0):
    return manipulation.expand_dims(x, axis=axis)


def squeeze(x, /, axis):
    return manipulation.squeeze(x, axis=axis)


def broadcast_to(x, /, shape):
    return manipulation.broadcast_to(x, shape=tuple(shape))


def broadcast_arrays(*arrays):
    xp = namespace(*arrays)
    shape = raw_namespace(xp).broadcast_arrays(*[raw(x) for x in arrays])[0].shape
    return [broadcast_to(x, shape) for x in arrays]


def flip(x, /, *, axis=None):
    return manipulation.flip(x, axis=axis)


def roll(x, /, shift, *, axis=None):
    return manipulation.roll(x, shift=shift, axis=axis)


def tile(x, repetitions, /):
    return manipulation.tile(x, repetitions=tuple(repetitions))


def repeat(x, repeats, /, *, axis=None):
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    if not hasattr(repeats, "dtype"):
        return manipulation.repeat(x, repeats=repeats, axis=axis)
    below = raw_namespace(namespace(x))
    axis = from_front(axis, x.ndim)
    ends = below.cumulative_sum(below.broadcast_to(raw(repeats), (x.shape[axis],)))
    places = namespace(ends).arange(int(ends[-1]) if ends.shape[0] else 0, dtype=ends.dtype, device=device(x))
    indices = namespace(ends).searchsorted(ends, places, side="right")
    return moveaxis(indexing.take(moveaxis(x, axis, 0), indices=indices), 0, axis)


def tril(x, /, *, k=0):
    return manipulation.tril(x, k=k)


def triu(x, /, *, k=0):
    return manipulation.triu(x, k=k)


def concat(arrays, /, *, axis=0):
    return manipulation.concat(*lifted(arrays), axis=axis)


def stack(arrays, /, *, axis=0):
    arrays = list(arrays)
    axis = from_front(axis, arrays[0].ndim + 1)
    return concat([expand_dims(x, axis=axis) for x in arrays], axis=axis)


def unstack(x, /, *, axis=0):
    return manipulation.unstack(x, axis=from_front(axis, x.ndim))


def meshgrid(*arrays, indexing="xy"):
    n = len(arrays)
    shape = [x.shape[0] for x in arrays]
    grids = []
    for i, x in enumerate(arrays):
        x = reshape(x, tuple(-1 if j == i else 1 for j in range(n)))
        grid = broadcast_to(x, tuple(shape))
        grids.append(permute_dims(grid, (1, 0, *range(2, n))) if indexing == "xy" and n > 1 else grid)
    return grids


def astype(x, dtype, /, *, copy=True, device=None):
    xp = raw_namespace(namespace(x))
    if not xp.isdtype(dtype, ("real floating", "complex floating")):
        return lift(xp.astype(raw(x), dtype, copy=copy))
    if dtype == x.dtype:
        return rebox(x) if copy and is_traced(x) else x
    if xp.isdtype(x.dtype, "complex floating") and xp.isdtype(dtype, "real floating"):
        raise TypeError("astype: a complex array cannot become real; use xp.real(x)")
    return manipulation.astype(x, dtype=dtype)
