"""The engine: ops, traces, and the two directions in which the rules of an op are run.

An :class:`Op` called on raw arrays is its forward function and nothing else. Called on traced arrays, it is handed to
the innermost trace among them, which takes the values out, runs the op on what lies below and keeps what its direction
needs: `Reverse` appends a row to its tape, `Forward` pushes a tangent, `Debug` looks at the result. What lies below
may itself be traced, by an outer trace: that is all there is to nesting and to higher derivatives.

There are no rules, no backend and no global state in this file. Operators and methods of `Traced` are in `traced.py`.
"""

from __future__ import annotations

import itertools

from .._xp import broadcast_like, is_array, sum_to

_levels = itertools.count(1)  # one tag per trace: two traces, in any threads, never mix
foreign = []  # by plug-ins: types of arrays that another framework traces, what runs ops on them, and what boxes them


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
            for kind, run, _ in foreign:
                for a in args:
                    if isinstance(a, kind):
                        return run(self, args, params)
            return self.forward(*args, **params)[0]
        return top.run(self, args, params)

    def __repr__(self):
        return f"<Op {self.name}>"


class Traced:
    """An array on a trace. ``link`` is its node on a reverse trace, its tangent on a forward one.

    It is a box: an update in place (`updates.py`) puts a new value, trace and link into it.
    """

    __slots__ = ("link", "trace", "value")
    is_traced_by_arrmb = True

    def __init__(self, value, trace, link):
        self.value = value
        self.trace = trace
        self.link = link


class Constant:
    """The trace below all others: raw arrays lifted to it mix with traced ones, and have no derivative."""

    level = 0
    readable = True  # there is no derivative that a conversion would cut

    def take_out(self, x):
        return x.value

    def run(self, op, args, params):
        y = op(*(a.value if type(a) is Traced else a for a in args), **params)
        return tuple([lift(v) for v in y]) if type(y) is tuple else lift(y)


CONSTANT = Constant()


def lift(x):
    """A raw array as a traced constant, so that it can meet traced arrays on any backend; anything else as it is."""
    return Traced(x, CONSTANT, None) if type(x) is not Traced and is_array(x) else x


def rebox(x):
    """The traced array ``x`` in a box of its own: an update of one does not reach the other."""
    return Traced(x.value, x.trace, x.link)


def unlift(x):
    """``x``, or the raw array in it if it is a lifted constant or in a box of another framework's."""
    return x.trace.take_out(x) if type(x) is Traced and x.trace.level < 1 else x


def _boxed(x):
    """``x``, or an array that another framework traces in a box: what is computed with it will be ops."""
    for kind, _, box in foreign:
        if isinstance(x, kind):
            return box(x)
    return x


def below(trace, x, nested):
    """What is left of the result ``x`` of a function when its ``trace`` has ended.

    Inside another trace (``nested``) constants stay lifted: they will meet traced arrays there.
    """
    if type(x) is not Traced:
        return lift(x) if nested else x
    if x.trace is trace:
        x = x.value
    elif x.trace.level > trace.level:
        raise ValueError(
            "a traced array has leaked: it was kept from a derivative that has ended. Return what you need from the "
            "differentiated function instead (has_aux=True)"
        )
    return (rebox(x) if type(x) is Traced else x) if nested else unlift(x)


def _unbox(trace, args):
    """Values of ``args`` below ``trace``, their links (None: a constant here), and whether one is still traced."""
    values, links, nested = [], [], False
    for a in args:
        link = None
        if type(a) is Traced:
            if a.trace is trace:
                link = a.link
                a = a.value
            elif a.trace is CONSTANT:
                a = a.value
        if foreign and type(a) is not Traced:
            a = _boxed(a)
        if type(a) is Traced:
            nested = True
        values.append(a)
        links.append(link)
    if nested:  # what rules will see later must not follow an update of the caller's box
        values = [rebox(v) if type(v) is Traced else lift(v) for v in values]
    return values, links, nested


