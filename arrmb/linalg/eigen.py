"""Eigenvalues and eigenvectors.

All take real or complex floating-point arrays of any backend, batched over leading axes, raw or traced. Derivations,
and what is exact where, are in the op files: `arrmb.ops.eigh`.
"""

from typing import Any, NamedTuple

from .._xp import is_traced, namespace, sym
from ..ops import eigh as _eigh
from . import _check

__all__ = ["eigh", "eigvalsh"]


class EighResult(NamedTuple):
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n), as columns."""

    eigenvalues: Any
    eigenvectors: Any


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
