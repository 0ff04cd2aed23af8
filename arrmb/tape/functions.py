"""The functions of the Array API standard, on traced arrays, under their own names and signatures.

Each is one op or a few. `namespace.py` offers them as the namespace of a traced array; raw arrays are welcome too.
"""

import math

from .._xp import device, is_traced, namespace, raw, raw_namespace
from ..ops import arithmetic, elementwise, indexing, manipulation, reductions
from ..ops import matmul as _matmul
from .core import lift

# ------------------------------------------------------------------------------------------------- elementwise


def _unary(op):
    def function(x, /):
        return op(x)

    function.op = op
    return function


_ONE = "exp expm1 log log1p log2 log10 sqrt square reciprocal sin cos tan asin acos atan sinh cosh tanh asinh acosh"
for _name in f"{_ONE} atanh negative abs real imag".split():
    globals()[_name] = _unary(getattr(elementwise, _name))
conj = _unary(elementwise.conjugate)


def positive(x, /):
    return x


def _array(x, like):
    return x if hasattr(x, "dtype") else namespace(like).asarray(x, dtype=like.dtype, device=device(like))


def _binary(op):
    def function(x1, x2, /):
        return op(*_lifted((_array(x1, x2), _array(x2, x1))))

    return function


for _name in "add subtract multiply divide remainder atan2 hypot logaddexp maximum minimum".split():
    globals()[_name] = _binary(getattr(arithmetic, _name))
pow = _binary(arithmetic.power)


def where(condition, x1, x2, /):
    return arithmetic.where(raw(condition), *_lifted((_array(x1, x2), _array(x2, x1))))


def clip(x, /, min=None, max=None):
    if not hasattr(min, "dtype") and not hasattr(max, "dtype"):
        return arithmetic.clip(x, low=min, high=max)
    if min is not None:
        x = maximum(x, min)  # noqa: F821
    return x if max is None else minimum(x, max)  # noqa: F821


def copysign(x1, x2, /):
    same = namespace(x1).signbit(x1) == namespace(x2).signbit(x2)
    return where(same, x1, -x1)


# -------------------------------------------------------------------------------------------------- reductions


def sum(x, /, *, axis=None, dtype=None, keepdims=False):
    return reductions.sum(x if dtype is None else astype(x, dtype), axis=axis, keepdims=keepdims)


def max(x, /, *, axis=None, keepdims=False):
    return reductions.max(x, axis=axis, keepdims=keepdims)


def min(x, /, *, axis=None, keepdims=False):
    return reductions.min(x, axis=axis, keepdims=keepdims)


def _count(x, axis):
    return math.prod(x.shape[a] for a in reductions.reduced_axes(x.ndim, axis))


def mean(x, /, *, axis=None, keepdims=False):
    n = _count(x, axis)
    return _times(sum(x, axis=axis, keepdims=keepdims), 1.0 / n if n else math.nan)


def _times(x, factor):
    y = x * factor
    return y if y.dtype == x.dtype else astype(y, x.dtype)  # NumPy 1.x widens 0-d arrays


def var(x, /, *, axis=None, correction=0.0, keepdims=False):
    from_mean = x - mean(x, axis=axis, keepdims=True)
    n = _count(x, axis) - correction
    return _times(sum(from_mean * from_mean, axis=axis, keepdims=keepdims), 1.0 / n if n > 0 else math.nan)


def std(x, /, *, axis=None, correction=0.0, keepdims=False):
    return elementwise.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def prod(x, /, *, axis=None, dtype=None, keepdims=False):
    """Product by a tree of pairwise products: its derivatives are right where entries are zero."""
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
    return 0 if axis is None else axis % x.ndim


def _along(axis, part):
    return (slice(None),) * axis + (part, ...)


def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    axis = _scan_axis(x, axis)
    y = reductions.cumulative_sum(x if dtype is None else astype(x, dtype), axis=axis)
    return manipulation.embed(y, axis=axis, before=1, after=0) if include_initial else y


def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    """Running product by doubling strides: its derivatives are right where entries are zero."""
    axis = _scan_axis(x, axis)
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
    axis = axis % x.ndim
    parts = [part for part in (prepend, x, append) if part is not None]
    x = concat(parts, axis=axis) if len(parts) > 1 else x
    for _ in range(n):
        x = x[_along(axis, slice(1, None))] - x[_along(axis, slice(None, -1))]
    return x


# ------------------------------------------------------------------------------------------------ manipulation


