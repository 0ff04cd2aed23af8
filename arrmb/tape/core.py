"""The engine: ops, traces, and the two directions in which the rules of an op are run.

An :class:`Op` called on raw arrays is its forward function and nothing else. Called on traced arrays, it is handed to the
innermost trace among them, which takes the values out, runs the op on what lies below and keeps what its direction
needs: `Reverse` appends a node to its tape, `Forward` pushes a tangent, `Debug` looks at the result. What lies below may
itself be traced, by an outer trace: that is all there is to nesting and to higher derivatives.

There are no rules, no backend and no global state in this file. Operators and methods of `Traced` are in `traced.py`.
"""

from __future__ import annotations

import itertools

from .._xp import broadcast_like, is_array, sum_to

_levels = itertools.count(1)  # one tag per trace: two traces, in any threads, never mix


class Op:
    """A differentiable operation: a forward pass, its variation (first-order change) and the adjoint of the variation.

    Parameters
    ----------
    name : str
    forward : callable
        ``forward(*arrays, **params) -> (y, saved)``. ``y`` is an array, or a tuple of arrays where the op has several
        outputs. ``saved`` is a tuple of what the rules need: arrays, and static values of other types. Where a rule is
        itself differentiated, it sees the arrays of ``saved`` traced.
    variation : callable or tuple of callables
        ``variation(saved, *dx) -> dy``: one tangent per array argument, None for zero. Or a tuple with one linear map
        ``(saved, dx) -> dy`` per array argument; the engine calls those that are needed and adds up.
    adjoint : callable or tuple of callables
        ``adjoint(saved, *ybar) -> xbar``: one cotangent per output, None for zero; returns one cotangent per array
        argument. Or a tuple with one map ``(saved, ybar) -> xbar`` per array argument.
    composite : callable, optional
        The same function written with other ops. Used where a derivative of the rules is wanted (second order), for
        ops whose rules must not be differentiated as they stand; without it, ``forward`` and the rules run traced.

    The rules are exact transposes: ``Re<ybar, variation(dx)> = Re<adjoint(ybar), dx>``. Shapes and dtypes that
    broadcasting and promotion changed are restored by the engine. `arrmb.testing.check_op` checks all of it.
    """

    __slots__ = ("adjoint", "composite", "forward", "name", "variation")

    def __init__(self, name, forward, variation, adjoint, composite=None):
        self.name = name
        self.forward = forward
        self.variation = variation
        self.adjoint = adjoint
        self.composite = composite

    def __call__(self, *args, **params):
        top = None
        for a in args:
            if type(a) is Traced and (top is None or a.trace.level > top.level):
                top = a.trace
        if top is None:
            return self.forward(*args, **params)[0]
        return top.run(self, args, params)

    def __repr__(self):
        return f"<Op {self.name}>"


class Traced:
    """An array on a trace. ``link`` is its node on a reverse trace, its tangent on a forward one."""

    __slots__ = ("__weakref__", "link", "trace", "value")
    is_traced_by_arrmb = True

    def __init__(self, value, trace, link):
        self.value = value
        self.trace = trace
        self.link = link


class Constant:
    """The trace below all others: raw arrays lifted to it mix with traced ones, and have no derivative."""

    level = 0

    def run(self, op, args, params):
        y = op(*(a.value if type(a) is Traced else a for a in args), **params)
        return tuple([lift(v) for v in y]) if type(y) is tuple else lift(y)


CONSTANT = Constant()


def lift(x):
    """A raw array as a traced constant, so that it can meet traced arrays on any backend; anything else as it is."""
    return Traced(x, CONSTANT, None) if type(x) is not Traced and is_array(x) else x


def unlift(x):
    """``x``, or the raw array below it if it is a lifted constant."""
    return x.value if type(x) is Traced and x.trace is CONSTANT else x


def _unbox(trace, args):
    """Values of ``args`` below ``trace``, their links (None: constant for this trace), and whether one is still traced."""
    values, links, nested = [], [], False
    for a in args:
        link = None
        if type(a) is Traced:
            if a.trace is trace:
                link = a.link
                a = a.value
            elif a.trace is CONSTANT:
                a = a.value
            if type(a) is Traced:
                nested = True
        values.append(a)
        links.append(link)
    return [lift(v) for v in values] if nested else values, links, nested


