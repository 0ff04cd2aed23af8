"""Decompositions, under the standard's names and signatures.

All take real or complex floating-point arrays of any backend, batched over leading axes, raw or traced. Derivations,
and what is exact where, are in the op files: `arrmb.ops.cholesky`, `qr`, `eigh`, `svd`.
"""

from typing import Any, NamedTuple

from .._xp import H, is_traced, namespace, raw, sym
from ..ops import cholesky as _cholesky
from ..ops import eigh as _eigh
from ..ops import qr as _qr
from ..ops import svd as _svd
from ..tape.core import lift
from . import _check

__all__ = ["cholesky", "eigh", "eigvalsh", "qr", "svd", "svdvals"]


class EighResult(NamedTuple):
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n), as columns."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """Factors of ``x = Q @ R``."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """Factors of ``x = U @ diag(S) @ Vh``, S descending."""

    U: Any
    S: Any
    Vh: Any


def cholesky(x, /, *, upper=False):
    """Cholesky factor of positive definite matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Positive definite. Its Hermitian part ``(x + x^H)/2`` is used, and its gradient is Hermitian.
    upper : bool
        Whether to return the upper factor, ``x = U^H U``, in place of the lower one, ``x = L L^H``.

    Returns
    -------
    array, shape (..., n, n)

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or is not positive definite (CuPy gives NaN instead).

    Notes
    -----
    Smooth where positive definite; derivatives exact at any order. Source: `arrmb.ops.cholesky`.
    """
    _check.matrix("cholesky", "x", x, square=True)
    why = "is not positive definite: add a multiple of the identity, or clamp its eigenvalues from below with clampmh"
    with _check.backend_errors("cholesky", "x", why):
        lower = _cholesky.cholesky(x)
    return H(lower) if upper else lower


def qr(x, /, *, mode="reduced"):
    """QR decomposition.

    Parameters
    ----------
    x : array, shape (..., m, n)
        Where a derivative is taken: its first ``min(m, n)`` columns must be linearly independent.
    mode : {"reduced", "complete"}

    Returns
    -------
    QRResult
        ``Q``, shape (..., m, k), and ``R``, shape (..., k, n), with ``k = min(m, n)``; with "complete", ``k = m``.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not an array of matrices, ``mode`` is unknown, or ``mode="complete"`` with ``m > n`` where a derivative
        is taken.

    Notes
    -----
    The signs of the rows of ``R`` are those of the backend, and the derivative is of that choice; exact at any order.
    Source: `arrmb.ops.qr`.
    """
    _check.matrix("qr", "x", x)
    if mode not in ("reduced", "complete"):
        raise ValueError(f'qr: mode must be "reduced" or "complete", got {mode!r}')
    m, n = x.shape[-2:]
    extra = mode == "complete" and m > n
    if not is_traced(x) or (extra and not _check.has_derivative(x)):
        return _below(QRResult, namespace(raw(x)).linalg.qr, x, mode=mode)
    if extra:
        raise ValueError(
            f"qr: with mode='complete' the last {m - n} columns of Q (x has shape {tuple(x.shape)}) are an arbitrary "
            "basis of a complement, and have no derivative; use mode='reduced'"
        )
    if m >= n:
        return QRResult(*_qr.qr(x))
    q, left = _qr.qr(x[..., :m])
    return QRResult(q, namespace(x).concat([left, H(q) @ x[..., m:]], axis=-1))


def eigh(x, /):
    """Eigenvalues and eigenvectors of Hermitian matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Its Hermitian part ``(x + x^H)/2`` is used, and its gradient is Hermitian.

    Returns
    -------
    EighResult
        ``eigenvalues``, shape (..., n), real, ascending; ``eigenvectors``, shape (..., n, n), as columns.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or has NaN or inf where the backend looks.

    Notes
    -----
    Where eigenvalues are equal, the gradient is finite, and exact only for losses that depend on the eigenvectors of a
    tied group through the projector on its eigenspace and on its eigenvalues through symmetric functions; the second
    order is not exact there. For a function of the matrix (``V diag(f(w)) V^H``) use the spectral functions, exact at
    ties to second order. Source, and why: `arrmb.ops.eigh`.
    """
    _check.matrix("eigh", "x", x, square=True)
    with _check.backend_errors("eigh", "x", _check.DIVERGED):
        return EighResult(*_eigh.eigh(x))


def eigvalsh(x, /):
    """Eigenvalues of Hermitian matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Its Hermitian part ``(x + x^H)/2`` is used, and its gradient is Hermitian.

    Returns
    -------
    array, shape (..., n)
        Real, ascending.

    Raises
    ------
    TypeError, ValueError
        As `eigh` does.

    Notes
    -----
    At ties the gradient is exact for losses symmetric in the tied eigenvalues, to first order. Source:
    `arrmb.ops.eigh`.
    """
    _check.matrix("eigvalsh", "x", x, square=True)
    with _check.backend_errors("eigvalsh", "x", _check.DIVERGED):
        if is_traced(x):
            return _eigh.eigvalsh(x)
        return namespace(x).linalg.eigvalsh(sym(x))  # no rule will ask for the eigenvectors


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
            return _below(SVDResult, namespace(raw(x)).linalg.svd, x, full_matrices=full_matrices)
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


def _below(kind, function, x, **options):
    """A decomposition that no derivative will be asked for, by the backend itself; traced if ``x`` is."""
    found = function(raw(x), **options)
    return kind(*(lift(v) for v in found)) if is_traced(x) else kind(*found)
