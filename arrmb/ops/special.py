"""Special functions of one real variable, Y = f(X), among them distribution functions with constant parameters.

    dY = f'(X) ∘ dX                  <Ybar, f'(X) ∘ dX> = <f'(X) ∘ Ybar, dX>

The table below gives f'(x), from x and y = f(x). With psi_n the polygamma function, psi_0 the digamma:

    expit' = expit(x) expit(-x)      logit' = 1 / (x (1 - x))         entr' = -log(x) - 1
    erf' = 2/sqrt(pi) exp(-x²)       ndtr' = exp(-x²/2) / sqrt(2 pi)  gammaln' = psi_0, psi_n' = psi_(n+1)
    log_ndtr' = ndtr' / ndtr = sqrt(2/pi) / erfcx(-x/sqrt(2))         erfcx' = 2 x erfcx - 2/sqrt(pi)
    stdtr' = t(x), Student's density with df degrees of freedom; of its inverse stdtrit, 1 / t(y)
    P(a, x)' = x^(a-1) e^(-x) / Gamma(a) = -Q(a, x)'                  I_x(a, b)' = x^(a-1) (1-x)^(b-1) / B(a, b)

Source: NIST Handbook of Mathematical Functions (2010), 5.2, 5.15, 7.2, 7.12.1, 8.2, 8.17; entr: Boyd and Vandenberghe,
"Convex Optimization" (2004), 3.1.5.
Domain: real arrays, where f is differentiable; at the ends of its domain the derivative is infinite or NaN where f' is.
Any order, any shape; of P, Q, I at the ends of their domain, the first order. expit, logit, entr are computed by the
backend, the others by SciPy, on the host.
"""

import math

from .._lapack import of_jax, on_numpy
from .._xp import eps, is_jax, is_traced, namespace
from ..tape.core import Op


def _special(name, value, derivative):
    """An op from ``value(x, **params)`` of a raw array and ``derivative(x, y, **params)``."""

    def forward(x, **params):
        y = op(x, **params) if is_traced(x) else value(x, **params)
        return y, (x, y, params)

    def times(saved, v):
        x, y, params = saved
        return derivative(x, y, **params) * v

    op = Op(name, forward, times, times)
    return op


def _by_scipy(name):
    def value(x, **params):
        function = of_jax(name) if is_jax(namespace(x)) else None
        if function:  # under jit there are no values that SciPy could take
            return namespace(x).astype(function(*params.values(), x), x.dtype)
        try:
            import scipy.special
        except ImportError as error:
            raise ImportError(f"{name}: needs SciPy: pip install 'arrmb[scipy]'") from error
        function = getattr(scipy.special, name)
        arrays = [v for v in params.values() if hasattr(v, "dtype")]
        numbers = [v for v in params.values() if not hasattr(v, "dtype")]
        return namespace(x).astype(on_numpy(lambda x, *a: function(*numbers, *a, x), x, *arrays), x.dtype)

    return value


def _exp(x):
    return namespace(x).exp(x)


def _log(x):
    return namespace(x).log(x)


def _expit(x):
    xp = namespace(x)
    z = xp.exp(-xp.abs(x))  # at most 1
    return xp.where(x < 0.0, z, xp.ones_like(z)) / (1.0 + z)


def _logit(x):
    xp = namespace(x)
    near = xp.abs(x - 0.5) < 0.2
    s = xp.where(near, 2.0 * x - 1.0, xp.zeros_like(x))  # log(x) - log(1-x) cancels near 1/2
    return xp.where(near, xp.log1p(s) - xp.log1p(-s), xp.log(x) - xp.log1p(-x))


def _entr(x):
    xp = namespace(x)
    inside = x > 0.0
    y = -x * xp.log(xp.where(inside, x, xp.ones_like(x)))
    return xp.where(inside | xp.isnan(x), y, xp.where(x == 0.0, xp.zeros_like(x), xp.full_like(x, -math.inf)))


_ROOT_PI, _ROOT_TAU = math.sqrt(math.pi), math.sqrt(2.0 * math.pi)


