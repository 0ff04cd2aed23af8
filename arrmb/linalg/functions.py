"""Functions of general square matrices: no symmetry, no eigenvectors, defective matrices included.

Raw or traced arrays in, the same kind out, on any backend.
"""

from .._xp import device, namespace
from ..ops import expm as _expm
from ..ops import inverse as _inverse
from ..ops import logm as _logm
from ..ops import sqrtm as _sqrtm
from . import _check

__all__ = ["expm", "logm", "matrix_power", "sqrtm"]

_NO_BRANCH = (
    "has an eigenvalue 0 or on the negative real axis, or NaN or inf among its entries: there is no principal branch; "
    "add a multiple of the identity"
)


def expm(x, /):
    """Exponential of square matrices.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Real or complex.

    Returns
    -------
    array, shape (..., n, n)

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or holds NaN or inf where the backend looks.

    Notes
    -----
    Scaling and squaring, the scaling chosen for each matrix. Smooth; derivatives exact at any order, of defective
    matrices too; a gradient costs about as much as the value. Relative errors measured in float64, of values and of
    first and second derivatives: below 1e-15 for norms about 1, 2e-13 for norms about 1e3, and 1e-15 for a triangle
    with one entry of 1e6 off its diagonal. On a GPU norms above 2e5 give NaN. For Hermitian matrices see `expmh`.
    Source: `arrmb.ops.expm`.
    """
    _check.matrix("expm", "x", x, square=True)
    with _check.backend_errors("expm", "x", _check.DIVERGED):
        return _expm.expm(x)


def sqrtm(x, /):
    """Principal square root of square matrices: the one with eigenvalues in the open right half plane.

    Parameters
    ----------
    x : array, shape (..., n, n)
        Real or complex, without eigenvalues on the closed negative real axis.

    Returns
    -------
    array, shape (..., n, n)
        Real for real ``x``.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or (on a CPU) has an eigenvalue 0 or on the negative real axis; a GPU gives NaN.

    Notes
    -----
    Matrix products and inverses only. Smooth; derivatives exact at any order, of defective matrices too. The residual
    ``s @ s - x`` is of rounding size, or the matrix counts as outside the domain, as some do whose condition is above
    1e15 (float64). Relative errors measured in float64: below 1e-15 for condition 1e2, 1e-12 for 1e8, 1e-10 for 1e12,
    as SciPy's; of the derivative 1e-14, 1e-8 and 1e-4: the matrix's own rounding, times its condition. For Hermitian
    matrices see `sqrtmh`. Source: `arrmb.ops.sqrtm`.
    """
    _check.matrix("sqrtm", "x", x, square=True)
    with _check.backend_errors("sqrtm", "x", _NO_BRANCH):
        return _sqrtm.sqrtm(x)


def logm(x, /):
    """Principal logarithm of square matrices: the one whose eigenvalues have imaginary parts in (-π, π).

    Parameters
    ----------
    x : array, shape (..., n, n)
        Real or complex, without eigenvalues on the closed negative real axis.

    Returns
    -------
    array, shape (..., n, n)
        Real for real ``x``.

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array.
    ValueError
        ``x`` is not square, or (on a CPU) has an eigenvalue 0 or on the negative real axis; a GPU gives NaN.

    Notes
    -----
    Inverse scaling and squaring, the number of square roots chosen for each matrix; matrix products and inverses only.
    Smooth; derivatives exact at any order, of defective matrices too. Relative errors measured in float64: below 1e-15
    for condition 1e2, 1e-9 for 1e8, 1e-6 for 1e12, as SciPy's; of the derivative 1e-14, 1e-8 and 1e-4: the matrix's own
    rounding, times its condition. For Hermitian matrices see `logmh`. Source: `arrmb.ops.logm`.
    """
    _check.matrix("logm", "x", x, square=True)
    with _check.backend_errors("logm", "x", _NO_BRANCH):
        return _logm.logm(x)


def matrix_power(x, n, /):
    """Integer power of square matrices, by repeated squaring.

    Parameters
    ----------
    x : array, shape (..., n, n)
    n : int
        Negative: the power ``-n`` of the inverse; 0: the identity.

    Returns
    -------
    array, shape (..., n, n)

    Raises
    ------
    TypeError
        ``x`` is not a floating-point array, or ``n`` is not an integer.
    ValueError
        ``x`` is not square, or is singular while ``n`` is negative.

    Notes
    -----
    Smooth; derivatives exact at any order. For real powers of Hermitian matrices see `powmh`.
    """
    _check.matrix("matrix_power", "x", x, square=True)
    try:
        n = _check.number("matrix_power", "n", n, integer=True)
    except TypeError as error:
        raise TypeError(f"{error}; for real powers use powmh") from None
    xp = namespace(x)
    if n == 0:
        eye = xp.eye(x.shape[-1], dtype=x.dtype, device=device(x))
        return xp.broadcast_to(eye, x.shape) + xp.zeros_like(x)  # an array of its own, not a view
    square, power = x, None
    if n < 0:
        with _check.backend_errors("matrix_power", "x", "is singular, and n is negative"):
            square = _inverse.inv(x)
    n = abs(n)
    while True:
        if n % 2:
            power = square if power is None else power @ square
        n //= 2
        if not n:
            return power
        square = square @ square