class Node:
    """One op on the tape, or (with ``op`` None) an input of the tape or one output of an op that has several."""

    __slots__ = ("dtype", "index", "nested", "op", "parents", "saved", "shape")

    def __init__(self, op, saved, parents, nested, y, index=0):
        self.op = op
        self.saved = saved
        self.parents = parents
        self.nested = nested
        self.index = index
        if y is not None:
            self.shape = y.shape
            self.dtype = y.dtype


class Reverse:
    """Records every op, to run the adjoints backwards."""

    __slots__ = ("level", "tape")

    def __init__(self):
        self.level = next(_levels)
        self.tape = []

    def input(self, x):
        return Traced(x, self, Node(None, None, (), False, x))

    def run(self, op, args, params):
        values, parents, nested = _unbox(self, args)
        if nested and op.composite is not None:
            return op.composite(*args, **params)
        y, saved = op.forward(*values, **params)
        if type(y) is not tuple:
            node = Node(op, saved, parents, nested, y)
            self.tape.append(node)
            return Traced(y, self, node)
        root = Node(op, saved, parents, nested, None, len(y))
        self.tape.append(root)
        outputs = [Node(None, None, root, False, v, i) for i, v in enumerate(y)]
        self.tape.extend(outputs)
        return tuple([Traced(v, self, node) for v, node in zip(y, outputs)])

    def pull(self, cotangents, release=False):
        """Run the adjoints. ``cotangents`` maps nodes to cotangents; those of the tape's inputs are what remains in it.

        With ``release`` the tape is consumed: what an adjoint has used is freed before the next one runs.
        """
        tape = self.tape
        for at in range(len(tape) - 1, -1, -1):
            node = tape.pop() if release else tape[at]
            ybar = cotangents.pop(node, None)
            if ybar is None:
                continue
            if node.op is None:  # one of several outputs: collect the cotangents of all for their op
                root = node.parents
                if root not in cotangents:
                    cotangents[root] = [None] * root.index
                cotangents[root][node.index] = ybar
                continue
            bars = ybar if type(ybar) is list else (ybar,)
            saved = node.saved
            if node.nested or any([type(b) is Traced for b in bars]):
                saved, bars = [lift(v) for v in saved], [lift(b) for b in bars]
            adjoint = node.op.adjoint
            if type(adjoint) is tuple:
                for parent, rule in zip(node.parents, adjoint):
                    if parent is not None:
                        _accumulate(cotangents, parent, rule(saved, *bars))
            else:
                xbars = adjoint(saved, *bars)
                for parent, xbar in zip(node.parents, xbars if type(xbars) is tuple else (xbars,)):
                    if parent is not None and xbar is not None:
                        _accumulate(cotangents, parent, xbar)


def _accumulate(cotangents, node, xbar):
    if xbar.shape != node.shape or xbar.dtype != node.dtype:
        xbar = sum_to(xbar, node.shape, node.dtype)
    before = cotangents.get(node)
    cotangents[node] = xbar if before is None else _add(before, xbar)


def _add(a, b):
    # A traced array goes first: some backends' own operators refuse an array that they do not know.
    return b + a if type(b) is Traced else a + b


class Forward:
    """Pushes a tangent through every op as it runs."""

    __slots__ = ("level",)

    def __init__(self):
        self.level = next(_levels)

    def run(self, op, args, params):
        values, tangents, nested = _unbox(self, args)
        if nested and op.composite is not None:
            return op.composite(*args, **params)
        y, saved = op.forward(*values, **params)
        if nested or any([type(dx) is Traced for dx in tangents]):
            saved, tangents = [lift(v) for v in saved], [lift(dx) for dx in tangents]
        variation = op.variation
        if type(variation) is tuple:
            dy = None
            for dx, rule in zip(tangents, variation):
                if dx is not None:
                    part = rule(saved, dx)
                    dy = part if dy is None else _add(dy, part)
        else:
            dy = variation(saved, *tangents)
        if type(y) is not tuple:
            return self.output(y, dy)
        return tuple([self.output(v, dv) for v, dv in zip(y, dy)])

    def output(self, y, dy):
        return y if dy is None else Traced(y, self, broadcast_like(dy, y))


class Debug:
    """Runs every op on what lies below and hands the result to ``look(op, args, y)``."""

    __slots__ = ("level", "look")

    def __init__(self, look):
        self.level = next(_levels)
        self.look = look

    def run(self, op, args, params):
        values, _, _ = _unbox(self, args)
        y = op(*values, **params)
        self.look(op, values, y)
        return tuple([Traced(v, self, None) for v in y]) if type(y) is tuple else Traced(y, self, None)
