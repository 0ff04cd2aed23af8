"""Eigenvalues and eigenvectors.

All take real or complex floating-point arrays of any backend, batched over leading axes, raw or traced. Derivations,
and what is exact where, are in the op files: `arrmb.ops.eigh`, `eigh_top`, `generalized_eigh`, `eig`, `gaps`, `gauge`.

``gauge`` says what happens where vectors are not unique: the phase of each, and any basis of a group of equal (tied)
eigenvalues. With "drop", the default, the part of a derivative that belongs to the free choice is left out: right for a
loss that does not depend on it, silent for any other. With "raise", a loss that depends on it, or is not symmetric in
tied eigenvalues, raises a ValueError that names the eigenvalues, their gap and the size of the violation; so does a
direction (of `jvp`) that splits a tie. Looking at the values makes a GPU wait; at a tie, the vectors returned are a
generic basis of the group. A second derivative at a tie raises with either (with "drop" on a GPU, it is NaN).
"""

from typing import Any, NamedTuple

from .._lapack import eigvals as _backend_eigvals
from .._xp import is_traced, namespace, sym
from ..ops import eig as _eig
from ..ops import eigh as _eigh
from ..ops.eigh_top import eigh_top as _eigh_top
from ..ops.gaps import KINDS
from ..ops.generalized_eigh import generalized_eigh as _generalized_eigh
from . import _check

__all__ = ["eig", "eigh", "eigh_top", "eigvals", "eigvalsh", "generalized_eigh"]


