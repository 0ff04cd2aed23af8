"""Triangular factorizations: Cholesky, LU, QR.

All take real or complex floating-point arrays of any backend, batched over leading axes, raw or traced. Derivations,
and what is exact where, are in the op files: `arrmb.ops.cholesky`, `lu`, `qr`.
"""

from typing import Any, NamedTuple

from .._xp import H, is_traced, namespace
from ..ops import cholesky as _cholesky
from ..ops import lu as _lu
from ..ops import qr as _qr
from . import _check

__all__ = ["cholesky", "lu", "qr"]


class LUResult(NamedTuple):
    """Factors of ``x = P @ L @ U``."""

    P: Any
    L: Any
    U: Any


class QRResult(NamedTuple):
    """Factors of ``x = Q @ R``."""

    Q: Any
    R: Any


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


def lu(x, /):
    """LU decomposition with partial pivoting.

    Parameters
    ----------
    x : array, shape (..., m, n)
        Where a derivative is taken: its first ``k = min(m, n)`` columns must be linearly independent.

    Returns
    -------
    LUResult
        ``P``, shape (..., m, m), a permutation matrix of the dtype of ``x``, without derivative; ``L``, shape
        (..., m, k), lower triangular with ones on the diagonal; ``U``, shape (..., k, n), upper triangular.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not an array of matrices; where a derivative is taken (on a CPU), its first k columns are dependent: L
        and U have none there; a GPU gives NaN.
    ImportError
        NumPy and array-api-strict: SciPy is not installed.

    Notes
    -----
    The pivots are those of the backend, and the derivative is of that choice: where two candidates for a pivot are
    equal, the factors jump. Exact at any order. On CuPy a batch is a loop. Source: `arrmb.ops.lu`.
    """
    _check.matrix("lu", "x", x)
    return LUResult(*_lu.lu(x))


def qr(x, /, *, mode="reduced", gauge="drop"):
    """QR decomposition.

    Parameters
    ----------
    x : array, shape (..., m, n)
        Where a derivative is taken: its first ``min(m, n)`` columns must be linearly independent.
    mode : {"reduced", "complete"}
    gauge : {"drop", "raise"}
        With ``mode="complete"``, whether a gradient raises if the loss depends on the choice of the last m - n columns
        of Q, an arbitrary basis; "drop" leaves that part of it out.

    Returns
    -------
    QRResult
        ``Q``, shape (..., m, k), and ``R``, shape (..., k, n), with ``k = min(m, n)``; with "complete", ``k = m``.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not an array of matrices, ``mode`` or ``gauge`` is unknown; where a derivative is taken (on a CPU), a
        column depends on those before it: Q and R have none there, a GPU gives NaN; with ``gauge="raise"``, the loss
        depends on an arbitrary choice.

    Notes
    -----
    The signs of the rows of ``R`` are those of the backend, and the derivative is of that choice; exact at any order,
    with "complete" for losses that depend on the last m - n columns Q2 through Q2 Q2^H. Source: `arrmb.ops.qr`.
    """
    _check.matrix("qr", "x", x)
    if mode not in ("reduced", "complete"):
        raise ValueError(f'qr: mode must be "reduced" or "complete", got {mode!r}')
    _check.gauge("qr", gauge)
    m, n = x.shape[-2:]
    if m >= n or not is_traced(x):
        return QRResult(*_qr.qr(x, mode=mode, gauge=gauge))
    q, left = _qr.qr(x[..., :m])
    return QRResult(q, namespace(x).concat([left, H(q) @ x[..., m:]], axis=-1))
