"""Updates of a traced array, ``x[key] = value`` and ``x += y``: the array is replaced, nothing recorded changes.

A traced array is a box: its value, and where it is on a trace. An update computes a new array, and puts that into the
box. The old value stays on the tape, so derivatives are right. What is not imitated is memory shared between arrays:
the update of an array does not reach those that it was sliced, reshaped or transposed from. The standard leaves that
open, and code that relies on it is not portable.
"""

import math
import sys

from .._xp import (
    device,
    integer,
    is_array,
    is_complex,
    is_inexact,
    is_traced,
    namespace,
    raw_key,
    raw_namespace,
    with_entries,
)
from ..ops import arithmetic, indexing
from .core import lift
from .functions.manipulation import astype, reshape


def updated(x, key, value):
    """The array ``x`` with ``value`` at ``key``, as one of ``value``'s entries or of its own at every place."""
    xp, shape = raw_namespace(namespace(x)), x.shape
    if not is_traced(value) and not is_array(value):
        value = xp.asarray(value, dtype=x.dtype, device=device(x))
    if is_complex(value) and not is_complex(x):
        raise TypeError("x[key] = value: value is complex and x is real; make x complex first, with xp.astype")
    if is_inexact(value) and not is_inexact(x):
        raise TypeError(f"x[key] = value: value has dtype {value.dtype} and x has {x.dtype}; cast one with xp.astype")
    n = math.prod(value.shape)
    owner = xp.full(shape, -1, dtype=integer(xp), device=device(x))  # which entry of value goes to each place
    entries = xp.reshape(xp.arange(n, dtype=owner.dtype, device=device(x)), value.shape)
    owner = with_entries(owner, raw_key(key), entries)
    if n == 0:
        return lift(x)
    entries = reshape(value if value.dtype == x.dtype else astype(value, x.dtype), (n,))
    kept = owner < 0
    places = xp.reshape(xp.where(kept, 0, owner), (-1,))
    return arithmetic.where(kept, x, reshape(indexing.take(lift(entries), indices=places), shape))


class _Probe:
    """Counts the references to an object during ``object[key] = value``."""

    def __setitem__(self, key, value):
        self.count.append(sys.getrefcount(self))


def _references_of_a_temporary():
    """What `sys.getrefcount` says in ``__setitem__`` of an object without a name; -1 if it cannot tell."""
    _Probe.count = []
    _Probe()[0] = 0
    named = _Probe()
    named[0] = 0
    temporary, other = _Probe.count
    return temporary if temporary < other else -1


_TEMPORARY = _references_of_a_temporary()


def setitem(x, key, value):
    """``x[key] = value`` for a traced ``x``."""
    if sys.getrefcount(x) <= _TEMPORARY:  # as in x[0][1] = value: nobody else has x[0], the update would be lost
        raise TypeError("x[i][j] = value would update a copy of x[i], and x would stay as it is: write x[i, j] = value")
    _put_into(x, updated(x, key, value))


_KINDS = "bool", "integral", "real floating", "complex floating"


def _kind(x):
    isdtype = raw_namespace(namespace(x)).isdtype
    return next((i for i, kind in enumerate(_KINDS) if isdtype(x.dtype, kind)), len(_KINDS))


def replace(x, new):
    """``x += y`` for a traced ``x``, ``new`` being ``x + y``: like the backends', of the shape and dtype of ``x``."""
    if new.shape != x.shape:
        raise ValueError(f"x += y and the like: the result has shape {tuple(new.shape)}, and x has {tuple(x.shape)}")
    if new.dtype != x.dtype:
        if _kind(new) > _kind(x):
            raise TypeError(f"x += y and the like: the result has dtype {new.dtype}, and x has {x.dtype}: x = x + y")
        new = astype(new, x.dtype)
    _put_into(x, new)
    return x


def _put_into(x, new):
    x.value, x.trace, x.link = new.value, new.trace, new.link
