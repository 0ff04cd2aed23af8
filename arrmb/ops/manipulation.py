"""Rearrangements of an array: linear maps, each with its transpose.

    dY = f(dX)                       <Ybar, f(dX)> = <f^T(Ybar), dX>

Source: the transposes of linear maps; Griewank and Walther, "Evaluating Derivatives" (2nd ed., 2008), 3.1 and 3.2.
Domain: everywhere, any order, any dtype.
"""

import math

from .._xp import device, flipped, is_traced, namespace
from ..tape.core import Op


def linear(name, f, transpose):
    """An op linear in its array: ``f(x, **params)``, and ``transpose(ybar, shape of x, **params)``."""

    def forward(x, **params):
        return f(x, **params), (x.shape, params)

    def variation(saved, dx):
        return f(dx, **saved[1])

    def adjoint(saved, ybar):
        return transpose(ybar, saved[0], **saved[1])

    return Op(name, forward, variation, adjoint)


def _to_shape(ybar, before, /, **params):
    return namespace(ybar).reshape(ybar, before)


reshape = linear("reshape", lambda x, *, shape: namespace(x).reshape(x, shape), _to_shape)
expand_dims = linear("expand_dims", lambda x, *, axis: namespace(x).expand_dims(x, axis=axis), _to_shape)
squeeze = linear("squeeze", lambda x, *, axis: namespace(x).squeeze(x, axis=axis), _to_shape)
broadcast_to = linear(
    "broadcast_to",
    lambda x, *, shape: namespace(x).broadcast_to(x, shape),
    lambda ybar, _, *, shape: ybar,  # the engine sums over broadcast axes
)
astype = linear(
    "astype",
    lambda x, *, dtype: namespace(x).astype(x, dtype),
    lambda ybar, _, *, dtype: ybar,  # the engine gives it the dtype of x
)


# to_device: the identity, and its cotangent goes back to where x is


def _move(x, target):
    if is_traced(x):
        return to_device(x, target=target)
    import array_api_compat

    moved = array_api_compat.to_device(x, target)
    if namespace(moved) is not namespace(x):
        raise TypeError(f"to_device: {target!r} is not a device of {namespace(x).__name__}; return x, then convert it")
    return moved


to_device = Op(
    "to_device",
    lambda x, *, target: (_move(x, target), (device(x), target)),
    lambda saved, dx: _move(dx, saved[1]),
    lambda saved, ybar: _move(ybar, saved[0]),
)


def _unpermute(ybar, _, *, axes):
    inverse = sorted(range(len(axes)), key=[a % len(axes) for a in axes].__getitem__)
    return namespace(ybar).permute_dims(ybar, tuple(inverse))


permute_dims = linear("permute_dims", lambda x, *, axes: namespace(x).permute_dims(x, axes), _unpermute)
matrix_transpose = linear(
    "matrix_transpose",
    lambda x: namespace(x).matrix_transpose(x),
    lambda ybar, _: namespace(ybar).matrix_transpose(ybar),
)
flip = linear("flip", lambda x, *, axis: flipped(x, axis), lambda ybar, _, *, axis: flipped(ybar, axis))


def _unroll(ybar, _, *, shift, axis):
    back = tuple(-s for s in shift) if isinstance(shift, tuple) else -shift
    return namespace(ybar).roll(ybar, back, axis=axis)


roll = linear("roll", lambda x, *, shift, axis: namespace(x).roll(x, shift, axis=axis), _unroll)
tril = linear(
    "tril",
    lambda x, *, k: namespace(x).tril(x, k=k),
    lambda ybar, _, *, k: namespace(ybar).tril(ybar, k=k),
)
triu = linear(
    "triu",
    lambda x, *, k: namespace(x).triu(x, k=k),
    lambda ybar, _, *, k: namespace(ybar).triu(ybar, k=k),
)


def _untile(ybar, shape, *, repetitions):
    ndim = max(len(shape), len(repetitions))
    shape = (1,) * (ndim - len(shape)) + tuple(shape)
    repetitions = (1,) * (ndim - len(repetitions)) + tuple(repetitions)
    pairs = [n for pair in zip(repetitions, shape) for n in pair]
    xp = namespace(ybar)
    return xp.sum(xp.reshape(ybar, tuple(pairs)), axis=tuple(range(0, 2 * ndim, 2)))


