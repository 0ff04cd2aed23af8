"""Triangular factorizations: Cholesky, QR.

All take real or complex floating-point arrays of any backend, batched over leading axes, raw or traced. Derivations,
and what is exact where, are in the op files: `arrmb.ops.cholesky`, `qr`.
"""

from typing import Any, NamedTuple

from .._xp import H, is_traced, namespace, raw
from ..ops import cholesky as _cholesky
from ..ops import qr as _qr
from . import _check

__all__ = ["cholesky", "qr"]


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
        return _check.below(QRResult, namespace(raw(x)).linalg.qr, x, mode=mode)
    if extra:
        raise ValueError(
            f"qr: with mode='complete' the last {m - n} columns of Q (x has shape {tuple(x.shape)}) are an arbitrary "
            "basis of a complement, and have no derivative; use mode='reduced'"
        )
    if m >= n:
        return QRResult(*_qr.qr(x))
    q, left = _qr.qr(x[..., :m])
    return QRResult(q, namespace(x).concat([left, H(q) @ x[..., m:]], axis=-1))
