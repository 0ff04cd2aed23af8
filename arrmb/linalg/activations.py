"""Activation functions of Hermitian matrices: what softplus, tanh, |·|, sign and softmax are on the spectrum."""

from .._xp import namespace, real
from ..ops import scalar
from ..ops.groups import sign
from ..ops.spectral import decompose
from ..ops.spectral import spectral as _spectral
from . import _check
from .hermitian import apply_kernel, documented
from .products import trace

__all__ = ["absmh", "logsumexpmh", "signmh", "softmaxmh", "softplusmh", "tanhmh"]


@documented
def softplusmh(x, /):
    """Softplus of Hermitian matrices, log(I + exp(X)): positive definite, whatever X.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point

    Returns
    -------
    array (..., n, n), Hermitian positive definite, of the dtype and device of ``x``
        Evaluated without overflow.

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices."""
    return apply_kernel("softplusmh", x, scalar.softplus)


@documented
def tanhmh(x, /):
    """Hyperbolic tangent of Hermitian matrices: eigenvalues in (-1, 1).

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point

    Returns
    -------
    array (..., n, n), Hermitian, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices."""
    return apply_kernel("tanhmh", x, scalar.tanh)


@documented
def absmh(x, /):
    """Absolute value of Hermitian matrices, (X²)^(1/2).

    |·| has a kink at 0. Eigenvalues that are 0 to rounding, n eps of the largest, are taken as 0, and the derivative of
    |·| at 0 as 0, the mean of its sides: f[0, 0] = 0 between two zero eigenvalues, f[0, b] = ±1 otherwise.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point

    Returns
    -------
    array (..., n, n), Hermitian positive semidefinite, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices."""
    return apply_kernel("absmh", x, scalar.absolute)


@documented
def signmh(x, /):
    """Sign of Hermitian matrices: eigenvalues -1, 0 and 1.

    Where no eigenvalue is 0, the matrix sign function, with the derivatives that it has: 2/(a - b) between a positive
    and a negative eigenvalue, 0 between two of one sign. Eigenvalues that are 0 to rounding, n eps of the largest, are
    a group of their own, with the sign 0: the derivatives are those along which the rank does not change, as with
    `projector`. Along others the sign jumps, and there is none.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point

    Returns
    -------
    array (..., n, n), Hermitian, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices."""
    return apply_kernel("signmh", x, sign)


@documented
def softmaxmh(x, /):
    """Softmax of Hermitian matrices, exp(X)/tr exp(X): the density matrix (Gibbs state) of the energies -X.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
        At least 1 × 1. Not changed by the addition of a multiple of the identity; evaluated without overflow.

    Returns
    -------
    array (..., n, n), Hermitian positive semidefinite of trace 1, of the dtype and device of ``x``
        The gradient of `logsumexpmh`.

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices, or they are 0 × 0."""
    y, _ = _shifted_exp("softmaxmh", x)
    return y / trace(y)[..., None, None]


@documented
def logsumexpmh(x, /):
    """Logarithm of the trace of the exponential of Hermitian matrices, log tr exp(X) (log partition function).

    A convex function, between the largest eigenvalue and the largest eigenvalue + log n; its gradient is `softmaxmh`.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
        At least 1 × 1.

    Returns
    -------
    array (...,), real, of the precision and device of ``x``
        Evaluated without overflow.

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices, or they are 0 × 0."""
    y, largest = _shifted_exp("logsumexpmh", x)
    total = real(trace(y))
    return namespace(total).log(total) + largest


def _shifted_exp(op, x):
    """exp(X - cI), and c, the largest eigenvalue, as a constant: both functions above do not depend on it."""
    _check.matrix(op, "x", x, square=True)
    if x.shape[-1] == 0:
        raise ValueError(f"{op}: x must have at least one row and one column, got shape {tuple(x.shape)}")
    with _check.backend_errors(op, "x", _check.DIVERGED):
        w, v = decompose(x, scalar.exp)
        return _spectral(x, kernel=scalar.exp, eig=(w - w[..., -1:], v)), w[..., -1]
