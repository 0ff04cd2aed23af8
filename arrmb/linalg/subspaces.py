"""Subspaces: orthogonal projectors on column spaces and eigenspaces, and products with them."""

import math
import numbers

from .._xp import namespace
from ..ops import projector as _ops
from ..ops import subspaces as _subspaces
from ..ops.groups import TopGroup, Window
from . import _check
from .hermitian import apply_kernel

__all__ = ["project", "projector", "subspace_angles", "subspace_distance", "top_projector", "window_projector"]

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


def subspace_distance(a, b, /):
    """Squared distance of two column spaces, half that of their projectors: ``½ ‖Π_a - Π_b‖²_F``.

    It is the sum of the squared sines of the principal angles, plus half the difference of the dimensions; 0 for equal
    spaces, and at most ``(p + q) / 2``. Its square root is the projection-Frobenius (chordal) metric, which is not
    differentiable at 0: this is.

    Parameters
    ----------
    a : array, shape (..., m, p)
        Real or complex, of full column rank; the columns need not be orthonormal.
    b : array, shape (..., m, q)
        Likewise.

    Returns
    -------
    array, shape (...)
        Real. The leading axes of ``a`` and ``b`` broadcast.

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or they belong to different backends.
    ValueError
        The shapes do not fit, an argument has NaN or inf where the backend looks, or (on a CPU) linearly dependent
        columns.

    Notes
    -----
    Smooth, whatever the angles: derivatives exact at any order. Small distances have no cancellation: their relative
    error is about eps / θ, θ being the largest angle. Nothing m × m is formed. Source: `arrmb.ops.subspaces`.
    """
    return _compare("subspace_distance", _subspaces.subspace_distance, a, b)


def subspace_angles(a, b, /):
    """Principal angles between two column spaces, descending, as of ``scipy.linalg.subspace_angles``.

    Parameters
    ----------
    a : array, shape (..., m, p)
        Real or complex, of full column rank; the columns need not be orthonormal.
    b : array, shape (..., m, q)
        Likewise.

    Returns
    -------
    array, shape (..., min(p, q))
        Real, from 0 to π/2. The leading axes of ``a`` and ``b`` broadcast. Accurate to rounding error for small angles
        and near π/2 too.

    Raises
    ------
    TypeError
        An argument is not a floating-point array, or they belong to different backends.
    ValueError
        The shapes do not fit, an argument has NaN or inf where the backend looks, or (on a CPU) linearly dependent
        columns.
    NotImplementedError
        A second derivative is asked for (on a CPU) at equal angles, or at one of 0 or π/2.

    Notes
    -----
    First derivatives are exact for distinct angles, and at ties for losses that are symmetric in the tied angles. At 0
    and at π/2 an angle has a kink; its derivative is taken as 0 there, which is exact for each loss that has a
    gradient, as Σ θ² or Σ sin² θ. Second derivatives are exact for distinct angles strictly between 0 and π/2;
    `subspace_distance` has them everywhere. Source: `arrmb.ops.subspaces`.
    """
    return _compare("subspace_angles", _subspaces.subspace_angles, a, b)


def _compare(op, function, a, b):
    _check.floating(op, "a", a)
    _check.floating(op, "b", b)
    _check.same_backend(op, a=a, b=b)
    for name, x in (("a", a), ("b", b)):
        _check_matrix(op, name, x)
        if x.shape[-1] > x.shape[-2]:
            raise ValueError(
                f"{op}: {name} must have full column rank, so no more columns than rows, got shape {tuple(x.shape)}"
            )
    if a.shape[-2] != b.shape[-2]:
        raise ValueError(
            f"{op}: a and b must have the same number of rows, got shapes {tuple(a.shape)} and {tuple(b.shape)}"
        )
    if a.dtype != b.dtype:
        xp = namespace(a, b)
        dtype = xp.result_type(a, b)
        a, b = xp.astype(a, dtype), xp.astype(b, dtype)
    with _check.backend_errors(op, "a or b", _NOT_FINITE):
        return function(a, b)


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
        number k and k + 1 are equal to rounding: the projector is not defined there. On a GPU the result is NaN then.

    Notes
    -----
    Only the gaps between the two groups enter the derivatives: exact to second order with any ties inside the groups.
    """
    _check.matrix("top_projector", "x", x, square=True)
    k = _check.count("top_projector", k, 0, x.shape[-1])
    return apply_kernel("top_projector", x, TopGroup(k))


def window_projector(x, /, low, high):
    """Orthogonal projector on the eigenvectors whose eigenvalues lie between ``low`` and ``high``.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
        The Hermitian part is used.
    low, high : float
        Bounds of the open interval, Python numbers, ``low < high``; -inf and inf leave a side open.

    Returns
    -------
    array (..., n, n), Hermitian, of rank the number of eigenvalues inside

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices, ``low < high`` does not hold, or (on a CPU) an
        eigenvalue is equal to a bound to rounding, n eps of the largest: whether it is inside is not defined. On a GPU
        the result is NaN then.

    Notes
    -----
    Only the gaps between eigenvalues inside and outside enter the derivatives: exact to second order with any ties on
    either side. The bounds are constants: between two eigenvalues the projector does not depend on them. Source:
    `arrmb.ops.groups`.
    """
    _check.matrix("window_projector", "x", x, square=True)
    for name, bound in (("low", low), ("high", high)):
        if not isinstance(bound, numbers.Real) or math.isnan(bound):
            raise TypeError(f"window_projector: {name} must be a Python number, got {bound!r}")
    if not low < high:
        raise ValueError(f"window_projector: low must be below high, got {low!r} and {high!r}")
    return apply_kernel("window_projector", x, Window(float(low), float(high)))


def _check_matrix(op, name, x):
    _check.matrix(op, name, x)
    if 0 in x.shape[-2:]:
        raise ValueError(f"{op}: {name} must have at least one row and one column, got shape {tuple(x.shape)}")
