"""tanh and softplus as functions of a Hermitian matrix: their divided differences in closed form, as in `scalar.py`.

With hi, lo for the larger and the smaller of a and b, g = hi - lo, and σ(x) = 1/(1 + e^-x):

    tanh a - tanh b = sinh(a-b)/(cosh a cosh b)
    tanh[a,b]       = 2 e^-2m (-expm1(-2g)/g)/((1 + e^-2|a|)(1 + e^-2|b|))
                      m = min(|a|,|b|) where a and b have one sign, else 0

    softplus(a) - softplus(b) = log((1 + e^a)/(1 + e^b))
    softplus[a,b]             = -log1p(σ(hi) expm1(-g))/g, where g <= 1; beyond, the quotient has no cancellation

Second ones are by recursion and series (`divided.py`), with the Taylor coefficients y_p of y = tanh at w from

    y' = u = 1 - y²,  u' = -2yu:        (p+1) y_{p+1} = u_p,  (p+1) u_{p+1} = -2 Σ_q y_q u_{p-q}

and those of softplus from softplus'(x) = (1 + tanh(x/2))/2. No term overflows, and no digits are lost in the tails.
tanh[a,b,c] passes through 0 between the signs; there the error is relative to the terms.

Source: Higham, "Functions of Matrices" (2008), 3.2 and B.16; the identities of hyperbolic functions.
"""

from .._xp import namespace
from .divided import TERMS, descending, nonzero
from .kernel import ScalarFunction


def _tanh_first(a, b):
    xp = namespace(a)
    hi, lo = descending(a, b)
    gap = hi - lo
    smaller = xp.where((lo > 0.0) | (hi < 0.0), xp.minimum(xp.abs(hi), xp.abs(lo)), 0.0)
    quotient = xp.where(gap == 0.0, 2.0, -xp.expm1(-2.0 * gap) / nonzero(gap))
    return (
        2.0
        * xp.exp(-2.0 * smaller)
        * quotient
        / ((1.0 + xp.exp(-2.0 * xp.abs(hi))) * (1.0 + xp.exp(-2.0 * xp.abs(lo))))
    )


def _tanh_coefficients(w, count):
    """The Taylor coefficients of order 1 ... count of y = tanh at w: y' = u = 1 - y², u' = -2yu."""
    xp = namespace(w)
    decay = xp.exp(-2.0 * xp.abs(w))
    y, u = [xp.tanh(w)], [4.0 * decay / ((1.0 + decay) * (1.0 + decay))]
    for p in range(count - 1):
        y.append(u[p] / (p + 1))
        u.append(-2.0 * sum(y[q] * u[p - q] for q in range(p + 1)) / (p + 1))
    return [*y[1:], u[count - 1] / count]


def _tanh_taylor(w):
    xp = namespace(w)
    scale = 1.5  # the poles are π/2 away or more
    terms = [t * scale**p for p, t in enumerate(_tanh_coefficients(w, TERMS + 1)[1:])]
    return xp.full_like(w, scale), xp.stack(terms, axis=-1)


tanh = ScalarFunction("tanhmh", lambda x: namespace(x).tanh(x), first=_tanh_first, taylor=_tanh_taylor)


def _sigmoid(x):
    xp = namespace(x)
    decay = xp.exp(-xp.abs(x))
    return xp.where(x >= 0.0, 1.0, decay) / (1.0 + decay)


def _tail(x):
    """softplus(x) - max(x, 0) = log(1 + e^-|x|)"""
    xp = namespace(x)
    return xp.log1p(xp.exp(-xp.abs(x)))


def _positive_part(x):
    return namespace(x).where(x > 0.0, x, 0.0)


def _softplus_first(a, b):
    xp = namespace(a)
    hi, lo = descending(a, b)
    gap = hi - lo
    near = gap <= 1.0
    close = -xp.log1p(_sigmoid(hi) * xp.expm1(-xp.where(near, gap, 0.0)))
    far = (_positive_part(hi) - _positive_part(lo)) + (_tail(hi) - _tail(lo))
    return xp.where(gap == 0.0, _sigmoid(hi), xp.where(near, close, far) / nonzero(gap))


def _softplus_taylor(w):
    # f' = (1 + tanh(x/2))/2, so the coefficient of order p + 2 of f is that of tanh of order p + 1 over 2^(p+2) (p + 2)
    xp = namespace(w)
    coefficients = _tanh_coefficients(0.5 * w, TERMS)
    terms = [0.25 * t / (p + 2) for p, t in enumerate(coefficients)]  # · 2^p, in the scale 2
    return xp.full_like(w, 2.0), xp.stack(terms, axis=-1)


class _Softplus(ScalarFunction):
    def second(self, w):
        # Far to the right f' is close to 1, and its differences cancel. f(x) - x = f(-x) has the same second ones:
        # where the middle one of the three points is positive, those at -w.
        positive = w > 0.0
        i, j = positive[..., :, None], positive[..., None, :]
        sides = zip(super().second(w), super().second(-w))
        for k, (left, right) in enumerate(sides):
            middle = (i & j) | (positive[..., k, None, None] & (i | j))
            yield namespace(w).where(middle, right, left)


softplus = _Softplus(
    "softplusmh", lambda x: _positive_part(x) + _tail(x), first=_softplus_first, taylor=_softplus_taylor
)
