"""Singular values and vectors, and functions of them.

All take real or complex floating-point arrays of any backend, batched over leading axes, raw or traced. Derivations,
and what is exact where, are in the op files: `arrmb.ops.svd`, `svd_top`, `polar`, `dilation`.
"""

from typing import Any, NamedTuple

from .._xp import H, is_traced, namespace
from ..ops import polar as _polar
from ..ops import scalar
from ..ops import svd as _svd
from ..ops import svd_top as _svd_top
from ..ops.dilation import odd_function
from . import _check
from .hermitian import check_callables

__all__ = ["polar", "svd", "svd_function", "svd_top", "svdvals"]


class PolarResult(NamedTuple):
    """The unitary factor and the Hermitian positive semidefinite one."""

    U: Any
    P: Any


class SVDResult(NamedTuple):
    """Factors of ``x = U @ diag(S) @ Vh``, S descending."""

    U: Any
    S: Any
    Vh: Any


def svd(x, /, *, full_matrices=True, gauge="drop"):
    """Singular value decomposition.

    Parameters
    ----------
    x : array, shape (..., m, n)
    full_matrices : bool
        Whether U and Vh are square, the standard's default.
    gauge : {"drop", "raise"}
        Whether a derivative raises if the loss depends on an arbitrary choice of vectors, or on tied singular values in
        an unsymmetric way; "drop" leaves that part of it out. Forward mode sees no loss: there "raise" raises where the
        direction splits a group of tied values, whose vectors then have no derivative. It looks at values, which makes
        a GPU wait.

    Returns
    -------
    SVDResult
        ``U``, shape (..., m, k), ``S``, shape (..., k), real and descending, ``Vh``, shape (..., k, n), with
        ``k = min(m, n)``; if ``full_matrices``, U is (..., m, m) and Vh is (..., n, n).

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not an array of matrices, has NaN or inf where the backend looks, or ``gauge`` is unknown; with
        ``gauge="raise"``, the loss depends on an arbitrary choice.

    Notes
    -----
    Vectors are free: those of equal singular values up to a rotation of the group, those of zero singular values and
    the last |m - n| ones of a square factor up to the choice of a basis, and complex pairs up to a phase. Gradients are
    exact for losses that do not see the choice (a loss of the extra columns U2 through U2 U2^H, say). At ties and zeros
    a second derivative raises (on a GPU, NaN): see `svd_top`, `polar`, `svd_function`, `schatten_norm`. Source, and
    what is exact where: `arrmb.ops.svd`.
    """
    _check.matrix("svd", "x", x)
    _check.gauge("svd", gauge)
    with _check.backend_errors("svd", "x", _check.DIVERGED):
        return SVDResult(*_svd.svd(x, full_matrices=full_matrices and x.shape[-2] != x.shape[-1], gauge=gauge))


def svd_top(x, k, /, *, gauge="drop"):
    """The ``k`` largest singular values and their vectors.

    Parameters
    ----------
    x : array, shape (..., m, n)
    k : int
        Between 0 and min(m, n).
    gauge : {"drop", "raise"}
        As in `svd`.

    Returns
    -------
    SVDResult
        ``U``, shape (..., m, k), ``S``, shape (..., k), real and descending, ``Vh``, shape (..., k, n).

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not an array of matrices, ``k`` is out of range, ``gauge`` is unknown, or (on a CPU) the singular
        values number k and k + 1 are equal to rounding, or number k is zero: the triplets are not defined there.

    Notes
    -----
    Derivatives see only the gaps among the k and from them to the rest: exact to any order whatever ties and zeros the
    rest has. At ties among the k they are exact to first order, as those of `svd`, for losses that do not see the
    choice of basis. A second derivative costs k solves of size m + n. Source: `arrmb.ops.svd_top`.
    """
    _check.matrix("svd_top", "x", x)
    _check.gauge("svd_top", gauge)
    k = _check.count("svd_top", k, 0, min(x.shape[-2:]), "min(m, n)")
    with _check.backend_errors("svd_top", "x", _check.DIVERGED):
        return SVDResult(*_svd_top.svd_top(x, k=k, gauge=gauge))