class EighResult(NamedTuple):
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n), as columns."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """Eigenvalues (..., n), in no order, and eigenvectors (..., n, n), as columns of unit norm; complex."""

    eigenvalues: Any
    eigenvectors: Any


def eigh(x, /, *, gauge="drop", gaps="exact"):
    """Eigenvalues and eigenvectors of Hermitian matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Its Hermitian part ``(x + x^H)/2`` is used, and its gradient is Hermitian.
    gauge : {"drop", "raise"}
        What happens to a loss that depends on the free choice of the eigenvectors: the part of its gradient is left
        out, or a ValueError says so. See the module's docstring.
    gaps : str or (str, parameter)
        "exact", or, for comparison with published methods, one of the approximations of 1/(w_j - w_i) in the derivative
        of the eigenvectors: "taylor" (degree 9), "pade", "truncate" (at 1e10), "top" (four fifths of the eigenvalues),
        "lorentzian" (1e-12), or a pair such as ("taylor", 100) with another parameter. With these, the gradient is not
        the derivative; `jvp` and `vjp` are transposes of each other all the same.

    Returns
    -------
    EighResult
        ``eigenvalues``, shape (..., n), real, ascending; ``eigenvectors``, shape (..., n, n), as columns.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or has NaN or inf where the backend looks; an unknown ``gauge`` or ``gaps``; with
        ``gauge="raise"``, while a derivative is taken, what the module's docstring names.

    Notes
    -----
    Where eigenvalues are equal, the gradient is finite, and exact only for losses that depend on the eigenvectors of a
    tied group through the projector on its eigenspace and on its eigenvalues through symmetric functions; a second
    derivative raises there (on a GPU, NaN). For a function of the matrix (``V diag(f(w)) V^H``) use the spectral
    functions, exact at ties to second order. Source, and why: `arrmb.ops.eigh`; of the
    approximations: `arrmb.ops.gaps`.
    """
    _check.matrix("eigh", "x", x, square=True)
    _check.gauge("eigh", gauge)
    _check_gaps(gaps)
    with _check.backend_errors("eigh", "x", _check.DIVERGED):
        return EighResult(*_eigh.eigh(x, gauge=gauge, gaps=gaps))


def eigvalsh(x, /, *, gauge="drop"):
    """Eigenvalues of Hermitian matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Its Hermitian part ``(x + x^H)/2`` is used, and its gradient is Hermitian.
    gauge : {"drop", "raise"}
        Whether a loss that is not symmetric in tied eigenvalues raises. See the module's docstring.

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
    At ties the gradient is exact for losses symmetric in the tied eigenvalues; a second derivative raises there (on a
    GPU, NaN): write Σ f(w) as ``trace(spectral(x, f))``, which is exact to second order. Source: `arrmb.ops.eigh`.
    """
    _check.matrix("eigvalsh", "x", x, square=True)
    _check.gauge("eigvalsh", gauge)
    with _check.backend_errors("eigvalsh", "x", _check.DIVERGED):
        if is_traced(x):
            return _eigh.eigvalsh(x, gauge=gauge)
        return namespace(x).linalg.eigvalsh(sym(x))  # no rule will ask for the eigenvectors


def eigh_top(x, k, /, *, gauge="drop"):
    """The k largest eigenvalues of Hermitian matrices, and their eigenvectors.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Its Hermitian part ``(x + x^H)/2`` is used, and its gradient is Hermitian.
    k : int
        Between 1 and n.
    gauge : {"drop", "raise"}
        As for `eigh`; only phases and ties among the k count.

    Returns
    -------
    EighResult
        ``eigenvalues``, shape (..., k), and ``eigenvectors``, shape (..., n, k): the last k of `eigh`, so that the
        largest comes last.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or has NaN or inf where the backend looks; ``k`` is out of range; an unknown ``gauge``; or
        (on a CPU, or with ``gauge="raise"``) the eigenvalues number k and k + 1 are equal to rounding.

    Notes
    -----
    Only gaps between two of the k and between them and the rest enter: exact to any order where the k eigenvalues are
    distinct, whatever ties the rest have; ties among the k are as in `eigh`. Second order solves k linear systems of
    size n. The smallest k: ``w, v = eigh_top(-x, k)``, of which -w are the eigenvalues, the smallest last. Source:
    `arrmb.ops.eigh_top`.
    """
    _check.matrix("eigh_top", "x", x, square=True)
    k = _check.count("eigh_top", k, 1, x.shape[-1])
    _check.gauge("eigh_top", gauge)
    with _check.backend_errors("eigh_top", "x", _check.DIVERGED):
        return EighResult(*_eigh_top(x, k=k, gauge=gauge))


def generalized_eigh(a, b, /, *, gauge="drop"):
    """Solutions of A v = w B v for Hermitian A and Hermitian positive definite B.

    Parameters
    ----------
    a, b : arrays, shape (..., n, n)
        Their Hermitian parts are used, and their gradients are Hermitian. Leading axes broadcast; dtypes are promoted.
    gauge : {"drop", "raise"}
        As for `eigh`.

    Returns
    -------
    EighResult
        ``eigenvalues``, shape (..., n), real, ascending; ``eigenvectors``, shape (..., n, n), as columns, with
        ``V^H B V = I``.

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or they belong to different backends.
    ValueError
        The shapes do not fit; ``b`` is not positive definite, or an argument has NaN or inf, where the backend looks;
        an unknown ``gauge``; with ``gauge="raise"``, while a derivative is taken, what the module's docstring names.

    Notes
    -----
    Ties are as for `eigh`. Digits are lost with the condition number of ``b``. Source: `arrmb.ops.generalized_eigh`.
    """
    _check.matrix("generalized_eigh", "a", a, square=True)
    _check.matrix("generalized_eigh", "b", b, square=True)
    _check.same_backend("generalized_eigh", a=a, b=b)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"generalized_eigh: a and b must be of one size, got shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    _check.gauge("generalized_eigh", gauge)
    xp = namespace(a, b)
    if a.dtype != b.dtype:
        dtype = xp.result_type(a.dtype, b.dtype)
        a, b = (x if x.dtype == dtype else namespace(x).astype(x, dtype) for x in (a, b))
    with _check.backend_errors("generalized_eigh", "b", "is not positive definite, or a or b has NaN or inf"):
        return EighResult(*_generalized_eigh(a, b, gauge=gauge))


def eig(x, /, *, gauge="drop"):
    """Eigenvalues and eigenvectors of square matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Real or complex. Of a real matrix the gradient is real.
    gauge : {"drop", "raise"}
        As for `eigh`; phases are free for a real matrix too. With "raise", a matrix whose eigenvectors are so nearly
        dependent that half of the digits are lost raises as well.

    Returns
    -------
    EigResult
        ``eigenvalues``, shape (..., n), in no order; ``eigenvectors``, shape (..., n, n), as columns of unit norm.
        Always complex.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or has NaN or inf where the backend looks; an unknown ``gauge``; while a derivative is
        taken (and values are free to look at), a defective matrix, and with ``gauge="raise"`` what the module's
        docstring names.
    NotImplementedError
        The backend has no ``linalg.eig``.

    Notes
    -----
    Exact to any order for distinct eigenvalues and losses that do not depend on phases, with digits lost in proportion
    to the condition number of the eigenvalues (1/|y^H v| for unit left and right eigenvectors y and v), which is
    infinite at a defective matrix. Source: `arrmb.ops.eig`.
    """
    _check.matrix("eig", "x", x, square=True)
    _check.gauge("eig", gauge)
    with _check.backend_errors("eig", "x", _check.DIVERGED):
        return EigResult(*_eig.eig(x, gauge=gauge))


def eigvals(x, /, *, gauge="drop"):
    """Eigenvalues of square matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Real or complex. Of a real matrix the gradient is real.
    gauge : {"drop", "raise"}
        Whether a loss that is not symmetric in tied eigenvalues raises, and a nearly defective matrix, as in `eig`.

    Returns
    -------
    array, shape (..., n)
        Complex, in no order.

    Raises
    ------
    TypeError, ValueError, NotImplementedError
        As `eig` does.

    Notes
    -----
    At ties of a diagonalisable matrix the gradient is exact for losses symmetric in the tied eigenvalues, to first
    order. Digits are lost as in `eig`. Source: `arrmb.ops.eig`.
    """
    _check.matrix("eigvals", "x", x, square=True)
    _check.gauge("eigvals", gauge)
    with _check.backend_errors("eigvals", "x", _check.DIVERGED):
        if is_traced(x):
            return _eig.eigvals(x, gauge=gauge)
        return _backend_eigvals(x)  # no rule will ask for the eigenvectors


def _check_gaps(gaps):
    name, *parameter = gaps if isinstance(gaps, tuple) and gaps else (gaps,)
    known = isinstance(name, str) and name in KINDS
    if not known or len(parameter) > (0 if name in ("exact", "pade") else 1):
        raise ValueError(
            f"eigh: gaps must be one of {', '.join(map(repr, KINDS))}, or the pair of such a name and its parameter "
            f'("exact" and "pade" have none), got {gaps!r}'
        )
    integer = name in ("taylor", "top")
    if parameter and (
        isinstance(parameter[0], bool)
        or not (isinstance(parameter[0], int) if integer else isinstance(parameter[0], (int, float)))
        or not parameter[0] > 0
    ):
        raise ValueError(
            f"eigh: the parameter of gaps={name!r} must be a positive {'integer' if integer else 'number'}, "
            f"got {parameter[0]!r}"
        )