class Reverse:
    """Records every op, to run the adjoints backwards.

    A node is a tuple ``(number, shape, dtype)``: what there is to know about a value in order to give it a cotangent.
    The tape is a list of rows ``(node, op, saved, parents, nested)``, parents being the nodes of the op's arguments.
    Rows hold no rows: the graph is a flat list, which is freed at once, without recursion. An op with several outputs
    has a row of its own and one, with ``op`` None, per output.
    """

    __slots__ = ("level", "numbers", "tape")
    readable = False

    def __init__(self):
        self.level = next(_levels)
        self.numbers = itertools.count()
        self.tape = []

    def _node(self, y):
        return next(self.numbers), y.shape, y.dtype

    def input(self, x):
        return Traced(x, self, self._node(x))

    def run(self, op, args, params):
        values, parents, nested = _unbox(self, args)
        if nested and op.composite is not None:
            return op.composite(*args, **params)
        y, saved = op.forward(*values, **params)
        if type(y) is not tuple:
            node = (next(self.numbers), y.shape, y.dtype)
            self.tape.append((node, op, saved, parents, nested))
            return Traced(y, self, node)
        root = (next(self.numbers), len(y), None)
        self.tape.append((root, op, saved, parents, nested))
        outputs = []
        for i, v in enumerate(y):
            node = self._node(v)
            self.tape.append((node, None, i, root, False))
            outputs.append(Traced(v, self, node))
        return tuple(outputs)

    def pull(self, cotangents, release=False):
        """Run the adjoints. ``cotangents`` maps numbers of nodes to cotangents; what remains in it is those of inputs.

        With ``release`` the tape is consumed: what an adjoint has used is freed before the next one runs.
        """
        for (number, _, _), op, saved, parents, nested in _consumed(self.tape) if release else reversed(self.tape):
            ybar = cotangents.pop(number, None)
            if ybar is None:
                continue
            if op is None:  # one of several outputs: collect the cotangents of all for their op
                root, count, _ = parents
                cotangents.setdefault(root, [None] * count)[saved] = ybar
                continue
            several = type(ybar) is list
            bars = ybar if several else (ybar,)
            if nested or type(ybar) is Traced or (several and any_traced(ybar)):
                saved, bars = [lift(v) for v in saved], [lift(b) for b in bars]
            adjoint = op.adjoint
            if type(adjoint) is tuple:
                for parent, rule in zip(parents, adjoint):
                    if parent is not None and rule is not None:
                        _accumulate(cotangents, parent, rule(saved, *bars))
            else:
                xbars = adjoint(saved, *bars)
                for parent, xbar in zip(parents, xbars if type(xbars) is tuple else (xbars,)):
                    if parent is not None and xbar is not None:
                        _accumulate(cotangents, parent, xbar)


def any_traced(arrays):
    for a in arrays:  # noqa: SIM110  a generator in any() costs three times as much
        if type(a) is Traced:
            return True
    return False


def _consumed(rows):
    while rows:
        yield rows.pop()


def _accumulate(cotangents, node, xbar):
    number, shape, dtype = node
    if xbar.shape != shape or (xbar.dtype is not dtype and xbar.dtype != dtype):  # mostly the same object: quicker
        xbar = sum_to(xbar, shape, dtype)
    before = cotangents.get(number)
    cotangents[number] = xbar if before is None else add(before, xbar)


def add(a, b):
    # A traced array goes first: some backends' own operators refuse an array that they do not know.
    return b + a if type(b) is Traced else a + b


class Forward:
    """Pushes a tangent through every op as it runs."""

    __slots__ = ("level",)
    readable = False

    def __init__(self):
        self.level = next(_levels)

    def run(self, op, args, params):
        values, tangents, nested = _unbox(self, args)
        if nested and op.composite is not None:
            return op.composite(*args, **params)
        y, saved = op.forward(*values, **params)
        if nested or any_traced(tangents):
            saved, tangents = [lift(v) for v in saved], [lift(dx) for dx in tangents]
        variation = op.variation
        if type(variation) is tuple:
            dy = None
            for dx, rule in zip(tangents, variation):
                if dx is not None and rule is not None:
                    part = rule(saved, dx)
                    dy = part if dy is None else add(dy, part)
        else:
            dy = variation(saved, *tangents)
        if type(y) is not tuple:
            return self.output(y, dy)
        return tuple([self.output(v, dv) for v, dv in zip(y, dy)])

    def output(self, y, dy):
        return lift(y) if dy is None else Traced(y, self, broadcast_like(dy, y))


class Debug:
    """Runs every op on what lies below and hands the result to ``look(op, args, y)``."""

    __slots__ = ("level", "look")
    readable = False

    def __init__(self, look):
        self.level = next(_levels)
        self.look = look

    def run(self, op, args, params):
        values, _, _ = _unbox(self, args)
        y = op(*values, **params)
        self.look(op, values, y)
        return tuple([Traced(v, self, None) for v in y]) if type(y) is tuple else Traced(y, self, None)


def has_derivative(x):
    """Whether ``x`` is on a trace that takes derivatives (a constant's and debug's do not)."""
    while type(x) is Traced:
        if isinstance(x.trace, (Reverse, Forward)):
            return True
        x = x.value
    return False
