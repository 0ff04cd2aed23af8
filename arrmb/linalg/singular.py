"""Singular values and vectors, and functions of them.

All take real or complex floating-point arrays of any backend, batched over leading axes, raw or traced. Derivations,
and what is exact where, are in the op files: `arrmb.ops.svd`, `spectral`.
"""

from typing import Any, NamedTuple

from .._xp import H, device, is_traced, namespace, raw
from ..ops import scalar
from ..ops import svd as _svd
from . import _check
from .hermitian import apply_kernel, check_callables

__all__ = ["svd", "svd_function", "svdvals"]


class SVDResult(NamedTuple):
    """Factors of ``x = U @ diag(S) @ Vh``, S descending."""

    U: Any
    S: Any
    Vh: Any


def svd(x, /, *, full_matrices=True):
    """Singular value decomposition.

    Parameters
    ----------
    x : array, shape (..., m, n)
    full_matrices : bool
        Whether U and Vh are square, the standard's default. Where a derivative is taken, a matrix that is not square
        needs ``full_matrices=False``.

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
        ``x`` is not an array of matrices, has NaN or inf where the backend looks, or is not square while a derivative
        is taken with ``full_matrices=True``.

    Notes
    -----
    Equal singular values are as equal eigenvalues in `eigh`; a loss should not depend on the vectors of a zero singular
    value, which have no derivative. Source, and what is exact where: `arrmb.ops.svd`.
    """
    _check.matrix("svd", "x", x)
    m, n = x.shape[-2:]
    with _check.backend_errors("svd", "x", _check.DIVERGED):
        extra = full_matrices and m != n
        if not is_traced(x) or (extra and not _check.has_derivative(x)):
            return _check.below(SVDResult, namespace(raw(x)).linalg.svd, x, full_matrices=full_matrices)
        if extra:
            raise ValueError(
                f"svd: with full_matrices=True, U or Vh has {abs(m - n)} more vectors (x has shape {tuple(x.shape)}), "
                "an arbitrary basis of a null space, which have no derivative; pass full_matrices=False"
            )
        return SVDResult(*_svd.svd(x))


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
    At ties the gradient is exact for losses symmetric in the tied singular values, to first order; at zero a singular
    value has a kink. Source: `arrmb.ops.svd`.
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
    xp = namespace(x)
    m, n = x.shape[-2:]
    blocks = [
        xp.concat([xp.zeros((*x.shape[:-1], m), dtype=x.dtype, device=device(x)), x], axis=-1),
        xp.concat([H(x), xp.zeros((*x.shape[:-2], n, n), dtype=x.dtype, device=device(x))], axis=-1),
    ]
    y = apply_kernel(
        "svd_function", xp.concat(blocks, axis=-2), scalar.UserFunction("svd_function", f, df, ddf, odd=True)
    )
    return y[..., :m, m:]
