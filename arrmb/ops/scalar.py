"""The scalar functions whose matrix functions are differentiated, with their divided differences in closed form.

With r = √a, s = √b, t = √c, and hi, lo for the larger and the smaller of a and b:

    f            f[a,b]                                      f[a,b,c]
    log          log1p((hi-lo)/lo)/(hi-lo), near             by `divided.second`
    exp          e^hi · (-expm1(lo-hi))/(hi-lo)              by `divided.second`
    x^p          lo^p expm1(p log1p((hi-lo)/lo))/(hi-lo),    by `divided.second`
                 where |p log(hi/lo)| <= 1
    √x           1/(r+s)                                     -1/((r+s)(s+t)(r+t))
    1/√x         -1/(rs(r+s))                                (r+s+t)/(rst(r+s)(s+t)(r+t))
    max(x, low)  1, 0, or (hi-low)/(hi-lo) across low        by definition: the widest gap is across low
    any other    by `divided.first` from f'                  by `divided.second` from f''

"Near" is hi <= 2 lo; beyond, the quotient itself has no cancellation. Evaluated like this, no digit is lost at near
ties.
"""

from __future__ import annotations

import math

from .._xp import eps, is_complex, is_traced, namespace, on_host
from ..tape.core import Forward, Traced
from . import divided


class ScalarFunction:
    """A real function of a real variable, applied to eigenvalues, and what its derivatives as a matrix function need.

    Parameters
    ----------
    name : str
    f, df, d2f : callables
        The function and its derivatives, elementwise on arrays of any namespace. Default of ``df`` and ``d2f``: by the
        forward mode of the tape.
    first, second : callables, optional
        Divided differences ``first(a, b)``, ``second(a, b, c)`` of broadcast arrays in closed form.
    domain : {"real", "positive", "nonnegative"}
        For which eigenvalues f is defined.
    """

    def __init__(self, name, f, df=None, d2f=None, *, first=None, second=None, domain="real"):
        self.name = name
        self.f = f
        self.df = df or _derivative(f)
        self.d2f = d2f or _derivative(self.df)
        self.domain = domain
        self._first = first
        self._second = second

    def values(self, w):
        """f(w) of eigenvalues (..., n)."""
        y = self.f(w)
        if is_traced(y):
            raise TypeError(
                f"{self.name}: the function of the eigenvalues depends on a traced array other than the matrix; "
                "derivatives with respect to its parameters are not defined here: use eigh, V f(w) V^H"
            )
        return y

    def divided(self, a, b):
        """f[a,b]."""
        return self._first(a, b) if self._first else divided.first(self.f, self.df, a, b)

    def divided2(self, a, b, c):
        """f[a,b,c]."""
        if self._second:
            return self._second(a, b, c)
        return divided.second(self.divided, self.d2f, a, b, c, accurate=self._first is not None)

    def first(self, w):
        """K_ij = f[w_i, w_j], (..., n, n)."""
        return self.divided(w[..., :, None], w[..., None, :])

    def second(self, w, k):
        """The slice f[w_i, w_k, w_j], (..., n, n) over i and j."""
        return self.divided2(w[..., :, None], w[..., k, None, None], w[..., None, :])


class UserFunction(ScalarFunction):
    """A function that a user gives: what can be known of it is checked where values can be looked at.

    It must be elementwise, real, and, with ``odd``, odd.
    """

    def __init__(self, name, f, df=None, d2f=None, *, odd=False):
        super().__init__(name, lambda x: f(x) + 0.0 * x, df, d2f)  # an array, if f is constant, too
        self._odd = odd

    def values(self, w):
        y = super().values(w)
        xp = namespace(w)
        if is_complex(y) or y.shape != w.shape:
            raise TypeError(
                f"{self.name}: f must map a real array to a real array of its shape, it made dtype {y.dtype} and shape "
                f"{tuple(y.shape)} of {tuple(w.shape)}"
            )
        if not on_host(w) or 0 in w.shape:
            return y
        tolerance = 1e3 * eps(w) * xp.max(xp.abs(y))
        if bool(xp.any(xp.abs(self.f(w[..., :1]) - y[..., :1]) > tolerance)):
            raise ValueError(
                f"{self.name}: f must act on each eigenvalue alone, but its value for one depends on others"
            )
        if self._odd and bool(xp.any(xp.abs(self.f(-w) + y) > tolerance)):
            raise ValueError(
                f"{self.name}: f must be odd, f(-s) = -f(s), and is not; write it with the sign, for instance "
                "xp.sign(s) * xp.maximum(xp.abs(s) - t, 0.0), not xp.maximum(s - t, 0.0)"
            )
        return y


