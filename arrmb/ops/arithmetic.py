"""Arithmetic and elementwise functions of two arrays, with broadcasting. Either operand may be a Python scalar.

    add        d(a + b) = da + db                    multiply   d(ab)  = da b + a db
    subtract   d(a - b) = da - db                    divide     d(a/b) = (da - y db)/b,    y = a/b
    remainder  d        = da - floor(a/b) db
    power      d(a^b)   = b a^(b-1) da + y log(a) db
    atan2      d        = (b da - a db)/(a² + b²)    hypot      d      = (a da + b db)/y
    logaddexp  d        = softmax weights, e^(a-y) da + e^(b-y) db

Each adjoint multiplies by the conjugate of the same factor. The engine sums a cotangent over broadcast axes.

Source: Griewank and Walther, "Evaluating Derivatives" (2nd ed., 2008), 3.1 and 3.2; derivatives of
the elementary functions: NIST Handbook of Mathematical Functions (2010), 4.7.
Domain: smooth, any order, save for power at base 0 with an exponent below the order, and maximum, minimum and where,
which are piecewise linear: at a tie, maximum and minimum give half of the derivative to each side.
"""

import operator

from .._xp import conj, device, namespace
from ..tape.core import Op


def _bilinear(name, f):
    def forward(a, b):
        return f(a, b), (a, b)

    return Op(
        name,
        forward,
        (lambda saved, da: f(da, saved[1]), lambda saved, db: f(saved[0], db)),
        (lambda saved, ybar: f(ybar, conj(saved[1])), lambda saved, ybar: f(conj(saved[0]), ybar)),
    )


def _same(saved, v):
    return v


def _minus(saved, v):
    return -v


add = Op("add", lambda a, b: (a + b, ()), (_same, _same), (_same, _same))
subtract = Op("subtract", lambda a, b: (a - b, ()), (_same, _minus), (_same, _minus))
multiply = _bilinear("multiply", operator.mul)


def partials(name, forward, da, db):
    """An op of two arrays from its partial derivatives ``da(saved)`` and ``db(saved)``."""
    return Op(
        name,
        forward,
        (lambda saved, v: da(saved) * v, lambda saved, v: db(saved) * v),
        (lambda saved, ybar: conj(da(saved)) * ybar, lambda saved, ybar: conj(db(saved)) * ybar),
    )


def _divide_forward(a, b):
    y = a / b
    return y, (b, y)


divide = Op(
    "divide",
    _divide_forward,
    (lambda saved, da: da / saved[0], lambda saved, db: -(saved[1] / saved[0]) * db),
    (
        lambda saved, ybar: ybar / conj(saved[0]),
        lambda saved, ybar: -conj(saved[1] / saved[0]) * ybar,
    ),
)


# power


def _power_forward(a, b):
    y = a**b
    return y, (a, b, y)


def _power_da(saved):
    a, b, _ = saved
    if isinstance(b, (int, float, complex)):
        return b * a ** (b - 1) if b != 0 else 0.0
    xp = namespace(b)
    b_minus_1 = xp.where(b == 0, 0, b - 1)  # 0 · a^(-1) is 0 at a = 0 as well
    return b * a**b_minus_1


def _power_db(saved):
    a, b, y = saved
    xp = namespace(a, b)
    a = xp.asarray(a, dtype=y.dtype, device=device(y))
    return y * xp.log(xp.where(a == 0, 1, a))  # 0^b is 0 around b > 0


power = partials("power", _power_forward, _power_da, _power_db)


# remainder: a - floor(a/b) b, where floor(a/b) is locally constant


def _remainder_forward(a, b):
    return a % b, (namespace(a, b).floor(a / b),)


remainder = Op(
    "remainder",
    _remainder_forward,
    (_same, lambda saved, db: -(saved[0] * db)),
    (_same, lambda saved, ybar: -(saved[0] * ybar)),
)


# the next number after a in the direction of b: a, but for rounding

nextafter = Op("nextafter", lambda a, b: (namespace(a, b).nextafter(a, b), ()), (_same, None), (_same, None))


# smooth functions of two real arrays


def _atan2_forward(a, b):
    return namespace(a, b).atan2(a, b), (a, b)


atan2 = partials(
    "atan2",
    _atan2_forward,
    lambda saved: saved[1] / (saved[0] * saved[0] + saved[1] * saved[1]),
    lambda saved: -saved[0] / (saved[0] * saved[0] + saved[1] * saved[1]),
)


def _hypot_forward(a, b):
    y = namespace(a, b).hypot(a, b)
    return y, (a, b, y)


hypot = partials("hypot", _hypot_forward, lambda s: s[0] / s[2], lambda s: s[1] / s[2])


def _logaddexp_forward(a, b):
    y = namespace(a, b).logaddexp(a, b)
    return y, (a, b, y)


logaddexp = partials(
    "logaddexp",
    _logaddexp_forward,
    lambda s: namespace(s[2]).exp(s[0] - s[2]),
    lambda s: namespace(s[2]).exp(s[1] - s[2]),
)


# piecewise linear: each side has the weight 1 where it is selected, ½ at a tie, 0 elsewhere


def _select(name, wins):
    def forward(a, b):
        y = getattr(namespace(a, b), name)(a, b)
        return y, (a, b, y)

    def weight(a, b, y):
        xp = namespace(y)
        one = xp.astype(wins(a, b), y.dtype)
        return one + 0.5 * xp.astype(a == b, y.dtype)

    return partials(name, forward, lambda s: weight(s[0], s[1], s[2]), lambda s: weight(s[1], s[0], s[2]))


maximum = _select("maximum", operator.gt)
minimum = _select("minimum", operator.lt)


def _where_forward(condition, a, b):
    return namespace(condition, a, b).where(condition, a, b), (condition,)


def _first(saved, v):
    xp = namespace(v)
    return xp.where(saved[0], v, xp.zeros_like(v))


def _second(saved, v):
    xp = namespace(v)
    return xp.where(saved[0], xp.zeros_like(v), v)


where = Op("where", _where_forward, (None, _first, _second), (None, _first, _second))


# clip to constant bounds: the identity from one bound to the other, both included


def _clip_forward(x, *, low, high):
    xp = namespace(x)
    inside = xp.ones_like(x, dtype=xp.bool)
    if low is not None:
        inside = inside & (x >= low)
    if high is not None:
        inside = inside & (x <= high)
    y = x if low is None else xp.where(x < low, low, x)  # not xp.clip, which makes a GPU wait in array-api-compat
    return y if high is None else xp.where(y > high, high, y), (inside,)


clip = Op("clip", _clip_forward, _first, _first)
