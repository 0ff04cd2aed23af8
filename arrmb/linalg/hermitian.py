"""Functions of Hermitian matrices, exact at ties."""

import inspect
import math

from ..ops import scalar
from ..ops.spectral import spectral as _spectral
from . import _check, roots

__all__ = ["clampmh", "expmh", "invh", "invsqrtmh", "logmh", "powmh", "spectral", "sqrtmh"]

_NOTES = """

Notes
-----
The Hermitian part (X + X^H)/2 is used, and gradients are Hermitian. First and second derivatives are exact whatever
the multiplicities: they are written with divided differences (Daleckii and Krein; Higham, "Functions of Matrices",
2008, 3.2), in closed forms that lose no digits at ties and near ties. A third derivative raises
NotImplementedError. Where values can be looked at without making a GPU wait, a matrix outside the domain, and a
derivative that is infinite, raise ValueError; on a GPU the result is NaN or inf, which `arrmb.debug` traces to its
op. Source: `arrmb.ops.spectral`, `arrmb.ops.scalar`.
"""


def documented(function):
    function.__doc__ = inspect.cleandoc(function.__doc__) + _NOTES
    return function


def apply_kernel(op, x, kernel):
    _check.matrix(op, "x", x, square=True)
    with _check.backend_errors(op, "x", _check.DIVERGED):
        return _spectral(x, kernel=kernel)


@documented
def invh(x, /):
    """Inverse of Hermitian matrices. `inv` costs less, and is exact at any order of derivative.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
        Of full rank; it need not be definite.

    Returns
    -------
    array (..., n, n), Hermitian, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices, or (on a CPU) has an eigenvalue that is exactly 0.
        Where rounding makes it a small number instead, the inverse is finite and huge, about ``1/eps``."""
    return apply_kernel("invh", x, scalar.inverse)


@documented
def logmh(x, /):
    """Logarithm of Hermitian positive definite matrices.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
        Positive definite.

    Returns
    -------
    array (..., n, n), Hermitian, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices, or (on a CPU) not positive definite."""
    return apply_kernel("logmh", x, scalar.log)


@documented
def expmh(x, /):
    """Exponential of Hermitian matrices.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point

    Returns
    -------
    array (..., n, n), Hermitian positive definite, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices."""
    return apply_kernel("expmh", x, scalar.exp)


@documented
def sqrtmh(x, /, *, method="eigh", iterations=None, precision=None):
    """Square root of Hermitian positive semidefinite matrices.

    Differentiable where ``x`` is positive definite. At a zero eigenvalue the derivative is infinite: it raises (on a
    CPU) where the eigenvalue comes out as 0 or negative; where rounding makes it a small positive number instead, of
    about eps times the largest, the derivative is finite and huge, as large as ``1/sqrt(eps)``.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
        Positive semidefinite; eigenvalues that are negative by rounding are taken as 0.
    method : {"eigh", "newton-schulz", "sign", "pade"}
        The others than "eigh" consist of products of matrices, for positive definite ``x``: see `square_roots`.
    iterations, precision : optional
        Of these other methods.

    Returns
    -------
    array (..., n, n), Hermitian, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices, or (on a CPU) has a negative eigenvalue."""
    return _root("sqrtmh", x, scalar.sqrt, method, iterations, precision)


@documented
def invsqrtmh(x, /, *, method="eigh", iterations=None, precision=None):
    """Inverse square root of Hermitian positive definite matrices, as in ZCA whitening.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
        Positive definite.
    method : {"eigh", "newton-schulz", "sign", "pade"}
        The others than "eigh" consist of products of matrices: see `square_roots`.
    iterations, precision : optional
        Of these other methods.

    Returns
    -------
    array (..., n, n), Hermitian, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``x`` is not an array of floating-point square matrices, or (on a CPU) not positive definite."""
    return _root("invsqrtmh", x, scalar.invsqrt, method, iterations, precision)


