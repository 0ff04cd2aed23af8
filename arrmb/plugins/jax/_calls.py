"""Calls of the primitive: an op with its arguments, and the derivatives of ops that have a `composite`.

A rule of an op runs on boxes, with one of arrmb's own traces: `Forward` for JAX's jvp, `Reverse` for its transpose. The
latter is asked for only of ops that are linear in the arguments concerned, for variations are made of such ops. A
linear map is its own derivative, wherever that is taken: its transpose is the op's adjoint, here at zero.

JAX pairs cotangents with tangents as Re(ybar dy), arrmb as Re(conj(ybar) dy): complex cotangents are conjugated on the
way in and out.

An op with a `composite` has rules that must not be differentiated: higher derivatives are those of the composite.
arrmb's traces know which order they are at. JAX does not say, so the first derivative is a call of its own, the value
of which is made by the rules, and its derivatives by the composite:

    Saving   x -> y, saved             derivative: y has that of the op; what rules save has none
    Change   x, saved, dx -> dy        derivative with respect to x: that of the composite's `Forward` trace
    Pull     x, saved, ybar -> xbar    derivative with respect to x: that of the composite's `Reverse` trace

Change and Pull are linear in dx and ybar, and the transposes of each other.
"""

from __future__ import annotations

import copy

import jax
import jax.numpy as jnp

from ..._xp import is_inexact
from ...tape import core
from ...tape.core import Forward, Op, Reverse, Traced
from ._boxes import box, unbox
from ._primitive import primitive


def apply(op, args, params):
    """The op on JAX arrays, boxed or not: those are operands of the primitive, the rest is static."""
    operands = []

    def take_out(x):
        operands.append(x)
        return _Place(len(operands) - 1)

    args = [take_out(a) if isinstance(a, jax.Array) else a for a in map(unbox, args)]
    count = len(operands)
    # An array among the parameters is an operand without a derivative; integers that have values keep them, to be
    # looked at. Others must not be in the call: JAX keeps thousands of calls in its caches
    params = {
        name: _replace(v, jax.Array, lambda x: take_out(jax.lax.stop_gradient(x)) if _is_operand(x) else x)
        for name, v in params.items()
    }
    call = Call(op, args, params, count)
    y = primitive.bind(*operands, call=call)
    return tuple(y) if call.several else y[0]


def _is_operand(x):
    return isinstance(x, jax.core.Tracer) or is_inexact(x)


class _Place:
    """Stands for the operand of a number."""

    def __init__(self, number):
        self.number = number


def _replace(x, kind, put):
    """``x`` with ``put(v)`` in the place of every v of a ``kind`` in it: in containers, and in arrmb's kernels."""
    x = unbox(x)
    if isinstance(x, kind):
        return put(x)
    if isinstance(x, (tuple, list)):
        parts = [_replace(v, kind, put) for v in x]
        if all(p is v for p, v in zip(parts, x)):
            return x
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    if type(x).__module__.startswith("arrmb.") and hasattr(x, "__dict__"):
        fields = {name: _replace(v, kind, put) for name, v in vars(x).items()}
        if any(fields[name] is not v for name, v in vars(x).items()):
            x = copy.copy(x)
            vars(x).update(fields)
    return x


