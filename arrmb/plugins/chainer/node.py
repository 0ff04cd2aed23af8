"""A function of arrmb as a node of Chainer's graph.

The forward pass runs the function once, on the arrays of the Variables, and keeps arrmb's pullback for the backward
pass. Where Chainer wants the backward pass itself to be differentiable (``enable_double_backprop``), the pullback is a
function of inputs and cotangents like any other, and becomes a node of its own, of the inputs that were retained. So
every order is as exact as it is in arrmb.
"""

from __future__ import annotations

import functools

import chainerx
import numpy
from chainer import FunctionNode, Variable, config
from chainer.backends import cuda

from ... import tree
from ...transforms import _pull, _record, vjp
from .._mirror import take_apart


def function(f):
    """``f`` as a differentiable function of Chainer.

    Parameters
    ----------
    f : callable
        Function of pytrees of arrays, written with arrmb's functions or those of the arrays' namespace,
        ``xp = arrmb.namespace(x)``. It gets arrays where Variables are passed, and returns a pytree of arrays.

    Returns
    -------
    callable
        Takes Variables and arrays (NumPy or CuPy), in pytrees as ``f`` does: dicts, lists, arrmb's layers. Returns
        Variables where ``f`` returns arrays, in the same structure. Derivatives are taken with respect to the Variables
        of real floating-point numbers that require a gradient; everything else is constant.

    Raises
    ------
    TypeError
        ``f`` is not a function. Of the call: an array of another library, arrays on CPU and GPU in one call, float16,
        or complex numbers on the way to a gradient: Chainer's own functions have no rule for them.
    ValueError
        Of the call: a Parameter that is not initialized.
    """
    if not callable(f):
        raise TypeError(f"function: f must be a function, got {type(f).__name__}")

    @functools.wraps(f, updated=())
    def of_variables(*args, **kwargs):
        return apply(getattr(f, "__name__", type(f).__name__), f, args, kwargs)

    return of_variables


def apply(name, f, args, kwargs=None):
    """``f(*args, **kwargs)`` for trees with Variables and arrays, as one node that is called ``name``."""
    args, kwargs = tree.map(_plain_scalar, (args, kwargs or {}))
    inputs, put_together = take_apart(
        name, args, kwargs, _is_array, "expected Variables, NumPy or CuPy arrays: numpy.asarray(x)"
    )
    _check(name, inputs)
    wanted = [i for i, x in enumerate(inputs) if _is_differentiable(x)]

    def f_of_wanted(arrays, constants):
        full = list(constants)
        for i, x in zip(wanted, arrays):
            full[i] = x
        args, kwargs = put_together(full)
        try:
            return f(*args, **kwargs)
        except TypeError as error:
            if "Traced" not in str(error) or "\nActual: " not in str(error):
                raise
            raise TypeError(
                f"{name}: a function of Chainer met an array of arrmb: inside, use arrmb's functions and "
                "those of xp = arrmb.namespace(x)"
            ) from error

    node = ArrmbFunction(name, f_of_wanted, wanted)
    return node.results(node.apply(tuple(inputs)))


