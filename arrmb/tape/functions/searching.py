"""Indexing, sorting, and sets of values.

Sorting: each entry keeps its own derivative wherever it goes, equal entries in their stable order. That is one of the
derivatives which a tie offers; a symmetric function of the sorted entries does not tell them apart.
"""

import math
from typing import Any, NamedTuple

from ..._xp import device, from_front, namespace, raw, raw_namespace
from ...ops import indexing
from ..core import lift
from .manipulation import moveaxis, reshape


def take(x, indices, /, *, axis=None):
    axis = 0 if axis is None else from_front(axis, x.ndim)
    indices = raw(indices)
    if axis == 0:
        return indexing.take(x, indices=indices)
    return moveaxis(indexing.take(moveaxis(x, axis, 0), indices=indices), 0, axis)


def take_along_axis(x, indices, /, *, axis=-1):
    xp = raw_namespace(namespace(x))
    axis = from_front(axis, x.ndim)
    grid = xp.reshape(xp.arange(math.prod(x.shape), device=device(x)), x.shape)
    places = xp.take_along_axis(grid, raw(indices), axis=axis)
    flat = indexing.take(reshape(x, (-1,)), indices=xp.reshape(places, (-1,)))
    return reshape(flat, places.shape)


def sort(x, /, *, axis=-1, descending=False, stable=True):
    xp = raw_namespace(namespace(x))
    return take_along_axis(x, xp.argsort(raw(x), axis=axis, descending=descending, stable=stable), axis=axis)


# Sets: which entries are taken is a constant, their values are differentiated.


def unique_values(x, /):
    return unique_all(x).values


def unique_counts(x, /):
    found = unique_all(x)
    return _UniqueCounts(found.values, found.counts)


def unique_inverse(x, /):
    found = unique_all(x)
    return _UniqueInverse(found.values, found.inverse_indices)


def unique_all(x, /):
    xp, flat = raw_namespace(namespace(x)), reshape(x, (-1,))
    values, inverse = xp.unique_inverse(raw(flat))
    inverse = xp.reshape(inverse, (-1,))
    order = xp.argsort(inverse, stable=True)
    groups = xp.arange(values.shape[0], dtype=inverse.dtype, device=device(inverse))
    in_order = xp.take(inverse, order, axis=0)
    first = xp.searchsorted(in_order, groups)
    counts = xp.searchsorted(in_order, groups, side="right") - first
    indices = xp.take(order, first, axis=0)
    return _UniqueAll(
        indexing.take(flat, indices=indices), lift(indices), lift(xp.reshape(inverse, x.shape)), lift(counts)
    )


class _UniqueAll(NamedTuple):
    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class _UniqueCounts(NamedTuple):
    values: Any
    counts: Any


class _UniqueInverse(NamedTuple):
    values: Any
    inverse_indices: Any
