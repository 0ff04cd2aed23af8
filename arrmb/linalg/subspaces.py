"""Subspaces: orthogonal projectors on column spaces and eigenspaces, and products with them."""

import operator

from ..ops import projector as _ops
from ..ops.spectral import TopGroup
from . import _check
from .hermitian import apply_kernel

__all__ = ["project", "projector", "top_projector"]

_NOT_FINITE = "holds NaN or infinity"


def projector(a, /):
    """Orthogonal projector on the column space, ``Π = A A⁺``.

    Parameters
    ----------
    a : array, shape (..., m, n)
        Real or complex.

    Returns
    -------
    array, shape (..., m, m)
        Hermitian. Where it is only needed in a product, `project` does without these m × m entries.

    Raises
    ------
    TypeError
        ``a`` is not a floating-point array.
    ValueError
        ``a`` is not an array of matrices, is empty, or has NaN or inf where the backend looks.

    Notes
    -----
    The columns are scaled to one length, and singular values below ``10 min(m, n) eps`` of the largest are taken as
    zero: dead and dependent columns are left out, and derivatives are those along which the rank does not change. They
    are exact at any order, whatever singular values coincide. Source: `arrmb.ops.projector`.
    """
    _check_matrix("projector", "a", a)
    with _check.backend_errors("projector", "a", _NOT_FINITE):
        return _ops.projector(a)


def project(a, b, /):
    """Orthogonal projection of the columns of B on the column space of A, ``A A⁺ B``.

    Parameters
    ----------
    a : array, shape (..., m, n)
        Real or complex.
    b : array, shape (..., m, p)

    Returns
    -------
    array, shape (..., m, p)
        The leading axes of ``a`` and ``b`` broadcast. Time and memory of a thin QR of ``a`` and of a few products with
        it, forward and backward: nothing m × m is formed.

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or they belong to different backends.
    ValueError
        The shapes do not fit, ``a`` is empty, or has NaN or inf where the backend looks.

    Notes
    -----
    Rank and derivatives are those of `projector`. Source: `arrmb.ops.projector`.
    """
    _check_matrix("project", "a", a)
    _check.matrix("project", "b", b)
    _check.same_backend("project", a=a, b=b)
    if a.shape[-2] != b.shape[-2]:
        raise ValueError(
            f"project: a and b must have the same number of rows, got shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    with _check.backend_errors("project", "a", _NOT_FINITE):
        return _ops.project(a, b)


def top_projector(x, /, k):
    """Orthogonal projector on the eigenvectors of the ``k`` largest eigenvalues of Hermitian matrices.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
        The Hermitian part is used.
    k : int
        Between 0 and n.

    Returns
    -------
    array (..., n, n), Hermitian, of rank k

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices, ``k`` is out of range, or (on a CPU) the eigenvalues
        number k and k + 1 are equal to rounding: the projector is not defined there.

    Notes
    -----
    Only the gaps between the two groups enter the derivatives: exact to second order with any ties inside the groups.
    """
    _check.matrix("top_projector", "x", x, square=True)
    if isinstance(k, bool) or not hasattr(k, "__index__") or not 0 <= k <= x.shape[-1]:
        raise ValueError(f"top_projector: k must be an integer from 0 to n = {x.shape[-1]}, got {k!r}")
    return apply_kernel("top_projector", x, TopGroup(operator.index(k)))


def _check_matrix(op, name, x):
    _check.matrix(op, name, x)
    if 0 in x.shape[-2:]:
        raise ValueError(f"{op}: {name} must have at least one row and one column, got shape {tuple(x.shape)}")