def _erfcx_slope(x, y):
    """2 x erfcx(x) - 2/sqrt(pi): far out, where that cancels, by its asymptotic series."""
    xp = namespace(x)
    end = 5.0 if eps(x) > 1e-10 else 15.0
    far = x > end
    t = 1.0 / xp.where(far, x, xp.full_like(x, end)) ** 2
    series = xp.zeros_like(t)
    for n in range(11, 0, -1):
        series = -(0.5 + n) * t * (1.0 + series)
    return xp.where(far, (-1.0 / _ROOT_PI) * t * (1.0 + series), 2.0 * (x * y - 1.0 / _ROOT_PI))


def _log_ndtr_slope(x, y):
    """Density over distribution function: to the left, where both underflow, their ratio by erfcx."""
    xp = namespace(x)
    left, zero = x < 0.0, xp.zeros_like(x)
    by_erfcx = math.sqrt(2.0 / math.pi) / _erfcx(-math.sqrt(0.5) * xp.where(left, x, zero))
    right = xp.where(left, zero, x)
    return xp.where(left, by_erfcx, _exp(-0.5 * right * right - xp.where(left, zero, y)) / _ROOT_TAU)


expit = _special("expit", _expit, lambda x, y: y * expit(-x))
logit = _special("logit", _logit, lambda x, y: 1.0 / (x * (1.0 - x)))
entr = _special("entr", _entr, lambda x, y: -_log(x) - 1.0)
erf = _special("erf", _by_scipy("erf"), lambda x, y: (2.0 / _ROOT_PI) * _exp(-x * x))
erfc = _special("erfc", _by_scipy("erfc"), lambda x, y: (-2.0 / _ROOT_PI) * _exp(-x * x))
erfinv = _special("erfinv", _by_scipy("erfinv"), lambda x, y: (0.5 * _ROOT_PI) * _exp(y * y))
ndtr = _special("ndtr", _by_scipy("ndtr"), lambda x, y: _exp(-0.5 * x * x) / _ROOT_TAU)
_erfcx = _special("erfcx", _by_scipy("erfcx"), _erfcx_slope)
log_ndtr = _special("log_ndtr", _by_scipy("log_ndtr"), _log_ndtr_slope)
ndtri = _special("ndtri", _by_scipy("ndtri"), lambda x, y: _ROOT_TAU * _exp(0.5 * y * y))
gammaln = _special("gammaln", _by_scipy("gammaln"), lambda x, y: polygamma(x, n=0))
gamma = _special("gamma", _by_scipy("gamma"), lambda x, y: y * polygamma(x, n=0))
polygamma = _special("polygamma", _by_scipy("polygamma"), lambda x, y, n: polygamma(x, n=n + 1))


def _log_power(x, p):
    """p log(x), and 0 for p = 0 at any x. ``x``, which may be traced, goes first in every operation."""
    xp = namespace(x)
    none = xp.zeros_like(x) + p == 0.0
    return xp.where(none, xp.zeros_like(x), _log(xp.where(none, xp.ones_like(x), x)) * p)


def _gamma_density(x, a):
    return _exp(_log_power(x, a - 1.0) - x - gammaln(a))


def _beta_density(x, a, b):
    return _exp(_log_power(x, a - 1.0) + _log_power(1.0 - x, b - 1.0) - (gammaln(a) + gammaln(b) - gammaln(a + b)))


def _t_density(t, df):
    xp = namespace(df)
    scale = 0.5 * xp.log(df * math.pi) + gammaln(0.5 * df) - gammaln(0.5 * df + 0.5)
    return _exp(namespace(t).log1p(t * t / df) * (-0.5 * (df + 1.0)) - scale)


gammainc = _special("gammainc", _by_scipy("gammainc"), lambda x, y, a: _gamma_density(x, a))
gammaincc = _special("gammaincc", _by_scipy("gammaincc"), lambda x, y, a: -_gamma_density(x, a))
betainc = _special("betainc", _by_scipy("betainc"), lambda x, y, a, b: _beta_density(x, a, b))
stdtr = _special("stdtr", _by_scipy("stdtr"), lambda t, y, df: _t_density(t, df))
stdtrit = _special("stdtrit", _by_scipy("stdtrit"), lambda p, t, df: 1.0 / _t_density(t, df))
