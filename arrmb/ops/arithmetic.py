"""Arithmetic and elementwise functions of two arrays, with broadcasting. Either operand may be a Python scalar.

    add        d(a + b) = da + db                    multiply   d(ab)  = da b + a db
    subtract   d(a - b) = da - db                    divide     d(a/b) = (da - y db)/b,    y = a/b
    remainder  d        = da - floor(a/b) db
    power      d(a^b)   = b a^(b-1) da + y log(a) db
    hypot      d        = (a/y) da + (b/y) db        atan2      d      = (b/h da - a/h db)/h,    h = hypot(a, b)
    logaddexp  d        = softmax weights, da/(1 + e^(b-a)) + db/(1 + e^(a-b))

Each adjoint multiplies by the conjugate of the same factor. The engine sums a cotangent over broadcast axes.

Source: Griewank and Walther, "Evaluating Derivatives" (2nd ed., 2008), 3.1 and 3.2; derivatives of
the elementary functions: NIST Handbook of Mathematical Functions (2010), 4.7.
Domain: smooth, any order, save at these corners, each with its convention.
power: at base 0 any order where the exponent is whole or above the order; the derivative in the exponent is taken as 0
there. At a negative base it is NaN (the logarithm), and does not arise for an exponent that is a constant.
remainder: at a multiple, the one-sided derivative on the side of the value 0.
hypot, atan2: 0 at (0, 0), all orders. Elsewhere no square of an argument is taken: large and tiny ones are in range.
logaddexp: equal infinities share the derivative, ½ each; beside another number -inf has none and +inf has all of it.
maximum, minimum: piecewise linear; at a tie half of the derivative goes to each side.
where: piecewise linear; the derivative of the side not taken is not looked at, be it infinite or NaN.
clip: piecewise linear; 1 from one bound to the other, both included.
"""

import operator

from .._xp import conj, device, eps, is_complex, is_inexact, namespace, real
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
        (lambda saved, v: _narrow(da(saved) * v, saved), lambda saved, v: _narrow(db(saved) * v, saved)),
        (
            lambda saved, ybar: _narrow(conj(da(saved)) * ybar, saved),
            lambda saved, ybar: _narrow(conj(db(saved)) * ybar, saved),
        ),
    )


def _narrow(x, saved):
    """``x`` in single precision, if all that is saved is: NumPy 1 widens scalars that meet Python numbers."""
    if eps(x) > 1e-10 or any(eps(s) < 1e-10 for s in saved if hasattr(s, "dtype") and is_inexact(s)):
        return x
    xp = namespace(x)
    return xp.astype(x, xp.complex64 if is_complex(x) else xp.float32)


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
    xp = namespace(a, b)
    # 0 · a^(-1) is 0 at a = 0 as well; elsewhere b - 1 stays, for the mixed derivative a^(-1) at b = 0 needs it. That
    # is no integer's: unsigned, b - 1 would be the largest number
    no_power = (b == 0) if not is_inexact(b) else (a == 0) & (b == 0)
    b_minus_1 = xp.where(no_power, 0, b - 1)
    return b * a**b_minus_1


def _power_db(saved):
    a, b, y = saved
    xp = namespace(a, b)
    a = xp.asarray(a, dtype=y.dtype, device=device(y))
    return y * xp.log(xp.where(a == 0, 1, a))  # 0^b is 0 around b > 0


power = partials("power", _power_forward, _power_da, _power_db)


# remainder: y = a - q b, where q is locally constant: that of y, which floor(a/b), rounded, may miss by one (1 % 0.1)


def _remainder_forward(a, b):
    y = a % b
    return y, (namespace(y).round((a - y) / b),)


remainder = Op(
    "remainder",
    _remainder_forward,
    (_same, lambda saved, db: -(saved[0] * db)),
    (_same, lambda saved, ybar: -(saved[0] * ybar)),
)


# the next number after a in the direction of b: a, but for rounding

nextafter = Op("nextafter", lambda a, b: (namespace(a, b).nextafter(a, b), ()), (_same, None), (_same, None))


# functions of two real arrays: the direction (a, b) / y instead of squares, which leave the range of the dtype


def _over(numerator, y):
    """``numerator / y``; 0, with all its derivatives, where y is 0."""
    xp = namespace(y)
    at_0 = y == 0
    return xp.where(at_0, 0.0, numerator) / xp.where(at_0, 1.0, y)


def _atan2_forward(a, b):
    return namespace(a, b).atan2(a, b), (a, b)


def _atan2_partial(a, b, part):
    y = namespace(a, b).hypot(a, b)
    return _over(_over(part, y), y)


atan2 = partials(
    "atan2",
    _atan2_forward,
    lambda s: _atan2_partial(s[0], s[1], s[1]),
    lambda s: -_atan2_partial(s[0], s[1], s[0]),
)


def _hypot_forward(a, b):
    y = namespace(a, b).hypot(a, b)
    return y, (a, b, y)


hypot = partials("hypot", _hypot_forward, lambda s: _over(s[0], s[2]), lambda s: _over(s[1], s[2]))


def _logaddexp_forward(a, b):
    return namespace(a, b).logaddexp(a, b), (a, b)


def _share(a, b):
    """e^a / (e^a + e^b) from a - b: exact where a and b are large, and ½ at equal infinities."""
    xp = namespace(a, b)
    same = xp.isinf(a) & (a == b)
    d = xp.where(same, 0.0, a) - xp.where(same, 0.0, b)
    e = xp.exp(xp.where(d < 0.0, d, -d))
    return xp.where(d < 0.0, e, 1.0) / (1.0 + e)


logaddexp = partials("logaddexp", _logaddexp_forward, lambda s: _share(s[0], s[1]), lambda s: _share(s[1], s[0]))


# piecewise linear: a side has all of v where it is selected, ½ of it at a tie, 0 elsewhere (also where v is infinite)


def _select(name, wins):
    def forward(a, b):
        return getattr(namespace(a, b), name)(a, b), (wins(a, b), wins(b, a), a == b)

    def part(side):
        def rule(saved, v):
            xp = namespace(v)
            return xp.where(saved[2], 0.5 * v, xp.where(saved[side], v, xp.zeros_like(v)))

        return rule

    rules = part(0), part(1)
    return Op(name, forward, rules, rules)


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


# 1 for the vectors x (..., n), with a given derivative: of NaN, by which a product says that it has none (`gauge.py`)

_one_of_slope = Op(
    "guard",
    lambda x, *, slope: (namespace(x).ones_like(real(x[..., 0])), (namespace(slope).broadcast_to(slope, x.shape),)),
    lambda saved, dx: namespace(dx).sum(real(dx) * saved[0], axis=-1),
    lambda saved, ybar: ybar[..., None] * saved[0],
)
