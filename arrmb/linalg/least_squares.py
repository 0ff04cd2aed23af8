"""Least squares and pseudo-inverses, of full or constant deficient rank."""

import math
import numbers

from .._xp import H, namespace, raw
from ..ops import lstsq as _lstsq
from ..ops import pinv as _pinv
from ..ops import truncated_pinv as _truncated
from . import _check

__all__ = ["lstsq", "pinv"]


def pinv(x, /, *, rtol=None):
    """Moore-Penrose pseudo-inverse.

    Parameters
    ----------
    x : array, shape (..., m, n)
        Real or complex.
    rtol : float or array, optional
        Singular values up to ``rtol`` times the largest of their matrix are taken as zero. An array has one number for
        each matrix, shape (...), and is a constant. Default: ``max(m, n) * eps``.

    Returns
    -------
    array, shape (..., n, m)

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array, or ``rtol`` is not a number.
    ValueError
        ``x`` is not an array of matrices, has NaN or inf where the backend looks, or ``rtol`` is negative; or
        (on a CPU) a derivative is taken where a singular value is equal to ``rtol`` times the largest one, to rounding.

    Notes
    -----
    The pseudo-inverse jumps where the rank changes; whatever singular values coincide does not matter.

    * Without ``rtol`` only what is zero to rounding is left out. Derivatives are those along which the rank does not
      change; there they are exact at any order. Source: `arrmb.ops.pinv`.
    * With ``rtol`` what is left out need not be zero. Derivatives are those of the truncated pseudo-inverse, exact to
      second order as long as no singular value crosses ``rtol`` times the largest one; a third raises. With a singular
      value on the cut, to rounding, a derivative raises (NaN on a GPU). Source: `arrmb.ops.truncated_pinv`.
    """
    _check.matrix("pinv", "x", x)
    rtol = relative_tolerance("pinv", x, rtol)
    if 0 in x.shape[-2:]:
        return H(x)
    with _check.backend_errors("pinv", "x", _check.DIVERGED):
        return _pinv.pinv(x) if rtol is None else _truncated.truncated_pinv(x, rtol=rtol)


def lstsq(a, b, /, *, rtol=None):
    """Least-squares solution of linear systems, of least norm: ``pinv(a) @ b``.

    Parameters
    ----------
    a : array, shape (..., m, n)
        Real or complex, of any rank.
    b : array, shape (m,) or (..., m, k)
        One vector if one-dimensional, else matrices. Leading axes broadcast against those of ``a``.
    rtol : float or array, optional
        As for `pinv`: which singular values of ``a`` count. Default: ``max(m, n) * eps``.

    Returns
    -------
    array, shape (..., n) for a vector ``b``, else (..., n, k)
        The solution x alone: the residual is ``b - a @ x``, and its derivatives are exact too.

    Raises
    ------
    TypeError
        An argument is not a floating-point array, the arguments belong to different backends, or ``rtol`` is not a
        number.
    ValueError
        Shapes do not fit, ``a`` is empty, or has NaN or inf where the backend looks, or ``rtol`` is negative; or
        (on a CPU) a derivative is taken where a singular value of ``a`` is equal to ``rtol`` times the largest one, to
        rounding.

    Notes
    -----
    As for `pinv`: without ``rtol`` derivatives are those along which the rank does not change, exact at any order; with
    it, those of the truncated solution, exact to second order as long as no singular value crosses ``rtol`` times the
    largest one, and a third raises. Nothing m × m is formed, but for the second order with ``rtol``, a matrix of order
    m + n. Source: `arrmb.ops.lstsq`, `arrmb.ops.truncated_pinv`.
    """
    _check.matrix("lstsq", "a", a)
    if 0 in a.shape[-2:]:
        raise ValueError(f"lstsq: a must have at least one row and one column, got shape {tuple(a.shape)}")
    rtol = relative_tolerance("lstsq", a, rtol)
    a, b = _check.system("lstsq", a=a, b=b)
    vector = len(b.shape) == 1
    with _check.backend_errors("lstsq", "a", _check.DIVERGED):
        b = b[:, None] if vector else b
        if rtol is None:
            x = _lstsq.lstsq(a, b)
        else:
            y = _truncated.truncated_pinv(a, rtol=rtol)
            x = namespace(y, b).matmul(y, b)
    return x[..., 0] if vector else x


def relative_tolerance(op, x, rtol):
    """``rtol`` as a number or a raw array, which is not looked at: what it decides on, a rank, is constant."""
    if rtol is None:
        return None
    if hasattr(rtol, "shape") and not isinstance(rtol, numbers.Number):  # those of NumPy have a shape, too
        _check.same_backend(op, x=x, rtol=rtol)
        return raw(rtol)
    rtol = _check.number(op, "rtol", rtol)
    if not 0.0 <= rtol < math.inf:  # from 1 on it leaves nothing
        raise ValueError(f"{op}: rtol is relative to the largest singular value, and must not be negative, got {rtol}")
    return float(rtol)