class Call:
    """An op with everything but its operands. The first ``count`` of these are arguments, the others parameters."""

    def __init__(self, op, args, params, count):
        self.op = op
        self.args = args
        self.params = params
        self.count = count
        self.several = None  # whether the op has several outputs: known when it has run

    def __repr__(self):
        return self.op.name

    def arguments(self, operands):
        args = [operands[a.number] if type(a) is _Place else a for a in self.args]
        return args, {name: _replace(v, _Place, lambda p: operands[p.number]) for name, v in self.params.items()}

    def run(self, operands, op):
        """The outputs of ``op``, or of its composite, on boxes: ``operands`` are JAX arrays and traced ones."""
        args, params = self.arguments(operands)
        return self.outputs(op(*map(box, args), **params))

    def outputs(self, y):
        self.several = type(y) is tuple
        return y if self.several else (y,)

    def forward(self, *operands):
        args, params = self.arguments(operands)
        return [jnp.asarray(v) for v in self.outputs(self.op.forward(*args, **params)[0])]

    def jvp(self, primals, tangents):
        tangents = [t if i < self.count else None for i, t in enumerate(tangents)]
        if self.op.composite is not None:
            saving = Saving(self)
            return tuple(part[: saving.count] for part in saving.jvp(primals, tangents))
        trace = Forward()
        outputs = self.run(_moving(trace, primals, tangents), self.op)
        return tuple(zip(*[_split(y, trace) for y in outputs]))

    def transpose(self, bars, operands, linear):
        trace = Reverse()
        zeros = {i: trace.input(box(jnp.zeros(a.shape, a.dtype))) for i, a in linear.items()}
        outputs = self.run([zeros.get(i, x) for i, x in enumerate(operands)], self.op)
        return [jnp.conj(unbox(v)) for v in _pull(trace, zeros.values(), outputs, map(_conj, bars))]


def _moving(trace, primals, tangents):
    return [x if t is None else Traced(box(x), trace, box(t)) for x, t in zip(primals, tangents)]


def _split(y, trace):
    """Value and tangent of an output; the tangent is None if it is zero."""
    on = type(y) is Traced and y.trace is trace
    return (unbox(y.value), unbox(y.link)) if on else (unbox(y), None)


def _conj(x):
    return None if x is None else jnp.conj(x)


def _pull(trace, inputs, outputs, bars):
    """Cotangents of the ``inputs`` of a reverse trace, boxed or traced."""
    cotangents = {}
    for y, bar in zip(outputs, bars):
        if bar is not None and type(y) is Traced and y.trace is trace:
            before, bar = cotangents.get(y.link[0]), box(bar)
            cotangents[y.link[0]] = bar if before is None else core.add(before, bar)
    trace.pull(cotangents)
    zero = lambda x: box(jnp.zeros(x.shape, x.dtype))  # noqa: E731
    found = [(x, cotangents.get(x.link[0])) for x in inputs]
    return [zero(x) if bar is None else bar for x, bar in found]


# ---------------------------------------------------------------------------------------- derivatives of composites


class Saving:
    """The outputs of an op, ``count`` of them, and what its rules save."""

    def __init__(self, call):
        self.call = call
        self.count = None
        self.shapes = None  # of the outputs
        self.saved = None  # with places for its arrays

    def __repr__(self):
        return f"{self.call}, saved"

    def forward(self, *operands):
        args, params = self.call.arguments(operands)
        y, saved = self.call.op.forward(*args, **params)
        y = [jnp.asarray(v) for v in self.call.outputs(y)]
        self.count, self.shapes = len(y), [(v.shape, v.dtype) for v in y]
        arrays = []

        def take_out(x):
            arrays.append(x)
            return _Place(len(arrays) - 1)

        self.saved = _replace(saved, jax.Array, take_out)
        return y + arrays

    def jvp(self, primals, tangents):
        made = primitive.bind(*primals, call=self)
        saved = [jax.lax.stop_gradient(v) for v in made[self.count :]]
        moving = [i for i, t in enumerate(tangents) if t is not None]
        change = Change(self, len(primals), len(saved), moving)
        dy = primitive.bind(*primals, *saved, *[tangents[i] for i in moving], call=change)
        return made, [*dy, *[None] * len(saved)]

    def op(self, saved):
        """The op's rules, with what they need already saved."""
        saved = _replace(self.saved, _Place, lambda p: saved[p.number])
        y = tuple([jnp.zeros(shape, dtype) for shape, dtype in self.shapes])
        y = y if self.call.several else y[0]
        return Op(self.call.op.name, lambda *args, **params: (y, saved), self.call.op.variation, self.call.op.adjoint)


