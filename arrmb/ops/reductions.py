"""Reductions along axes: sum, max, min, and the running sum.

    sum         dY = sum(dX)             Xbar = Ybar spread over the reduced axes
    max, min    dY = sum(W ∘ dX)         Xbar = W ∘ Ybar,  W = 1/(number of tied entries) where X = Y, 0 elsewhere
    cumsum      dY = cumsum(dX)          Xbar = running sum of Ybar from the other end

mean, var, std, prod and cumulative_prod are written with these and with products (`arrmb.tape.functions`): exact to any
order, at zeros of a product as well.

Source: the transposes of linear maps; Griewank and Walther, "Evaluating Derivatives" (2nd ed., 2008), 3.1 and 3.2.
Domain: sum and cumsum everywhere, empty axes included.
max, min: piecewise linear; at a tie, over one axis or several, the tied entries share the derivative equally.
"""

from .._xp import from_front, namespace
from ..tape.core import Op
from .manipulation import linear


def reduced_axes(ndim, axis):
    """The reduced axes as a tuple of non-negative integers."""
    if axis is None:
        return tuple(range(ndim))
    return tuple([from_front(a, ndim) for a in (axis if isinstance(axis, tuple) else (axis,))])


def _spread(ybar, shape, *, axis, keepdims):
    xp = namespace(ybar)
    if ybar.shape != ():
        axes = reduced_axes(len(shape), axis)
        ybar = xp.reshape(ybar, tuple([1 if i in axes else n for i, n in enumerate(shape)]))
    return xp.broadcast_to(ybar, shape)


sum = linear("sum", lambda x, *, axis, keepdims: namespace(x).sum(x, axis=axis, keepdims=keepdims), _spread)


def _reverse_cumulate(ybar, _, *, axis):
    xp = namespace(ybar)
    return xp.flip(xp.cumulative_sum(xp.flip(ybar, axis=axis), axis=axis), axis=axis)


cumulative_sum = linear(
    "cumulative_sum", lambda x, *, axis: namespace(x).cumulative_sum(x, axis=axis), _reverse_cumulate
)


def _extremum(name):
    def forward(x, *, axis, keepdims):
        xp = namespace(x)
        y = getattr(xp, name)(x, axis=axis, keepdims=True)
        hit = (x == y) | (x != x)  # y is NaN where an entry is: that entry has the derivative
        tied = xp.sum(xp.astype(hit, x.dtype), axis=axis, keepdims=True)
        if not keepdims:
            axes = reduced_axes(y.ndim, axis)
            y = xp.reshape(y, tuple(n for i, n in enumerate(y.shape) if i not in axes))
        return y, (hit, tied, axis, keepdims)

    def shared(hit, v, tied):  # selected, not multiplied by 0: v may be infinite elsewhere
        xp = namespace(v)
        return xp.where(hit, v / tied, xp.zeros_like(v))

    def variation(saved, dx):
        hit, tied, axis, keepdims = saved
        return namespace(dx).sum(shared(hit, dx, tied), axis=axis, keepdims=keepdims)

    def adjoint(saved, ybar):
        hit, tied, axis, keepdims = saved
        return shared(hit, _spread(ybar, hit.shape, axis=axis, keepdims=keepdims), tied)

    return Op(name, forward, variation, adjoint)


max = _extremum("max")
min = _extremum("min")
