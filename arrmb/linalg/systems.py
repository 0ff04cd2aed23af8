"""Inverse, linear systems and determinants, those of the standard under its names and signatures.

All take real or complex floating-point arrays of any backend, batched over leading axes, raw or traced. Derivations,
and what is exact where, are in the op files: `arrmb.ops.inverse`, `triangular`, `determinant`.
"""

from typing import Any, NamedTuple

from .._xp import diag_part, namespace, on_host, raw
from ..ops import determinant as _determinant
from ..ops import inverse as _inverse
from ..ops import triangular as _triangular
from . import _check

__all__ = ["det", "inv", "logdeth", "slogdet", "solve", "solve_triangular"]

_SINGULAR = "is singular: regularise it, for instance {0} + eps * I, or use {1}"


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
    with _check.backend_errors("inv", "x", _SINGULAR.format("x", "pinv")):
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
    x1, x2 = _check.system("solve", x1=x1, x2=x2)
    with _check.backend_errors("solve", "x1", _SINGULAR.format("x1", "lstsq")):
        return _inverse.solve(x1, x2)


def solve_triangular(a, b, /, *, lower=False, unit_diagonal=False):
    """Solution of triangular systems, ``T @ x = b``, T a triangle of ``a``.

    Parameters
    ----------
    a : array, shape (..., n, n)
        The other triangle is not looked at.
    b : array, shape (n,) or (..., n, k)
        One vector if one-dimensional, else matrices. Leading axes broadcast against those of ``a``.
    lower : bool
        Whether T is the lower triangle, else the upper.
    unit_diagonal : bool
        Whether the diagonal of T is taken as ones; that of ``a`` is then not looked at.

    Returns
    -------
    array, shape (..., n) for a vector ``b``, else (..., n, k)

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or the arguments belong to different backends.
    ValueError
        Shapes do not fit; or (on a CPU) there is a zero on the diagonal of T; a GPU gives NaN or inf.

    Notes
    -----
    For the conjugate transpose of T pass that of ``a``, with the other ``lower``. The gradient of ``a`` is zero outside
    T. Smooth; derivatives exact at any order. Source: `arrmb.ops.triangular`.
    """
    _check.matrix("solve_triangular", "a", a, square=True)
    a, b = _check.system("solve_triangular", a=a, b=b)
    values = raw(a)
    if not unit_diagonal and on_host(a) and bool(namespace(values).any(diag_part(values) == 0.0)):
        raise ValueError(
            "solve_triangular: a has a zero on its diagonal: the triangle is singular; add a multiple of the identity, "
            "or use lstsq"
        )
    vector = len(b.shape) == 1
    x = _triangular.solve_triangular(
        a, b[:, None] if vector else b, lower=bool(lower), unit_diagonal=bool(unit_diagonal)
    )
    return x[..., 0] if vector else x


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
    First and second derivatives are exact everywhere, at singular matrices too; higher ones where ``x`` is invertible.
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
        ``x`` is not square; where a derivative is taken (on a CPU), it is singular.

    Notes
    -----
    Smooth where invertible; derivatives exact at any order. Source: `arrmb.ops.determinant`.
    """
    _check.matrix("slogdet", "x", x, square=True)
    return SlogdetResult(*_determinant.slogdet(x))


def logdeth(x, /):
    """Logarithm of the determinant of Hermitian positive definite matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Positive definite; the Hermitian part is used.

    Returns
    -------
    array, shape (...)
        Real.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or (on a CPU) not positive definite; a GPU gives NaN.

    Notes
    -----
    By the Cholesky factor: neither overflows nor underflows. Smooth; derivatives exact at any order; gradients are
    Hermitian. Source: `arrmb.ops.determinant`.
    """
    _check.matrix("logdeth", "x", x, square=True)
    with _check.backend_errors("logdeth", "x", "is not positive definite: add a multiple of the identity"):
        return _determinant.logdeth(x)
