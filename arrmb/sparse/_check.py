"""Checks of the arguments of the sparse functions."""

from .._xp import is_array, is_complex, namespace, raw
from ..linalg._check import floating, number
from ..ops.gauge import CHOICES
from ..ops.pattern import Pattern


def pattern(op, found):
    if not isinstance(found, Pattern):
        raise TypeError(
            f"{op}: pattern must be an arrmb.sparse.Pattern, got {type(found).__name__}: make one with Pattern(A) "
            "from a sparse array A, and give its entries, A.data, as data"
        )


def entries(op, data, pattern):
    if hasattr(data, "tocoo"):
        raise TypeError(f"{op}: data must be the vector of stored entries, got a sparse array: give data.data")
    floating(op, "data", data)
    if tuple(data.shape) != (pattern.nnz,):
        raise ValueError(
            f"{op}: data must have shape ({pattern.nnz},), one entry per stored place, got {tuple(data.shape)}"
        )


def options(op, n, k, which, method, tol, gauge):
    k = number(op, "k", k, integer=True)
    if not 1 <= k <= n - 3:
        raise ValueError(
            f"{op}: k must be from 1 to n - 3 = {n - 3}, got {k}; for more of the spectrum use arrmb.linalg.eigh of a "
            "dense array"
        )
    for name, value, choices in (
        ("which", which, ("LA", "SA", "LM")),
        ("method", method, ("arpack", "lobpcg")),
        ("gauge", gauge, CHOICES),
    ):
        if value not in choices:
            raise ValueError(f"{op}: {name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    if not (isinstance(tol, (int, float)) and 0.0 <= tol < 1.0):
        raise ValueError(f"{op}: tol must be a number from 0 to 1, relative to the norm of the matrix, got {tol!r}")
    if method == "lobpcg" and (which == "LM" or n < 5 * k):
        raise ValueError(
            f"{op}: method 'lobpcg' takes which='LA' or 'SA' and n >= 5 k, got which={which!r}, n = {n}, k = {k}: use "
            "method='arpack'"
        )
    return k


def starting(op, like, n, k, method, v0, maxiter):
    if method == "lobpcg" and is_complex(like) and namespace(like).__name__ == "array_api_compat.cupy":
        raise ValueError(f"{op}: CuPy's 'lobpcg' is for real matrices: use method='arpack'")
    if v0 is not None:
        v0 = raw(v0)
        shape = (n,) if method == "arpack" else (n, k)
        if not is_array(v0) or tuple(v0.shape) != shape or v0.dtype != like.dtype:
            found = f"{tuple(v0.shape)}, {v0.dtype}" if hasattr(v0, "dtype") else type(v0).__name__
            raise ValueError(f"{op}: v0 must be an array of shape {shape} and dtype {like.dtype}, got {found}")
        xp = namespace(v0, like)
        if not bool(xp.all(xp.any(v0 != 0.0, axis=0))):
            raise ValueError(f"{op}: v0 must not be zero")
    maxiter = 10 * n + 1000 if maxiter is None else maxiter
    if isinstance(maxiter, bool) or not hasattr(maxiter, "__index__") or maxiter < 1:
        raise ValueError(f"{op}: maxiter must be a positive integer, got {maxiter!r}")
    return v0, int(maxiter)
