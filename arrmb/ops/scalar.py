"""The scalar functions whose matrix functions are differentiated, with their divided differences in closed form.

With r = √a, s = √b, t = √c; hi, lo for the larger and the smaller of a and b, g = hi - lo:

    f             f[a,b]                                            f[a,b,c]
    1/x           -1/(ab)                                           1/(abc)
    √x            1/(r+s)                                           -1/((r+s)(s+t)(r+t))
    1/√x          -1/(rs(r+s))                                      (r+s+t)/(rst(r+s)(s+t)(r+t))
    log           2 log(u)/(u-1)/(s(r+s)), u = r/s, where r >= s    recursion; series
    exp           e^hi (-expm1(-g)/g)                               recursion; series
    x^p           lo^p expm1(p log(hi/lo))/g, where |p log| <= 1    recursion; series
    max(x, low)   1, 0, or (hi-low)/(hi-lo) across low              (low-c)/((a-c)(b-c)) or (a-low)/((a-b)(a-c))
    |x|           that of max(x, 0) + max(-x, 0)                    likewise
    tanh, softplus                                                  in `sigmoids.py`
    any other     by quadrature of f', `kernel.UserFunction`        by quadrature of f''

Of max(x, low), c is the least of the points and a the largest, on two sides of low.

Where a range is given, the quotient itself has no cancellation beyond it. First differences so evaluated have relative
errors of 3 eps at most, near ties and at ties, second ones of 100: recursion and series, of `divided.py`, lose a digit
or so where they meet. That of log in float32 may have 8.5 eps: 4 are those of NumPy's vector code for the logarithm,
at most 1.5 what the rounding of u makes of it, and 3 are six roundings of half an eps; 3 were found. These are errors
of each entry; there are larger ones only where the exact value passes through 0, as that of x^p does with p near 1
(relative to f'/x it is right).

Kinks: an eigenvalue equal to ``low`` of max(x, low), to rounding, has the derivative 1 of the right side; one equal to
0 of |x| has 0, the mean of the two sides.

sign, a step, is among the groups of eigenvalues in `groups.py`.

Source: Higham, "Functions of Matrices" (2008), 3.2 and B.16; the closed forms of roots follow from
r² - s² = (r-s)(r+s).
"""

from __future__ import annotations

import functools
import math

from .._xp import eps, namespace
from .divided import TERMS, descending, nonzero, ordered, polynomial, sign_of
from .kernel import ScalarFunction, UserFunction
from .sigmoids import softplus, tanh

__all__ = ["ScalarFunction", "UserFunction", "absolute", "clamp", "exp", "inverse", "invsqrt", "log", "power"]
__all__ += ["softplus", "sqrt", "tanh"]


# inverse

inverse = ScalarFunction(
    "invh",
    lambda x: 1.0 / x,
    first=lambda a, b: -1.0 / a / b,
    second=lambda a, b, c: 1.0 / a / b / c,
    domain="nonzero",
)


# square root and inverse square root


def _sqrt(x):
    return namespace(x).sqrt(x)


def _sqrt_first(a, b):
    total = _sqrt(a) + _sqrt(b)
    return namespace(a).where(total == 0.0, math.inf, 1.0 / nonzero(total))


def _sqrt_second(a, b, c):
    r, s, t = _sqrt(a), _sqrt(b), _sqrt(c)
    product = (r + s) * (s + t) * (r + t)
    return namespace(a).where(product == 0.0, -math.inf, -1.0 / nonzero(product))


sqrt = ScalarFunction("sqrtmh", _sqrt, first=_sqrt_first, second=_sqrt_second, domain="nonnegative")


def _invsqrt_first(a, b):
    r, s = _sqrt(a), _sqrt(b)
    return -1.0 / (r * s * (r + s))


def _invsqrt_second(a, b, c):
    r, s, t = _sqrt(a), _sqrt(b), _sqrt(c)
    return (r + s + t) / (r + s) / (s + t) / (r + t) / (r * s * t)


invsqrt = ScalarFunction(
    "invsqrtmh", lambda x: 1.0 / _sqrt(x), first=_invsqrt_first, second=_invsqrt_second, domain="positive"
)


# log


def _log_ratio(hi, lo):
    """log(hi/lo)"""
    xp = namespace(hi)
    near = hi <= 1e9 * lo  # beyond, the ratio could overflow, and the logarithms are far apart
    return xp.where(near, xp.log1p(xp.where(near, hi - lo, 0.0) / lo), xp.log(hi) - xp.log(lo))


def _log_first(a, b):
    # u = √(hi/lo) does not overflow where hi/lo does; log(u)/(u - 1) hardly depends on u near 1, so that the rounding
    # of u does not matter there. No log1p: NumPy has vector code for it with AVX-512 only. Bounds, as XLA would fold a
    # small summand into the 1 of u - 1; halves first, since the product with lo could overflow
    xp = namespace(a)
    r, s = _sqrt(a), _sqrt(b)
    hi, lo = descending(r, s)
    u, least = hi / lo, 0.5 * eps(a)  # less than both terms unless u = 1, where their quotient is 1
    quotient = xp.maximum(xp.log(u), least) / xp.maximum(u - 1.0, least)
    return quotient / ((0.5 * r + 0.5 * s) * lo)