class _Derivative:
    """Operands: those of the call, what was saved, and vectors. ``chosen`` are the numbers of the arguments."""

    def __init__(self, saving, operands, saved, chosen):
        self.saving, self.call = saving, saving.call
        self.ends = operands, operands + saved
        self.chosen = chosen

    def __repr__(self):
        return f"{type(self).__name__.lower()} of {self.call}"

    def take_apart(self, operands):
        return operands[: self.ends[0]], operands[slice(*self.ends)], operands[self.ends[1] :]

    def raw(self, operands, op):
        """The outputs of ``op`` on raw operands, some of them on one of arrmb's traces."""
        args, params = self.call.arguments(operands)
        y = op(*args, **params)
        return y if type(y) is tuple else (y,)

    def jvp(self, primals, tangents):
        x, _, vectors = self.take_apart(primals)
        dx, _, dvectors = self.take_apart(tangents)
        value = primitive.bind(*primals, call=self)
        total = [None] * len(value)
        if any(t is not None for t in dx[: self.call.count]):
            outer = Forward()
            dx = [t if i < self.call.count else None for i, t in enumerate(dx)]
            found = self.through_composite(_moving(outer, map(box, x), dx), vectors)
            total = [None if v is None else _split(v, outer)[1] for v in found]
        if any(t is not None for t in dvectors):
            dvectors = [jnp.zeros_like(v) if t is None else t for v, t in zip(vectors, dvectors)]
            linear = primitive.bind(*primals[: self.ends[1]], *dvectors, call=self)
            total = [dv if before is None else before + dv for before, dv in zip(total, linear)]
        return value, total


class Change(_Derivative):
    """The variation, of tangents for the arguments ``chosen``."""

    def forward(self, *operands):
        x, saved, tangents = self.take_apart(operands)
        trace = Forward()
        moving = dict(zip(self.chosen, tangents))
        x = [Traced(v, trace, moving[i]) if i in moving else v for i, v in enumerate(x)]
        found = self.raw(x, self.saving.op(saved))
        on = [type(y) is Traced and y.trace is trace for y in found]
        return [y.link if k else jnp.zeros(*shape) for y, k, shape in zip(found, on, self.saving.shapes)]

    def through_composite(self, x, tangents):
        trace = Forward()
        moving = dict(zip(self.chosen, tangents))
        x = [Traced(box(v), trace, box(moving[i])) if i in moving else v for i, v in enumerate(x)]
        found = self.call.run(x, self.call.op.composite)
        return [y.link if type(y) is Traced and y.trace is trace else None for y in found]

    def transpose(self, bars, operands, linear):
        x, saved, _ = self.take_apart(operands)
        bars = [jnp.zeros(*s) if b is None else jnp.conj(b) for b, s in zip(bars, self.saving.shapes)]
        pull = Pull(self.saving, len(x), len(saved), [self.chosen[i - self.ends[1]] for i in linear])
        return [jnp.conj(v) for v in primitive.bind(*x, *saved, *bars, call=pull)]


class Pull(_Derivative):
    """The adjoint, of a cotangent for each output; cotangents of the arguments ``chosen``."""

    def forward(self, *operands):
        x, saved, bars = self.take_apart(operands)
        trace = Reverse()
        inputs = {i: trace.input(x[i]) for i in self.chosen}
        found = self.raw([inputs.get(i, v) for i, v in enumerate(x)], self.saving.op(saved))
        cotangents = {y.link[0]: bar for y, bar in zip(found, bars)}
        trace.pull(cotangents)
        bars = [(v, cotangents.get(v.link[0])) for v in inputs.values()]
        return [jnp.zeros(v.shape, v.dtype) if bar is None else bar for v, bar in bars]

    def through_composite(self, x, bars):
        trace = Reverse()
        inputs = {i: trace.input(box(x[i])) for i in self.chosen}
        found = self.call.run([inputs.get(i, v) for i, v in enumerate(x)], self.call.op.composite)
        return _pull(trace, inputs.values(), found, bars)

    def transpose(self, bars, operands, linear):
        x, saved, _ = self.take_apart(operands)
        given = [None if b is None else jnp.conj(b) for b in bars]
        present = [i for i, b in zip(self.chosen, given) if b is not None]
        change = Change(self.saving, len(x), len(saved), present)
        found = primitive.bind(*x, *saved, *[b for b in given if b is not None], call=change)
        return [jnp.conj(found[i - self.ends[1]]) for i in linear]
