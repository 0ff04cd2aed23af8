"""What a node keeps of arrmb's tape, and what it hands to PyTorch: tensors that stand alone."""

from __future__ import annotations

import torch

_is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor


class _Slot(int):
    """The place of a tensor of the tape among those that PyTorch keeps."""


def pack(tape, outputs, values):
    """The rows that lead to ``outputs``, and the tensors that they hold, each replaced by its place."""
    places = {id(x): _Slot(i) for i, x in enumerate(values)}
    kept, rows, needed = list(values), [], set(outputs)
    for node, op, saved, parents, nested in reversed(tape):
        if node[0] not in needed:
            continue
        if op is None:  # one of several outputs, of the row of which it knows the node
            needed.add(parents[0])
        else:
            needed.update([parent[0] for parent in parents if parent is not None])
            saved = _packed(saved, places, kept)
        rows.append((node, op, saved, parents, nested))
    rows.reverse()
    return rows, kept[len(values) :]


def _packed(v, places, kept):
    if type(v) is tuple:
        return tuple([_packed(part, places, kept) for part in v])
    if not isinstance(v, torch.Tensor):
        return v
    if id(v) not in places:
        places[id(v)] = _Slot(len(kept))
        kept.append(v)
    return places[id(v)]


def unpack(v, kept):
    if type(v) is tuple:
        return tuple([unpack(part, kept) for part in v])
    return kept[v] if type(v) is _Slot else v


def distinct(ys, xs):
    """``ys`` as tensors of their own: none shares its memory with one of ``xs`` or with another one of ``ys``.

    PyTorch knows of no such relations: an update of one in place would change the other, and not its gradient.
    """
    others, found = list(xs), []
    for y in ys:
        known = any(y is x for x in others)
        if _is_wrapped(y):
            y = y.clone() if known or y._is_view() else y
        elif known or y._is_view() or len(ys) > 1:
            shared = _memory(y) in [_memory(x) for x in others if not _is_wrapped(x)]
            y = y.clone() if shared else y.detach() if y._is_view() else y
        others.append(y)
        found.append(y)
    return found


def _memory(x):
    return x.untyped_storage()._cdata  # the storage itself: fake tensors have no address


def apart(bars):
    """Gradients that share no memory: an optimiser may update each in place."""
    seen = set()
    for i, bar in enumerate(bars):
        if bar is not None and not _is_wrapped(bar):
            if _memory(bar) in seen:
                bars[i] = bar.clone()
            seen.add(_memory(bar))
    return bars