def polar(x, /, *, side="right"):
    """Polar decomposition, ``x = U @ P`` or ``x = P @ U``.

    Parameters
    ----------
    x : array, shape (..., m, n)
        Real or complex, of full rank where a derivative is taken.
    side : {"right", "left"}
        On which side of U the factor P is.

    Returns
    -------
    PolarResult
        ``U``, shape (..., m, n), with orthonormal columns (rows, if m < n), and ``P``, Hermitian positive semidefinite,
        shape (..., n, n), or (..., m, m) if on the left.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not an array of matrices, has NaN or inf where the backend looks, or ``side`` is unknown; or (on a CPU)
        a second derivative is taken where ``x`` is rank deficient to rounding.

    Notes
    -----
    Derivatives divide by sums of singular values: exact to second order whatever ties there are. They grow as one over
    the smallest singular value for U, and in the second order as its square. Where ``x`` is rank deficient to rounding,
    U is not unique: first derivatives stay finite, a second raises (NaN on a GPU). A third derivative raises. Source:
    `arrmb.ops.polar`.
    """
    _check.matrix("polar", "x", x)
    if side not in ("right", "left"):
        raise ValueError(f"polar: side must be 'right' or 'left', got {side!r}")
    with _check.backend_errors("polar", "x", _check.DIVERGED):
        if side == "right":
            return PolarResult(*_polar.polar(x))
        u, p = _polar.polar(H(x))
        return PolarResult(H(u), p)


def svdvals(x, /):
    """Singular values.

    Parameters
    ----------
    x : array, shape (..., m, n)

    Returns
    -------
    array, shape (..., min(m, n))
        Real, descending.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not an array of matrices, or has NaN or inf where the backend looks.

    Notes
    -----
    At ties the gradient is exact for losses symmetric in the tied singular values; at zero a singular value has a kink.
    A second derivative raises at either (on a GPU, NaN): use `schatten_norm`, `svd_function`. Source: `arrmb.ops.svd`.
    """
    _check.matrix("svdvals", "x", x)
    with _check.backend_errors("svdvals", "x", _check.DIVERGED):
        if is_traced(x):
            return _svd.svdvals(x)
        return namespace(x).linalg.svdvals(x)  # no rule will ask for the vectors


def svd_function(x, f, /, df=None, ddf=None):
    """An odd function of the singular values, U f(S) V^H for X = U S V^H ("generalized matrix function").

    Exact whatever the multiplicities, at zero singular values too, where a loss written with `svd` is not: U f(S) V^H
    is a block of f at the Hermitian matrix [[0, X], [X^H, 0]], whose eigenvalues are ±S and zeros.

    Parameters
    ----------
    x : array (..., m, n), real or complex floating-point
    f : callable
        Real and odd, f(-s) = -f(s), elementwise on arrays of any Array API namespace: for instance s, tanh(s),
        s/(1 + s²), or soft thresholding, sign(s) max(|s| - t, 0).
    df, ddf : callables, optional
        Its first and second derivative. Default: found by the tape.

    Returns
    -------
    array (..., m, n), of the dtype and device of ``x``

    Raises
    ------
    TypeError
        ``f`` is not callable, or depends on another traced array; or ``x`` is not an array of floating-point matrices.
    ValueError
        ``x`` has fewer than two axes; or (on a CPU) ``f`` is not odd.

    Notes
    -----
    Costs one eigendecomposition of size m + n. First and second derivatives are exact. Source: Noferini, "A formula for
    the Fréchet derivative of a generalized matrix function", SIAM J. Matrix Anal. Appl. 38 (2017).
    """
    _check.matrix("svd_function", "x", x)
    check_callables("svd_function", f, df, ddf)
    with _check.backend_errors("svd_function", "x", _check.DIVERGED):
        return odd_function(x, scalar.UserFunction("svd_function", f, df, ddf, odd=True))
