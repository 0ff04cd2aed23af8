"""One node of PyTorch's graph per call of a function of arrmb's.

A node holds no graph of PyTorch's inside. Its forward pass records arrmb's tape on detached tensors; its backward pass
runs the adjoints of that tape. What the tape keeps is handed to PyTorch (``save_for_backward``), which frees it after a
backward pass, notices updates in place, and may move it elsewhere (saved-tensor hooks, checkpoints).

Where a derivative of the backward pass is asked for (``create_graph=True``), the backward pass is again a call of a
function of arrmb's, ``(inputs, cotangents) -> cotangents``, at the tensors that came in: one more node, so that every
order is as exact as arrmb is. Forward mode (``torch.autograd.forward_ad``) is the same with ``arrmb.jvp``.

Under the transformations of `torch.func` nothing can be kept from the forward pass to the backward pass but what came
in, and the backward pass starts from there. What ``vmap`` cannot run on a batch (branches on values, say) is looped.
"""

from __future__ import annotations

import contextlib

import torch
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from ... import transforms
from ..._xp import is_batched, is_inexact
from ...tape.core import Reverse, Traced, below, rebox
from ._tape import apart, distinct, pack, unpack

functorch = torch._C._functorch


def call(f, xs):
    """The tensors ``f(*xs)`` as differentiable functions of the tensors ``xs``.

    ``f`` takes raw or traced tensors and returns a tuple of such. It has a ``name``, for messages; ``closed`` says that
    it depends on no tensor but its arguments.
    """
    if torch._C._are_functorch_transforms_active():
        return _transformed(f, xs)
    graph = torch.is_grad_enabled()
    wanted = [graph and x.requires_grad for x in xs]
    if True in wanted or forward_ad._current_level >= 0:
        return Arrmb.apply(f, wanted, *xs)
    ys = f(*[x.detach() if x.requires_grad else x for x in xs])
    if graph:
        _refuse_captured(f, ys)
    return ys


def _refuse_captured(f, tensors):
    """A tensor that f closes over has no place in the node: its derivative would be lost."""
    for x in tensors:
        if x.requires_grad or (forward_ad._current_level >= 0 and forward_ad.unpack_dual(x).tangent is not None):
            raise ValueError(
                f"{f.name}: the function closes over a tensor that requires grad, which would get no gradient: pass it "
                "as an argument, or detach it"
            )


@contextlib.contextmanager
def _both_modes():
    with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
        yield


def _recording(forward_mode):
    return _both_modes() if forward_mode else torch.enable_grad()


class Arrmb(torch.autograd.Function):
    """What `call` does outside of transformations."""

    @staticmethod
    def forward(ctx, f, wanted, *xs):
        ctx.set_materialize_grads(False)
        forward_mode = forward_ad._current_level >= 0
        values = [x.detach() if x.requires_grad or forward_mode else x for x in xs]
        with _recording(forward_mode):  # a tensor that f closes over is found by what it does to the result
            trace = Reverse()
            boxes = [trace.input(x) if w else x for x, w in zip(values, wanted)]
            outputs = f(*[rebox(b) if w else b for b, w in zip(boxes, wanted)])
            ys = [below(trace, y, False) for y in outputs]
            _refuse_captured(f, ys)
        ctx.f, ctx.wanted = f, wanted
        ctx.inputs = [b.link[0] if w else None for b, w in zip(boxes, wanted)]
        ctx.outputs = [y.link[0] if type(y) is Traced and y.trace is trace else None for y in outputs]
        ctx.rows, kept = pack(trace.tape, ctx.outputs, values)
        ctx.save_for_backward(*xs, *kept)
        ctx.save_for_forward(*xs)
        ys = distinct(ys, values)
        ctx.mark_non_differentiable(
            *[y for y, n in zip(ys, ctx.outputs) if n is None and not (forward_mode and is_inexact(y))]
        )
        return tuple(ys)

    @staticmethod
    def backward(ctx, *bars):
        saved, graph = ctx.saved_tensors, torch.is_grad_enabled()

        def pull(*bars):
            if graph:
                return _cotangents(ctx.f, saved[: len(ctx.wanted)], ctx.wanted, bars)
            with full_precision(saved[0]):
                return _pull(ctx, saved, bars)

        return None, None, *_over_batches(pull, bars)

    @staticmethod
    def jvp(ctx, _, __, *tangents):
        f, xs = ctx.f, ctx.saved_tensors
        return tuple(_over_batches(lambda *tangents: _tangents(f, xs, tangents), tangents))


def _pull(ctx, kept, bars):
    trace, cotangents = Reverse(), {}
    for node, op, saved, parents, nested in ctx.rows:
        if op is not None:
            saved = unpack(saved, kept)
        trace.tape.append((node, op, saved, parents, nested))
    for number, bar in zip(ctx.outputs, bars):
        if number is not None and bar is not None:
            before = cotangents.get(number)
            cotangents[number] = bar if before is None else before + bar
    trace.pull(cotangents, release=True)
    return apart([cotangents.get(number) for number in ctx.inputs])


