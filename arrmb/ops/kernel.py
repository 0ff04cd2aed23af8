"""Kernels: what the function of a Hermitian matrix in `spectral.py` has to know of its scalar function f.

A kernel has a ``name`` for messages, and four methods of eigenvalues w (..., n):

    eigenvalues(w)   w in the domain of f: what is a zero, or on a kink, to rounding, is put there; or an error
    values(w)        f(w)
    first(w)         K_ij = f[w_i, w_j], (..., n, n)
    second(w)        yields the slices f[w_i, w_k, w_j] over i and j, (..., n, n), for k = 0, 1, ...

A kernel that must see the whole batch at once, in one thread, has an attribute ``by_matrix``, False.
"""

from __future__ import annotations

from .._fused import fused
from .._xp import eps, is_traced, namespace, on_host
from ..tape.core import Forward, Traced
from . import divided
from .gauge import rounding


class ScalarFunction:
    """A real function of a real variable, applied to eigenvalues, with its divided differences in closed form.

    Parameters
    ----------
    name : str
    f : callable
        The function, elementwise on arrays of any namespace.
    first : callable
        ``first(a, b)`` = f[a,b] of broadcast arrays, elementwise as `_fused.fused` asks.
    second : callable, optional
        ``second(a, b, c)`` = f[a,b,c] of broadcast arrays, likewise.
    taylor : callable, optional
        In place of ``second``: ``taylor(w) -> scale, terms`` for `divided.series`.
    parameters : tuple of float
        Further arguments of ``first`` and ``second``, after the arrays.
    domain : {"real", "nonzero", "positive", "nonnegative"}
        For which eigenvalues f is defined.
    kink : float, optional
        Where f has a kink: eigenvalues equal to it, to rounding, are on it.
    """

    def __init__(self, name, f, *, first, second=None, taylor=None, parameters=(), domain="real", kink=None):
        self.name = name
        self.f = f
        self.divided = fused(f"arrmb_{name}_first", first, *parameters)
        self._second = second and fused(f"arrmb_{name}_second", second, *parameters)
        self._taylor = taylor
        self.domain = domain
        self._kink = kink
        self.remedy = "add a multiple of the identity, or rectify it with clampmh"

    def eigenvalues(self, w):
        """Eigenvalues in the domain of f."""
        if w.shape[-1] == 0:
            return w
        xp = namespace(w)
        if self._kink is not None:
            w = xp.where(xp.abs(w - self._kink) <= rounding(w), self._kink, w)
        if self.domain == "nonnegative":  # a zero eigenvalue comes out as a rounding error of either sign
            w = xp.where((w < 0.0) & (w >= -rounding(w)), 0.0, w)
        if self.domain != "real" and on_host(w):
            self._raise_outside(w)
        return w

    def _raise_outside(self, w):
        xp = namespace(w)
        if self.domain == "nonzero":
            if bool(xp.any(w == 0.0)):
                raise ValueError(f"{self.name}: argument x is singular, it has an eigenvalue 0")
        elif bool(xp.any(w < 0.0 if self.domain == "nonnegative" else w <= 0.0)):
            raise ValueError(
                f"{self.name}: argument x must be positive "
                f"{'semi' if self.domain == 'nonnegative' else ''}definite, its smallest eigenvalue is "
                f"{float(xp.min(w)):.6g}; {self.remedy}"
            )

    def values(self, w):
        return self.f(w)

    def first(self, w):
        return self.divided(w[..., :, None], w[..., None, :])

    def second(self, w):
        if self._second:
            return divided.closed(w, self._second)
        return divided.series(w, self.first(w), *self._taylor(w))


class UserFunction:
    """A function that a user gives: what can be known of it is checked where values can be looked at.

    It must be elementwise, real, and, with ``odd``, odd. Derivatives that are not given are found by the tape.
    """

    by_matrix = False  # it may hold arrays, and need not be made for several threads

    def __init__(self, name, f, df=None, ddf=None, *, odd=False):
        self.name = name
        self._f = _as_array(name, "f", f)
        self._df = _as_array(name, "df", df) if df else _derivative(self._f)
        self._ddf = _as_array(name, "ddf", ddf) if ddf else _derivative(self._df)
        self._odd = odd

    def eigenvalues(self, w):
        return w

    def values(self, w):
        xp = namespace(w)
        y = self._f(w)
        if is_traced(y):
            raise TypeError(
                f"{self.name}: the function of the eigenvalues depends on a traced array other than the matrix; "
                "derivatives with respect to its parameters are not offered: write them so that they enter outside f, "
                f"such as a scaling of x, {self.name}(p * x, f)"
            )
        if not on_host(w) or 0 in w.shape:
            return y
        undefined = xp.isfinite(w) & ~xp.isfinite(y)
        if bool(xp.any(undefined)):
            raise ValueError(
                f"{self.name}: f is not finite at an eigenvalue of x (among {float(xp.min(w)):.6g} to "
                f"{float(xp.max(w)):.6g}); f must be defined on the whole spectrum"
            )
        tolerance = 1e3 * eps(w) * xp.max(xp.abs(y))
        if bool(xp.any(xp.abs(self._f(w[..., :1]) - y[..., :1]) > tolerance)):
            raise ValueError(
                f"{self.name}: f must act on each eigenvalue alone, but its value for one depends on others"
            )
        if self._odd and bool(xp.any(xp.abs(self._f(-w) + y) > tolerance)):
            raise ValueError(
                f"{self.name}: f must be odd, f(-s) = -f(s), and is not; write it with the sign, for instance "
                "xp.sign(s) * xp.maximum(xp.abs(s) - t, 0.0), not xp.maximum(s - t, 0.0)"
            )
        return y

    def first(self, w):
        return divided.first_by_quadrature(w, self._f, self._df)

    def second(self, w):
        return divided.second_by_quadrature(w, self.first(w), self._ddf)


_OF_NUMPY = ("'Traced' does not support ufuncs", "a traced array cannot become a NumPy array")


def _as_array(op, name, f):
    """``f`` with an array as its result, if it is constant, too."""

    def of_array(x):
        try:
            y = f(x)
        except TypeError as error:
            if not any(text in str(error) for text in _OF_NUMPY):
                raise
            raise TypeError(
                f"{op}: {name} uses a function of NumPy, which a derivative cannot follow: xp = arrmb.namespace(w), "
                "xp.exp(w)"
            ) from error
        if not hasattr(y, "dtype") and not isinstance(y, (int, float)):
            raise TypeError(f"{op}: {name} must map a real array to a real array, it made a {type(y).__name__}")
        if hasattr(y, "dtype") and (y.dtype != x.dtype or tuple(y.shape) not in ((), tuple(x.shape))):
            raise TypeError(
                f"{op}: {name} must map a real array to a real array of its shape and dtype, it made dtype {y.dtype} "
                f"and shape {tuple(y.shape)} of {x.dtype} and {tuple(x.shape)}"
            )
        return y + 0.0 * x

    return of_array


def _derivative(f):
    def df(x):
        xp = namespace(x)
        trace = Forward()
        y = f(Traced(x, trace, xp.ones_like(x)))
        if not is_traced(y) or y.trace is not trace:
            return xp.zeros_like(x)  # f is constant
        return y.link

    return df