def _root(name, x, kernel, method, iterations, precision):
    if method != "eigh":
        return roots.by_products(name, x, method, iterations, precision, "inverse" if name == "invsqrtmh" else "root")
    for option, value in (("iterations", iterations), ("precision", precision)):
        if value is not None:
            raise ValueError(f'{name}: {option} is an option of the other methods than "eigh", got {value!r}')
    return apply_kernel(name, x, kernel)


@documented
def powmh(x, /, p):
    """Real power of Hermitian matrices.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
        Positive definite; positive semidefinite is enough for ``p`` >= 0 (at a zero eigenvalue the first derivative is
        infinite for 0 < ``p`` < 1, the second for ``p`` < 2 other than 0 and 1: it raises on a CPU, or is finite and
        huge, about ``eps**(p - 1)`` or ``eps**(p - 2)``, where rounding makes the eigenvalue a small positive number).
    p : float
        The exponent, a Python number; ``expmh(p * logmh(x))`` has a derivative in p. For integer powers of indefinite
        matrices see `matrix_power`.

    Returns
    -------
    array (..., n, n), Hermitian, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``p`` is not a finite number, ``x`` is not an array of floating-point square matrices, or (on a CPU) it is not
        positive."""
    p = _finite("powmh", "p", p, "for a learnable exponent write expmh(p * logmh(x))")
    return apply_kernel("powmh", x, scalar.power(p))


@documented
def clampmh(x, /, low):
    """Hermitian matrices with eigenvalues below ``low`` raised to it (rectification, ReEig).

    At an eigenvalue equal to ``low``, to n eps of the largest, the derivative of max(·, low) is taken as 1.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
    low : float
        A Python number; ``clampmh(x - low * I, 0.0) + low * I`` has a derivative in low.

    Returns
    -------
    array (..., n, n), Hermitian, of the dtype and device of ``x``

    Raises
    ------
    TypeError, ValueError
        ``low`` is not a finite number, or ``x`` is not an array of floating-point square matrices."""
    low = _finite("clampmh", "low", low, "for a learnable bound write clampmh(x - low * I, 0.0) + low * I")
    return apply_kernel("clampmh", x, scalar.clamp(low))


def _finite(op, name, value, remedy):
    value = float(_check.number(op, name, value, remedy=remedy))
    if math.isinf(value):
        raise ValueError(f"{op}: {name} must be finite, got {value}")
    return value


@documented
def spectral(x, f, /, df=None, ddf=None):
    """A function of Hermitian matrices, V f(w) V^H for X = V w V^H.

    Parameters
    ----------
    x : array (..., n, n), real or complex floating-point
    f : callable
        Real function of a real variable, elementwise on arrays of any Array API namespace: ``xp = arrmb.namespace(x)``.
    df, ddf : callables, optional
        Its first and second derivative. Default: found by the tape, ``ddf`` from ``df`` if that is given. At a kink of
        f, they decide which side counts.

    Returns
    -------
    array (..., n, n), Hermitian, of the dtype and device of ``x``

    Raises
    ------
    TypeError
        ``f`` is not callable, not real, changes the dtype, or depends on another traced array; or ``x`` is not an array
        of floating-point matrices.
    ValueError
        ``x`` is not square; or (on a CPU) ``f``, or a derivative where one is taken, is not finite at an eigenvalue, or
        ``f`` does not act on each eigenvalue alone.

    Examples
    --------
    >>> import numpy as np, arrmb
    >>> x = np.eye(3)
    >>> loss = lambda x: arrmb.linalg.trace(arrmb.linalg.spectral(x, lambda w: w / (1.0 + w)))
    >>> arrmb.grad(loss)(x).diagonal()
    array([0.25, 0.25, 0.25])"""
    check_callables("spectral", f, df, ddf)
    return apply_kernel("spectral", x, scalar.UserFunction("spectral", f, df, ddf))


def check_callables(op, f, df, ddf):
    for name, function in (("f", f), ("df", df), ("ddf", ddf)):
        if not callable(function) and (function is not None or name == "f"):
            raise TypeError(f"{op}: {name} must be a function of an array, got {type(function).__name__}")