def _over_batches(linear, values):
    """``linear(*values)``, where values may be the batches that ``is_grads_batched=True`` makes, of an older vmap."""
    dims = tuple([0 if x is not None and functorch.is_legacy_batchedtensor(x) else None for x in values])
    if 0 not in dims:
        return linear(*values)
    level = torch._C._vmapmode_increment_nesting() - 1  # that of the caller
    torch._C._vmapmode_decrement_nesting()
    values = [x if d is None else torch._remove_batch_dim(x, level, 1, 0) for x, d in zip(values, dims)]
    places = []

    def found(*values):
        result = linear(*values)
        places[:] = [x is not None for x in result]
        return tuple([x for x in result if x is not None])

    try:
        result = torch.func.vmap(found, in_dims=dims)(*values)
    except RuntimeError:  # not for a batch at once
        count = next(x.shape[0] for x, d in zip(values, dims) if d == 0)
        each = [found(*[x if d is None else x[i] for x, d in zip(values, dims)]) for i in range(count)]
        result = tuple([torch.stack(parts) for parts in zip(*each)])
    result = iter(result)
    return [torch._add_batch_dim(next(result), 0, level) if there else None for there in places]


# ------------------------------------------------------------------------------------------- higher order


class _Function:
    """A function for `call`, made from another one."""

    def __init__(self, f, wanted, given=()):
        self.f, self.name, self.closed, self.wanted, self.given = f, f.name, f.closed, wanted, given

    def split(self, values):
        """The inputs that are differentiated, ``f`` as a function of those, and what came with all inputs."""
        xs, others = values[: len(self.wanted)], values[len(self.wanted) :]

        def of_wanted(*chosen):
            chosen = iter(chosen)
            return self.f(*[next(chosen) if w else x for x, w in zip(xs, self.wanted)])

        return tuple([x for x, w in zip(xs, self.wanted) if w]), of_wanted, others


class _Pullback(_Function):
    """Inputs and cotangents to cotangents."""

    def __call__(self, *values):
        chosen, f, bars = self.split(values)
        bars = iter(bars)
        _, trace, inputs, _, (outputs, _) = transforms._record(f, chosen)
        return tuple(transforms._pull(trace, inputs, outputs, [next(bars) if g else None for g in self.given]))


class _Pushforward(_Function):
    """Inputs and tangents to tangents."""

    def __call__(self, *values):
        chosen, f, tangents = self.split(values)
        return transforms.jvp(f, chosen, tuple(tangents))[1]


def _cotangents(f, xs, wanted, bars):
    given = [bar is not None for bar in bars]
    if True not in given:
        return [None] * len(xs)
    with full_precision(xs[0]):
        found = iter(call(_Pullback(f, wanted, given), [*xs, *[bar for bar in bars if bar is not None]]))
    return [next(found) if w else None for w in wanted]


def _tangents(f, xs, tangents):
    wanted = [dx is not None for dx in tangents]
    found = call(_Pushforward(f, wanted), [*xs, *[dx for dx in tangents if dx is not None]])
    return tuple([dy if is_inexact(dy) else None for dy in found])


def full_precision(x):
    """A context without autocast, under which products of matrices would be taken in half precision."""
    place = x.device.type
    return torch.autocast(place, enabled=False) if autocast(place) else contextlib.nullcontext()


def autocast(place):
    """Whether autocast is on for a type of device."""
    return place != "meta" and torch.is_autocast_enabled(place)


# ------------------------------------------------------------------------------- the transformations of torch.func


class Transformed(torch.autograd.Function):
    """What `call` does under transformations; ``vmap`` runs the forward and backward passes on batched tensors."""

    generate_vmap_rule = True

    @staticmethod
    def forward(f, *xs):
        values = [x.detach() for x in xs]
        with contextlib.nullcontext() if f.closed else _Watch(f):
            return tuple(distinct(f(*values), values))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.set_materialize_grads(False)
        ctx.f, *xs = inputs
        ctx.save_for_backward(*xs)
        ctx.save_for_forward(*xs)
        ctx.mark_non_differentiable(*[y for y in output if not is_inexact(y)])

    @staticmethod
    def backward(ctx, *bars):
        return None, *_cotangents(ctx.f, ctx.saved_tensors, list(ctx.needs_input_grad[1:]), bars)

    @staticmethod
    def jvp(ctx, _, *tangents):
        return _tangents(ctx.f, ctx.saved_tensors, tangents)


class _Watch(TorchFunctionMode):
    """Looks for tensors that f closes over: those that it is given are detached, on every level."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def __torch_function__(self, function, types, args=(), kwargs=None):
        tensors = []
        for x in (*args, *(kwargs or {}).values()):  # stack and concat take a sequence
            tensors += [v for v in (x if isinstance(x, (tuple, list)) else (x,)) if isinstance(v, torch.Tensor)]
        if any(functorch.is_gradtrackingtensor(x) and functorch.unwrap_if_dead(x) is x for x in tensors):
            raise ValueError(
                f"{self.f.name}: the function closes over a tensor that torch.func differentiates, which would get no "
                "derivative: pass it as an argument, or detach it"
            )
        _refuse_captured(self.f, tensors)
        return function(*args, **(kwargs or {}))


class Looped(Transformed):
    """The same for what ``vmap`` cannot run on batched tensors: once for each entry of the batch."""

    generate_vmap_rule = False

    @staticmethod
    def vmap(info, in_dims, f, *xs):
        of_each = []
        for i in range(info.batch_size):
            of_each.append(call(f, [x if d is None else x.select(d, i) for x, d in zip(xs, in_dims[1:])]))
        found = tuple([torch.stack(ys) for ys in zip(*of_each)])
        return found, (0,) * len(found)


def _transformed(f, xs):
    try:
        return Transformed.apply(f, *xs)
    except RuntimeError:
        if not any(map(is_batched, xs)):
            raise
    return Looped.apply(f, *xs)
