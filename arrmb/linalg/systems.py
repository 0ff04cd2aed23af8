"""Inverse, linear systems and determinants, under the standard's names and signatures.

All take real or complex floating-point arrays of any backend, batched over leading axes, raw or traced. Derivations,
and what is exact where, are in the op files: `arrmb.ops.inverse`, `determinant`.
"""

from typing import Any, NamedTuple

from .._xp import namespace
from ..ops import determinant as _determinant
from ..ops import inverse as _inverse
from . import _check

__all__ = ["det", "inv", "slogdet", "solve"]

_SINGULAR = "is singular: regularise it, for instance x + eps * I, or use a least-squares solution"


class SlogdetResult(NamedTuple):
    """Sign (of absolute value 1 if complex) and logarithm of the absolute value of a determinant."""

    sign: Any
    logabsdet: Any


def inv(x, /):
    """Inverse of square matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Invertible.

    Returns
    -------
    array, shape (..., n, n)

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or is singular (CuPy gives NaN or inf instead).

    Notes
    -----
    Smooth where invertible; derivatives exact at any order. Source: `arrmb.ops.inverse`.
    """
    _check.matrix("inv", "x", x, square=True)
    with _check.backend_errors("inv", "x", _SINGULAR):
        return _inverse.inv(x)


def solve(x1, x2, /):
    """Solution of linear systems, ``x1 @ x = x2``.

    Parameters
    ----------
    x1 : array, shape (..., n, n)
        Invertible.
    x2 : array, shape (n,) or (..., n, k)
        One vector if one-dimensional, else matrices. Leading axes broadcast against those of ``x1``.

    Returns
    -------
    array, shape (..., n) for a vector ``x2``, else (..., n, k)

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or the arguments belong to different backends.
    ValueError
        ``x1`` is not square or ``x2`` does not have its rows, or ``x1`` is singular (CuPy gives NaN or inf instead).

    Notes
    -----
    Smooth where ``x1`` is invertible; derivatives exact at any order. Source: `arrmb.ops.inverse`.
    """
    _check.matrix("solve", "x1", x1, square=True)
    _check.floating("solve", "x2", x2)
    _check.same_backend("solve", x1=x1, x2=x2)
    n = x1.shape[-1]
    if len(x2.shape) == 0 or x2.shape[0 if len(x2.shape) == 1 else -2] != n:
        raise ValueError(
            f"solve: x2 must have shape ({n},) or (..., {n}, k) for x1 (..., {n}, {n}), got {tuple(x2.shape)}"
        )
    xp = namespace(x1, x2)
    if x1.dtype != x2.dtype:
        dtype = xp.result_type(x1, x2)
        x1, x2 = xp.astype(x1, dtype), xp.astype(x2, dtype)
    with _check.backend_errors("solve", "x1", _SINGULAR):
        return _inverse.solve(x1, x2)


def det(x, /):
    """Determinant.

    Parameters
    ----------
    x : array, shape (..., n, n)

    Returns
    -------
    array, shape (...)

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square.

    Notes
    -----
    The gradient is exact everywhere, at singular matrices too; second and higher orders where ``x`` is invertible.
    For large matrices `slogdet` neither overflows nor underflows. Source: `arrmb.ops.determinant`.
    """
    _check.matrix("det", "x", x, square=True)
    return _determinant.det(x)


def slogdet(x, /):
    """Sign and logarithm of the absolute value of the determinant.

    Parameters
    ----------
    x : array, shape (..., n, n)

    Returns
    -------
    SlogdetResult
        ``sign``, shape (...), of the dtype of ``x``, and ``logabsdet``, shape (...), real. A singular matrix gives
        0 and -inf.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square.

    Notes
    -----
    Smooth where invertible; derivatives exact at any order. Source: `arrmb.ops.determinant`.
    """
    _check.matrix("slogdet", "x", x, square=True)
    return SlogdetResult(*_determinant.slogdet(x))