def _derivative(f):
    def df(x):
        xp = namespace(x)
        trace = Forward()
        y = f(Traced(x, trace, xp.ones_like(x)))
        if not is_traced(y) or y.trace is not trace:
            return xp.zeros_like(x)  # f is constant
        return y.link

    return df


def _hi_lo(a, b):
    xp = namespace(a)
    a, b = xp.broadcast_arrays(a, b)
    return xp.maximum(a, b), xp.minimum(a, b)


def _nonzero(x):
    """``x`` with its zeros replaced by one: a denominator for entries that another formula serves."""
    return namespace(x).where(x == 0.0, 1.0, x)


# log


def _log_first(a, b):
    xp = namespace(a)
    hi, lo = _hi_lo(a, b)
    gap = hi - lo
    near = xp.where(gap == 0.0, 1.0 / lo, xp.log1p(gap / lo) / _nonzero(gap))
    return xp.where(hi <= 2.0 * lo, near, (xp.log(hi) - xp.log(lo)) / _nonzero(gap))


log = ScalarFunction(
    "logmh",
    lambda x: namespace(x).log(x),
    lambda x: 1.0 / x,
    lambda x: -1.0 / (x * x),
    first=_log_first,
    domain="positive",
)


# exp


def _exp(x):
    return namespace(x).exp(x)


def _exp_first(a, b):
    xp = namespace(a)
    hi, lo = _hi_lo(a, b)
    gap = hi - lo
    return xp.exp(hi) * xp.where(gap == 0.0, 1.0, -xp.expm1(-gap) / _nonzero(gap))


exp = ScalarFunction("expmh", _exp, _exp, _exp, first=_exp_first)


# square root and inverse square root


def _sqrt(x):
    return namespace(x).sqrt(x)


def _sqrt_second(a, b, c):
    r, s, t = _sqrt(a), _sqrt(b), _sqrt(c)
    return -1.0 / ((r + s) * (s + t) * (r + t))


sqrt = ScalarFunction(
    "sqrtmh", _sqrt, first=lambda a, b: 1.0 / (_sqrt(a) + _sqrt(b)), second=_sqrt_second, domain="nonnegative"
)


def _invsqrt_first(a, b):
    r, s = _sqrt(a), _sqrt(b)
    return -1.0 / (r * s * (r + s))


def _invsqrt_second(a, b, c):
    r, s, t = _sqrt(a), _sqrt(b), _sqrt(c)
    return (r + s + t) / (r * s * t * (r + s) * (s + t) * (r + t))


invsqrt = ScalarFunction(
    "invsqrtmh", lambda x: 1.0 / _sqrt(x), first=_invsqrt_first, second=_invsqrt_second, domain="positive"
)


# power, rectification


def power(p):
    """x^p for a real exponent p."""
    slope_at_0 = math.inf if 0 < p < 1 else float(p == 1)
    value_at_0 = 1.0 if p == 0 else 0.0

    def f(x):
        return x**p

    def df(x):
        return p * x ** (p - 1.0) if p != 0 else 0.0 * x

    def d2f(x):
        return p * (p - 1.0) * x ** (p - 2.0) if p not in (0, 1) else 0.0 * x

    def first(a, b):
        xp = namespace(a)
        hi, lo = _hi_lo(a, b)
        gap = hi - lo
        base = xp.where(lo > 0.0, lo, 1.0)
        exponent = p * xp.log1p(xp.where(lo > 0.0, gap, 0.0) / base)  # p log(hi/lo)
        near = (lo > 0.0) & (xp.abs(exponent) <= 1.0)
        close = base**p * xp.where(gap == 0.0, p / base, xp.expm1(xp.where(near, exponent, 0.0)) / _nonzero(gap))
        far = xp.where(hi > 0.0, hi, 1.0) ** p - xp.where(lo > 0.0, base**p, value_at_0)
        return xp.where(near, close, xp.where(hi > 0.0, far / _nonzero(gap), slope_at_0))

    return ScalarFunction("powmh", f, df, d2f, first=first, domain="positive" if p < 0 else "nonnegative")


def clamp(low):
    """max(x, low), with the derivative 1 at low."""

    def f(x):
        return namespace(x).where(x < low, low, x)

    def first(a, b):
        xp = namespace(a)
        hi, lo = _hi_lo(a, b)
        across = (hi - low) / xp.where(hi > lo, hi - lo, 1.0)
        return xp.where(lo >= low, 1.0, xp.where(hi < low, 0.0, across))

    def second(a, b, c):
        xp = namespace(a)
        a, b, c = divided.ordered(a, b, c)
        across = (a >= low) & (c < low)
        gap = xp.where(across, a - c, 1.0)
        return xp.where(across, (first(a, b) - first(b, c)) / gap, 0.0)

    return ScalarFunction("clampmh", f, first=first, second=second)