def reshape(x, /, shape, *, copy=None):
    return manipulation.reshape(x, shape=tuple(shape) if isinstance(shape, (tuple, list)) else (shape,))


def permute_dims(x, /, axes):
    return manipulation.permute_dims(x, axes=tuple(axes))


def matrix_transpose(x, /):
    return manipulation.matrix_transpose(x)


def moveaxis(x, source, destination, /):
    sources = source if isinstance(source, tuple) else (source,)
    destinations = destination if isinstance(destination, tuple) else (destination,)
    sources = [s % x.ndim for s in sources]
    axes = [i for i in range(x.ndim) if i not in sources]
    for to, s in sorted(zip([d % x.ndim for d in destinations], sources)):
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
    ends = raw_namespace(namespace(x)).cumulative_sum(raw(repeats))
    places = namespace(ends).arange(int(ends[-1]) if ends.shape[0] else 0, dtype=ends.dtype, device=device(x))
    return take(x, namespace(ends).searchsorted(ends, places, side="right"), axis=axis)


def tril(x, /, *, k=0):
    return manipulation.tril(x, k=k)


def triu(x, /, *, k=0):
    return manipulation.triu(x, k=k)


def concat(arrays, /, *, axis=0):
    return manipulation.concat(*_lifted(arrays), axis=axis)


def stack(arrays, /, *, axis=0):
    arrays = list(arrays)
    axis = axis % (arrays[0].ndim + 1)
    return concat([expand_dims(x, axis=axis) for x in arrays], axis=axis)


def unstack(x, /, *, axis=0):
    return manipulation.unstack(x, axis=axis % x.ndim)


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
        return x
    if xp.isdtype(x.dtype, "complex floating") and xp.isdtype(dtype, "real floating"):
        raise TypeError("astype: a complex array cannot become real; use xp.real(x)")
    return manipulation.astype(x, dtype=dtype)


def _lifted(arrays):
    """The arrays, lifted if one of them is traced: concat and others take the arrays of one kind only."""
    arrays = list(arrays)
    namespace(*arrays)
    return [lift(x) for x in arrays] if any(is_traced(x) for x in arrays) else arrays


# -------------------------------------------------------------------------------- indexing, searching, sorting


def take(x, indices, /, *, axis=None):
    axis = 0 if axis is None else axis % x.ndim
    indices = raw(indices)
    if axis == 0:
        return indexing.take(x, indices=indices)
    return moveaxis(indexing.take(moveaxis(x, axis, 0), indices=indices), 0, axis)


def take_along_axis(x, indices, /, *, axis=-1):
    xp = raw_namespace(namespace(x))
    axis = axis % x.ndim
    grid = xp.reshape(xp.arange(math.prod(x.shape), device=device(x)), x.shape)
    places = xp.take_along_axis(grid, raw(indices), axis=axis)
    flat = indexing.take(reshape(x, (-1,)), indices=xp.reshape(places, (-1,)))
    return reshape(flat, places.shape)


def sort(x, /, *, axis=-1, descending=False, stable=True):
    xp = raw_namespace(namespace(x))
    return take_along_axis(x, xp.argsort(raw(x), axis=axis, descending=descending, stable=stable), axis=axis)


# ---------------------------------------------------------------------------------------------- linear algebra


def matmul(x1, x2, /):
    return _matmul.matmul(*_lifted((x1, x2)))


def vecdot(x1, x2, /, *, axis=-1):
    x1, x2 = _lifted((x1, x2))
    return sum(elementwise.conjugate(x1) * x2, axis=axis)


def tensordot(x1, x2, /, *, axes=2):
    x1, x2 = _lifted((x1, x2))
    if isinstance(axes, int):
        first, second = list(range(x1.ndim - axes, x1.ndim)), list(range(axes))
    else:
        first, second = [a % x1.ndim for a in axes[0]], [a % x2.ndim for a in axes[1]]
    free1 = [i for i in range(x1.ndim) if i not in first]
    free2 = [i for i in range(x2.ndim) if i not in second]
    n = math.prod(x1.shape[i] for i in first)
    rows = reshape(permute_dims(x1, (*free1, *first)), (math.prod(x1.shape[i] for i in free1), n))
    columns = reshape(permute_dims(x2, (*second, *free2)), (n, math.prod(x2.shape[i] for i in free2)))
    shape = [x1.shape[i] for i in free1] + [x2.shape[i] for i in free2]
    return reshape(_matmul.matmul(rows, columns), tuple(shape))