tile = linear("tile", lambda x, *, repetitions: namespace(x).tile(x, repetitions), _untile)


def _unrepeat(ybar, shape, *, repeats, axis):
    axis = axis % len(shape)
    split = (*shape[: axis + 1], repeats, *shape[axis + 1 :])
    xp = namespace(ybar)
    return xp.sum(xp.reshape(ybar, split), axis=axis + 1)


repeat = linear("repeat", lambda x, *, repeats, axis: namespace(x).repeat(x, repeats, axis=axis), _unrepeat)


# diagonal of the last two axes, and its transpose


def _diagonal(x, *, offset):
    return namespace(x).linalg.diagonal(x, offset=offset)


def _from_diagonal(ybar, shape, *, offset):
    xp = namespace(ybar)
    n, m = shape[-2:]
    k = ybar.shape[-1]
    if k == 0:  # beyond the corner
        return xp.zeros(shape, dtype=ybar.dtype, device=device(ybar))
    rows = embed(ybar, axis=-1, before=max(-offset, 0), after=n - k - max(-offset, 0))
    onto = xp.eye(n, m, k=offset, dtype=ybar.dtype, device=device(ybar))
    return rows[..., None] * onto


diagonal = linear("diagonal", _diagonal, _from_diagonal)


# embed: zeros around an array along one axis, and its transpose, the slice


def _embed(x, *, axis, before, after):
    xp = namespace(x)
    axis = axis % len(x.shape)

    def zeros(n):
        return xp.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), dtype=x.dtype, device=device(x))

    return xp.concat([zeros(before), x, zeros(after)], axis=axis)


def _unembed(ybar, shape, *, axis, before, after):
    axis = axis % len(shape)
    return ybar[(slice(None),) * axis + (slice(before, before + shape[axis]), ...)]


embed = linear("embed", _embed, _unembed)


# concat and stack: several arrays to one


def _concat_forward(*xs, axis):
    return namespace(*xs).concat(list(xs), axis=axis), ([x.shape for x in xs], axis)


def _concat_variation(saved, *dxs):
    shapes, axis = saved
    like = next(dx for dx in dxs if dx is not None)
    xp = namespace(like)
    dxs = [
        xp.zeros(shape, dtype=like.dtype, device=device(like)) if dx is None else dx for dx, shape in zip(dxs, shapes)
    ]
    return xp.concat(dxs, axis=axis)


def _concat_adjoint(saved, ybar):
    shapes, axis = saved
    if axis is None:
        ends = [math.prod(shape) for shape in shapes]
        axis = 0
    else:
        axis = axis % len(ybar.shape)
        ends = [shape[axis] for shape in shapes]
    parts, start = [], 0
    for n, shape in zip(ends, shapes):
        part = ybar[(slice(None),) * axis + (slice(start, start + n), ...)]
        parts.append(namespace(part).reshape(part, shape))
        start += n
    return tuple(parts)


concat = Op("concat", _concat_forward, _concat_variation, _concat_adjoint)


# unstack: one array to several. One op for all of them: its transpose fills one array, not one per part


def _unstack_forward(x, *, axis):
    if is_traced(x):
        return unstack(x, axis=axis), (x.shape, axis)
    return tuple([x[(slice(None),) * axis + (i, ...)] for i in range(x.shape[axis])]), (x.shape, axis)


def _unstack_variation(saved, dx):
    return unstack(dx, axis=saved[1])


def _unstack_adjoint(saved, *ybars):
    shape, axis = saved
    like = next(ybar for ybar in ybars if ybar is not None)
    xp = namespace(like)
    zero = xp.zeros((*shape[:axis], *shape[axis + 1 :]), dtype=like.dtype, device=device(like))
    return xp.stack([zero if ybar is None else ybar for ybar in ybars], axis=axis)


unstack = Op("unstack", _unstack_forward, _unstack_variation, _unstack_adjoint)