class ArrmbFunction(FunctionNode):
    """The node of ``f(arrays, constants)``: the arrays are those of the inputs ``wanted``, the constants all inputs."""

    def __init__(self, name, f, wanted):
        self.name, self.f, self.wanted = name, f, wanted

    @property
    def label(self):
        return self.name

    _impl_name = label  # what Chainer's profilers show

    def forward(self, inputs):
        f, chosen = self.f, tuple([inputs[i] for i in self.wanted])
        if config.enable_backprop and chosen:
            self.retain_inputs(self.wanted)
            self.f = lambda *arrays: f(arrays, inputs)
            y, trace, traced, _, (outputs, _) = _record(self.f, chosen)
            self.tape = trace, traced, outputs
        else:
            y = f(chosen, inputs)
        self.leaves, self.structure = tree.flatten(y)
        self.places = [i for i, v in enumerate(self.leaves) if isinstance(v, _ARRAYS)]
        arrays = [v if isinstance(v, cuda.ndarray) else numpy.asarray(v) for v in (self.leaves[i] for i in self.places)]
        if config.enable_backprop and chosen and any(v.dtype.kind == "c" for v in arrays):
            raise TypeError(_complex(self.name, "the result"))
        for i in self.places:
            self.leaves[i] = None  # it is Chainer that decides how long an array lives
        return tuple(arrays)

    def results(self, variables):
        """The Variables that Chainer has made of the arrays, in the structure of the result of ``f``."""
        leaves = list(self.leaves)
        for i, y in zip(self.places, variables):
            leaves[i] = y if y.dtype.kind == "f" else Variable(y.array, requires_grad=False)
        return self.structure.unflatten(leaves)

    def backward(self, indexes, gys):
        chosen = [k for k, gy in enumerate(gys) if gy is not None]
        places, gys = [self.places[k] for k in chosen], [gys[k] for k in chosen]
        if config.enable_backprop:
            xbars = apply(f"{self.name}.backward", _pullback(self.f, places), (self.get_retained_inputs(), gys))
        else:
            trace, traced, outputs = self.tape
            xbars = _pull(trace, traced, [outputs[i] for i in places], [gy.array for gy in gys])
            seen = {id(gy.array) for gy in gys}
            xbars = [Variable(_own(x, seen), requires_grad=False) for x in xbars]
        found = dict(zip(self.wanted, xbars))
        return tuple([found.get(i) for i in indexes])


def _pullback(f, places):
    """The pullback of the leaves ``places`` of what ``f`` returns, as a function of inputs and cotangents."""

    def pullback(xs, bars):
        def some(*xs):
            leaves, _ = tree.flatten(f(*xs))
            return [leaves[i] for i in places]

        return vjp(some, *xs)[1](bars)

    return pullback


def _own(x, seen):
    """The gradient ``x`` in memory of its own, in C order.

    Chainer's optimizer hooks update gradients in place, and ChainerMN sends the memory of a gradient as it lies there.
    """
    x = x if isinstance(x, cuda.ndarray) else numpy.asarray(x)
    if id(x) in seen or not (x.flags.c_contiguous and x.flags.owndata):
        return x.copy(order="C")
    seen.add(id(x))
    return x


_ARRAYS = numpy.ndarray, numpy.generic, cuda.ndarray


def _is_array(x):
    return isinstance(x, (Variable, numpy.ndarray, cuda.ndarray))


def _is_differentiable(x):
    return isinstance(x, Variable) and x.requires_grad and x.dtype.kind in "fc"


def _plain_scalar(x):
    """NumPy's scalars as Python's: a float64 among them must not widen float32 arrays."""
    return x.item() if isinstance(x, numpy.generic) else x


def _check(name, inputs):
    """Raise for what arrmb or Chainer cannot differentiate, or would be wrong about."""
    places = {}
    for x in inputs:
        array = x.array if isinstance(x, Variable) else x
        if array is None:
            raise ValueError(f"{name}: a {type(x).__name__} has no array yet: initialize it, x.initialize(shape)")
        if isinstance(array, chainerx.ndarray):
            raise TypeError(f"{name}: expected NumPy or CuPy arrays, got ChainerX: x.to_device('@numpy') or '@cupy:0'")
        if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
            raise TypeError(
                f"{name}: expected float32 or float64, got {array.dtype}: chainer.functions.cast(x, 'float32')"
            )
        if array.dtype.kind == "c" and config.enable_backprop and _is_differentiable(x):
            raise TypeError(_complex(name, "an argument"))
        places["GPU" if isinstance(array, cuda.ndarray) else "CPU"] = f"{array.dtype} {array.shape}"
    if len(places) > 1:
        both = ", ".join(f"{what} on {where}" for where, what in places.items())
        raise TypeError(f"{name}: arrays of one device are needed, got {both}: move one, chainer.get_device(x).send(y)")


def _complex(name, what):
    return (
        f"{name}: {what} is complex, and Chainer has no gradients of complex numbers: keep them within one "
        "arrmb.plugins.chainer.function, of real arguments and results"
    )
