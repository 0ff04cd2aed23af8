"""The JAX primitive that all ops of arrmb are calls of, and its rules.

Its one parameter is the call (`_calls.py`), an object with methods of JAX arrays, whatever they are tracers of:

    forward(*operands)                        the values, a list
    jvp(primals, tangents)                    values, and tangents; None where they are zero
    transpose(bars, operands, linear)         cotangents of the operands ``linear``, a map from numbers to avals. JAX
                                              asks for it only where the call is linear in these
    vmap                                      is `Batched`, below: `jax.vmap` of the three
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ._boxes import as_array, values


class Batched:
    """A call under `jax.vmap`: ``axes`` are those of its operands, None for one that is the same for all."""

    def __init__(self, call, axes):
        self.call = call
        self.axes = axes

    def __repr__(self):
        return f"vmap({self.call})"

    def forward(self, *operands):
        return jax.vmap(self.call.forward, in_axes=self.axes)(*operands)

    def jvp(self, primals, tangents):
        moving = [i for i, t in enumerate(tangents) if t is not None]
        known = []

        def one(primals, given):
            tangents = [None] * len(primals)
            for i, t in zip(moving, given):
                tangents[i] = t
            y, dy = self.call.jvp(primals, tangents)
            known[:] = [v is not None for v in dy]
            return y, [v for v in dy if v is not None]

        axes = (list(self.axes), [self.axes[i] for i in moving])
        y, given = jax.vmap(one, in_axes=axes)(list(primals), [tangents[i] for i in moving])
        given = iter(given)
        return y, [next(given) if k else None for k in known]

    def transpose(self, bars, operands, linear):
        present = [i for i, bar in enumerate(bars) if bar is not None]
        fixed = [i for i in range(len(operands)) if i not in linear]
        shapes = {i: jax.ShapeDtypeStruct(_without(a.shape, self.axes[i]), a.dtype) for i, a in linear.items()}

        def one(given, known):
            full, arguments = [None] * len(bars), [None] * len(operands)
            for i, bar in zip(present, given):
                full[i] = bar
            for i, x in zip(fixed, known):
                arguments[i] = x
            return self.call.transpose(full, arguments, shapes)

        axes = ([0] * len(present), [self.axes[i] for i in fixed])
        ends = [0 if self.axes[i] is None else self.axes[i] for i in linear]
        found = jax.vmap(one, in_axes=axes, out_axes=ends)([bars[i] for i in present], [operands[i] for i in fixed])
        return [jnp.sum(v, axis=0) if self.axes[i] is None else v for i, v in zip(linear, found)]


def _without(shape, axis):
    return tuple(shape) if axis is None else (*shape[:axis], *shape[axis + 1 :])


# ---------------------------------------------------------------------------------------------- the primitive's rules

primitive = Primitive("arrmb")
primitive.multiple_results = True


@primitive.def_impl
def _impl(*operands, call):
    return values(call, *map(as_array, operands))


@primitive.def_abstract_eval
def _shapes(*avals, call):
    made = jax.eval_shape(
        lambda *operands: values(call, *operands),
        *[jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in avals],
    )
    return [jax.core.ShapedArray(y.shape, y.dtype, weak_type=y.weak_type) for y in made]


mlir.register_lowering(
    primitive, mlir.lower_fun(lambda *operands, call: values(call, *operands), multiple_results=True)
)


def _is_zero(t):
    return type(t) is ad.Zero or t.dtype == jax.dtypes.float0


def _jvp(primals, tangents, *, call):
    y, dy = call.jvp([as_array(x) for x in primals], [None if _is_zero(t) else as_array(t) for t in tangents])
    return y, [_zero(v) if dv is None else dv for v, dv in zip(y, dy)]


def _zero(y):
    dtype = y.dtype if jnp.issubdtype(y.dtype, jnp.inexact) else jax.dtypes.float0
    return ad.Zero(jax.core.ShapedArray(y.shape, dtype))


def _transpose(bars, *operands, call):
    linear = {i: x.aval for i, x in enumerate(operands) if ad.is_undefined_primal(x)}
    if all(_is_zero(bar) for bar in bars):
        return [None] * len(operands)
    operands = [None if i in linear else as_array(x) for i, x in enumerate(operands)]
    found = call.transpose([None if _is_zero(b) else as_array(b) for b in bars], operands, linear)
    found = dict(zip(linear, found))
    return [found.get(i) for i in range(len(operands))]


def _batch(operands, axes, *, call):
    axes = [None if a is batching.not_mapped else a for a in axes] if hasattr(batching, "not_mapped") else axes
    y = primitive.bind(*operands, call=Batched(call, tuple(axes)))
    return y, [0] * len(y)


ad.primitive_jvps[primitive] = _jvp
ad.primitive_transposes[primitive] = _transpose
batching.primitive_batchers[primitive] = _batch
