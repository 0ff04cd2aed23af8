"""Checks of the arguments of transformations."""

from __future__ import annotations

import operator

from . import tree
from ._xp import is_complex, is_inexact, namespace, sum_to


def function(op, f):
    """Raise unless ``f`` can be called."""
    if not callable(f):
        raise TypeError(f"{op}: f must be a function, got {type(f).__name__}")


def index(i):
    """``i`` as an int. Raise unless it is an integer."""
    if isinstance(i, bool):
        raise TypeError
    return operator.index(i)


def distinct(op, argnums):
    """Raise if an argument is named twice."""
    if len(set(argnums)) < len(argnums):
        raise ValueError(f"{op}: argnums={tuple(argnums)} names an argument twice")


def inexact_result(op, outputs):
    """Raise unless all ``outputs`` of a function are floating-point arrays."""
    if not all(hasattr(y, "dtype") and is_inexact(y) for y in outputs):
        found = ", ".join(str(getattr(y, "dtype", type(y).__name__)) for y in outputs)
        raise TypeError(f"{op}: the result must be of floating-point arrays, got {found}")


def pair(op, args, tangents):
    """Raise unless both are tuples."""
    for name, value in (("args", args), ("tangents", tangents)):
        if not isinstance(value, (tuple, list)):
            raise TypeError(f"{op}: {name} must be a tuple, one entry per argument of f; got {type(value).__name__}")


def leaves(args, what):
    """The leaves of ``args``, each checked to be an inexact array, all of one backend; and the structure."""
    found, structure = tree.flatten(args)
    for x in found:
        if not hasattr(x, "dtype"):
            raise TypeError(
                f"{what}: expected pytrees of floating-point arrays, found a {type(x).__name__}. Wrap a number "
                "with xp.asarray(x, dtype=xp.float64); declare a field that is no array with arrmb.tree.static()"
            )
        if not is_inexact(x):
            raise TypeError(
                f"{what}: derivatives need floating-point arrays (float32, float64, complex64, complex128), found "
                f"dtype {x.dtype} with shape {tuple(x.shape)}; cast it with xp.astype; close over a constant"
            )
        if getattr(x, "requires_grad", False):
            raise TypeError(
                f"{what}: a tensor that requires grad would be recorded by PyTorch as well; pass x.detach(), or take "
                "gradients with PyTorch, through the functions of arrmb.plugins.torch"
            )
    if found:
        namespace(*found)
    return found, structure


def matching(trees, structure, like, what, of):
    """The leaves of ``trees``, each of the shape and dtype of its counterpart in ``like``."""
    leaves, found = tree.flatten(trees)
    if found != structure:
        raise ValueError(f"{what}: the structure {found} does not match that of {of}, {structure}")
    for i, (v, x) in enumerate(zip(leaves, like)):
        if not hasattr(v, "dtype"):
            number = isinstance(v, (int, float, complex))
            raise TypeError(
                f"{what}: the leaves must be arrays, got {type(v).__name__}"
                + (f": xp.asarray({v!r})" if number else "")
            )
        if tuple(v.shape) != tuple(x.shape):
            raise ValueError(
                f"{what}: leaf {i} has shape {tuple(v.shape)}, its counterpart in {of} has {tuple(x.shape)}"
            )
        namespace(v, x)
        if is_complex(v) and not is_complex(x):
            raise TypeError(
                f"{what}: leaf {i} is complex, its counterpart in {of} is real: xp.real of it, or complex arrays"
            )
    return [sum_to(v, x.shape, x.dtype) for v, x in zip(leaves, like)]
