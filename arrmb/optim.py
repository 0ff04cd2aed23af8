"""Optimisers: pure functions on pytrees of parameters. What an optimiser remembers is a pytree too, passed in and out.

    state = adam_init(params)
    for batch in batches:
        value, grads = arrmb.value_and_grad(loss)(params, batch)
        params, state = adam(params, grads, state, lr=1e-3)

Nothing is updated in place, and no value is read back from a device. Parameters keep their dtype, and may be complex.
"""

from __future__ import annotations

import math
from typing import Any

from . import tree
from ._threads import by_blocks
from ._xp import conj, namespace, real


def sgd_init(params):
    """The state of `sgd` before its first step: a velocity of zero for each parameter."""
    return tree.map(_zeros, params)


def sgd(params, grads, state, *, lr, momentum=0.9, nesterov=False, weight_decay=0.0):
    """One step of stochastic gradient descent with momentum.

        v = momentum v + g + weight_decay p          p = p - lr v,   with nesterov  p - lr (momentum v + g + …)

    Parameters
    ----------
    params, grads : pytrees of arrays
        Of one structure and equal shapes.
    state : pytree
        From `sgd_init(params)` or the step before.
    lr, momentum, weight_decay : float
    nesterov : bool

    Returns
    -------
    params, state : pytrees

    Raises
    ------
    ValueError
        ``grads`` or ``state`` do not have the structure and shapes of ``params``.
    """
    _check("sgd", params, grads=grads, state=state)
    if weight_decay:
        grads = tree.map(lambda p, g: g + weight_decay * p, params, grads)
    state = tree.map(lambda v, g: momentum * v + g, state, grads)
    moves = tree.map(lambda v, g: momentum * v + g, state, grads) if nesterov else state
    return tree.map(lambda p, v: p - lr * v, params, moves), state


@tree.dataclass
class AdamState:
    """What `adam` remembers: the number of steps, and running means of the gradients and of their squared moduli."""

    step: int
    mean: Any
    square: Any


def adam_init(params):
    """The state of `adam` before its first step."""
    return AdamState(0, tree.map(_zeros, params), tree.map(lambda p: _zeros(real(p)), params))


def adam(params, grads, state, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """One step of Adam; with ``weight_decay``, of AdamW (the decay is apart from the gradient).

        m = β₁ m + (1 - β₁) g                   v = β₂ v + (1 - β₂) |g|²
        p = (1 - lr weight_decay) p - lr (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + eps)

    Parameters
    ----------
    params, grads : pytrees of arrays
        Of one structure and equal shapes.
    state : AdamState
        From `adam_init(params)` or the step before.
    lr, eps, weight_decay : float
    betas : pair of float

    Returns
    -------
    params : pytree
    state : AdamState

    Raises
    ------
    ValueError
        ``grads`` or ``state`` do not have the structure and shapes of ``params``.

    Notes
    -----
    Source: Kingma, Ba, "Adam" (2015); Loshchilov, Hutter, "Decoupled weight decay regularization" (2019).
    """
    _check("adam", params, grads=grads, **{"state.mean": state.mean, "state.square": state.square})
    b1, b2 = betas
    step = state.step + 1
    rate, keep, root = lr / (1.0 - b1**step), 1.0 - lr * weight_decay, 1.0 / math.sqrt(1.0 - b2**step)

    def moved(p, g, m, v):  # in place where the array is its own: large parameters wait for memory
        m = _towards(m, g - m, b1)
        v = _towards(v, real(conj(g) * g) - v, b2)
        size = namespace(v).sqrt(v)
        size *= root
        size += eps
        return keep * p - rate * (m / size), m, v  # the rate may be traced

    params, mean, square = _by_leaf(moved, 3, params, grads, state.mean, state.square)
    return params, AdamState(step, mean, square)


def _by_leaf(function, count, *trees):
    """The ``count`` trees (with or without leaves) that ``function`` makes, leaf by leaf and entry by entry."""
    leaves, structures = zip(*map(tree.flatten, trees))
    found = [by_blocks(function, arrays) for arrays in zip(*leaves)]
    return tuple([structures[0].unflatten([results[i] for results in found]) for i in range(count)])


def _towards(old, gap, beta):
    """β old + (1 - β) new, where the array ``gap`` = new - old is the caller's to overwrite."""
    gap *= 1.0 - beta
    gap += old
    return gap


def _zeros(p):
    return namespace(p).zeros_like(p)


def _check(op, params, **others):
    leaves, structure = tree.flatten(params)
    for name, other in others.items():
        found, its_structure = tree.flatten(other)
        if its_structure != structure:
            raise ValueError(f"{op}: {name} must have the structure of params, {structure}, got {its_structure}")
        for path, p, v in zip(tree.paths(params), leaves, found):
            if tuple(p.shape) != tuple(v.shape):
                raise ValueError(
                    f"{op}: {name} must have the shapes of params; {path!r} has {tuple(v.shape)}, "
                    f"the parameter {tuple(p.shape)}"
                )
