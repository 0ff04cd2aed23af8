"""Boxes: JAX arrays as traced arrays of arrmb, on the one trace `JAX`, below those of arrmb's transformations.

What rules compute with boxes are ops again, which the trace hands to JAX as calls of a primitive with rules of its own
(`_calls.py`). So JAX never differentiates what is inside an op, at any order: in particular no eigendecomposition. A
box has the array as its link. Its value, where arrmb's rules look for numbers that have no derivative (ties, ranks), is
the array with its gradient stopped.
"""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp

from ..._xp import is_inexact
from ...tape.core import CONSTANT, Forward, Traced


class JaxTrace(Forward):
    """The trace of all boxes, below every other: ops on it are calls of the primitive.

    (A `Forward` trace in that it takes derivatives, `has_derivative`: whether JAX will, cannot be known.)
    """

    __slots__ = ()

    def __init__(self):
        self.level = 0.5  # between constants and the traces of arrmb's transformations

    def take_out(self, x):
        return x.link

    def run(self, op, args, params):
        from ._calls import apply  # which is above this file

        y = apply(op, args, params)
        return tuple(map(box, y)) if type(y) is tuple else box(y)


JAX = JaxTrace()


def box(x):
    """The JAX array ``x`` as a traced array; anything else as it is."""
    return Traced(as_array(jax.lax.stop_gradient(x)), JAX, x) if isinstance(x, jax.Array) else x


def box_tracer(x):
    """A tracer that one of arrmb's own traces meets, in a box; not an integer, and not where values are computed."""
    return x if getattr(_inside, "values", False) or not is_inexact(x) else box(x)


def values(call, *operands):
    """The values of a call. JAX differentiates the call, and not what is inside, which is computed with raw arrays."""
    before, _inside.values = getattr(_inside, "values", False), True
    try:
        return call.forward(*operands)
    finally:
        _inside.values = before


_inside = threading.local()


def as_array(x):
    """JAX hands on the NumPy arrays and numbers that it was given."""
    return x if isinstance(x, jax.Array) else jnp.asarray(x)


def unbox(x):
    """The JAX array in a box, or in a lifted constant."""
    if type(x) is not Traced:
        return x
    if x.trace is JAX:
        return x.link
    if x.trace is CONSTANT:
        return x.value
    raise TypeError(
        "jax: a function of the plug-in inside arrmb.grad, vjp or jvp; use the functions of arrmb there, or take the "
        "derivative with jax.grad, jax.vjp or jax.jvp"
    )
