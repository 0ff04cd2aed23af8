"""The transformation `debug`: every op that a function runs is checked for NaN and infinity."""

from __future__ import annotations

import functools
import math

from . import tree
from ._xp import is_inexact, namespace, raw
from .tape.core import Debug, Traced, any_traced, below


def debug(f):
    """``f``, with every op that it runs checked for NaN and infinity.

    ``debug`` is a transformation like the others, and where it stands decides what is checked: ``grad(debug(f))``
    checks the forward pass, ``debug(grad(f))`` the forward pass and the adjoints. Unused, it costs nothing; used, it
    makes a GPU wait after every op.

    Raises
    ------
    FloatingPointError
        At the first op with a result that is not finite. The message names the op, its result, and which of its
        arguments were finite.
    """

    @functools.wraps(f)
    def checked(*args, **kwargs):
        leaves, structure = tree.flatten((args, kwargs))
        trace = Debug(_look)
        nested = any_traced(leaves)
        boxed = [Traced(x, trace, None) if hasattr(x, "dtype") and is_inexact(x) else x for x in leaves]
        args, kwargs = structure.unflatten(boxed)
        return tree.map(lambda v: below(trace, v, nested), f(*args, **kwargs))

    return checked


def _look(op, args, y):
    for i, v in enumerate(y if type(y) is tuple else (y,)):
        bad = _not_finite(v)
        if bad:
            what = f"output {i} of op {op.name!r}" if type(y) is tuple else f"the result of op {op.name!r}"
            inputs = "; ".join(f"argument {k}: {_summary(a)}" for k, a in enumerate(args))
            raise FloatingPointError(f"{what} is not finite ({bad}). {inputs}")


def _not_finite(x):
    v = raw(x)
    xp = namespace(v)
    if not is_inexact(v):
        return ""
    bad = int(xp.count_nonzero(~xp.isfinite(v)))
    if not bad:
        return ""
    nan = int(xp.count_nonzero(xp.isnan(v)))
    return f"{nan} NaN and {bad - nan} inf of {math.prod(v.shape)} entries, shape {tuple(v.shape)}"


def _summary(a):
    if not hasattr(a, "dtype"):
        return repr(a)
    return _not_finite(a) or f"finite, shape {tuple(a.shape)}, dtype {raw(a).dtype}"