def _log_taylor(w):
    return w, polynomial([(-1.0) ** (p + 1) / (p + 2) for p in range(TERMS)], 1.0 / (w * w))


log = ScalarFunction("logmh", lambda x: namespace(x).log(x), first=_log_first, taylor=_log_taylor, domain="positive")


# exp


def _exp(x):
    return namespace(x).exp(x)


def _exp_first(a, b):
    xp = namespace(a)
    hi, lo = descending(a, b)
    gap = hi - lo
    return xp.exp(hi) * xp.where(gap == 0.0, 1.0, -xp.expm1(-gap) / nonzero(gap))


def _exp_taylor(w):
    scale = 4.0  # the terms fall off as 1/p!, so that the series serves 4/8
    terms = polynomial([scale**p / math.factorial(p + 2) for p in range(TERMS)], _exp(w))
    return namespace(w).full_like(w, scale), terms


exp = ScalarFunction("expmh", _exp, first=_exp_first, taylor=_exp_taylor)


# power


@functools.lru_cache(maxsize=128)  # so that its fused kernels are recorded once
def power(p):
    """x^p for a real exponent p, a float."""
    value_at_0 = 1.0 if p == 0 else 0.0
    slope_at_0 = math.inf if 0 < p < 1 else float(p == 1)
    second_at_0 = math.inf if p < 2 else float(p == 2)
    scale = max(1.0, abs(p))
    binomials = [p * (p - 1.0) / 2.0]
    for q in range(2, TERMS + 1):
        binomials.append(binomials[-1] * (p - q) / ((q + 1) * scale))

    def first(a, b, p):
        xp = namespace(a)
        hi, lo = descending(a, b)
        gap = hi - lo
        base = xp.where(lo > 0.0, lo, 1.0)
        exponent = p * _log_ratio(xp.where(lo > 0.0, hi, 1.0), base)
        near = (lo > 0.0) & (xp.abs(exponent) <= 1.0)
        by_ratio = xp.where(gap == 0.0, p / base, xp.expm1(xp.where(near, exponent, 0.0)) / nonzero(gap)) * base**p
        far = xp.where(hi > 0.0, hi, 1.0) ** p - xp.where(lo > 0.0, base**p, value_at_0)
        return xp.where(near, by_ratio, xp.where(hi > 0.0, far / nonzero(gap), slope_at_0))

    def taylor(w):
        xp = namespace(w)
        positive = w > 0.0
        at_0 = polynomial([second_at_0] + [0.0] * (TERMS - 1), xp.ones_like(w))
        terms = polynomial(binomials, xp.where(positive, w, 1.0) ** (p - 2.0))
        return w / scale, xp.where(positive[..., None], terms, at_0)

    function = ScalarFunction(
        "powmh",
        lambda x: x**p,
        first=first,
        second=(lambda a, b, c, p: 0.0 * (a + b + c)) if p in (0, 1) else None,
        taylor=taylor,
        parameters=(p,),
        domain="positive" if p < 0 else "nonnegative",
    )
    if p.is_integer():
        function.remedy += "; for integer powers matrix_power"
    return function


# rectification and absolute value


def _rectify_first(a, b, low):
    xp = namespace(a)
    hi, lo = descending(a, b)
    return xp.where(lo >= low, 1.0, xp.where(hi < low, 0.0, (hi - low) / nonzero(hi - lo)))


def _rectify_second(a, b, c, low):
    xp = namespace(a)
    a, b, c = ordered(a, b, c)
    two_above = (low - c) / nonzero(a - c) / nonzero(b - c)
    one_above = (a - low) / nonzero(a - b) / nonzero(a - c)
    return xp.where((a < low) | (c >= low), 0.0, xp.where(b >= low, two_above, one_above))


@functools.lru_cache(maxsize=128)
def clamp(low):
    """max(x, low), with the derivative 1 at low."""
    return ScalarFunction(
        "clampmh",
        lambda x: namespace(x).where(x < low, low, x),
        first=_rectify_first,
        second=_rectify_second,
        parameters=(low,),
        kink=low,
    )


def _absolute_first(a, b):
    xp = namespace(a)
    hi, lo = descending(a, b)
    return xp.where(hi == lo, sign_of(hi), (xp.abs(hi) - xp.abs(lo)) / nonzero(hi - lo))


absolute = ScalarFunction(
    "absmh",
    lambda x: namespace(x).abs(x),
    first=_absolute_first,
    second=lambda a, b, c: _rectify_second(a, b, c, 0.0) + _rectify_second(-a, -b, -c, 0.0),
    kink=0.0,
)
