"""Indexing: linear maps that pick entries, and their transposes that put entries back.

    getitem    Y = X[key], key of slices, integers, None, Ellipsis or one boolean mask (each entry at most once)
    put        zeros with Y at key: the transpose of getitem
    take       Y = X[indices] along the first axis, entries may repeat
    scatter    the transpose of take: rows that share an index are added up

Source: the transposes of linear maps; Griewank and Walther, "Evaluating Derivatives" (2nd ed., 2008), 3.1 and 3.2.
Domain: everywhere, any order. Keys and indices are constants.
"""

import math

from .._xp import device, is_array, is_traced, namespace, raw_namespace, scatter_rows, with_entries
from .manipulation import linear


def index(x, key):
    """``x[key]`` for any key of the standard, and for integer arrays and lists as NumPy has them."""
    xp = raw_namespace(namespace(x))
    parts = key if isinstance(key, tuple) else (key,)
    if any(isinstance(k, (list, tuple, range)) for k in parts):
        key = parts = tuple(
            [_list_to_array(xp, k, device(x)) if isinstance(k, (list, tuple, range)) else k for k in parts]
        )
    if not any(is_array(k) and k.ndim and not xp.isdtype(k.dtype, "bool") for k in parts):
        return getitem(x, key=key)
    # Integer arrays may name an entry twice: as a flat take, whose transpose adds up.
    n = math.prod(x.shape)
    places = xp.reshape(xp.arange(n, device=device(x)), x.shape)[key]
    flat = take(namespace(x).reshape(x, (n,)), indices=xp.reshape(places, (-1,)))
    return namespace(x).reshape(flat, places.shape)


def _list_to_array(xp, k, place):
    return xp.asarray(list(k), dtype=None if len(k) else xp.int64, device=place)


def _put(y, *, key, shape):
    if is_traced(y):
        return put(y, key=key, shape=shape)
    x = namespace(y).zeros(shape, dtype=y.dtype, device=device(y))
    if isinstance(key, tuple):
        key = tuple([k for k in key if k is not None])
        key = key[0] if len(key) == 1 else key
    key = Ellipsis if key is None else key
    return with_entries(x, key, namespace(y).reshape(y, x[key].shape))


def _take(x, *, indices):
    if is_traced(x):
        return take(x, indices=indices)
    return namespace(x).take(x, indices, axis=0)


def _scatter(y, *, indices, n):
    if is_traced(y):
        return scatter(y, indices=indices, n=n)
    return scatter_rows(y, indices, n)


getitem = linear(
    "getitem",
    lambda x, *, key: x[key],
    lambda ybar, shape, *, key: put(ybar, key=key, shape=shape),
)
put = linear("put", _put, lambda xbar, _, *, key, shape: xbar[key])
take = linear("take", _take, lambda ybar, shape, *, indices: scatter(ybar, indices=indices, n=shape[0]))
scatter = linear("scatter", _scatter, lambda xbar, _, *, indices, n: take(xbar, indices=indices))
