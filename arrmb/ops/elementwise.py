"""Elementwise functions of one array, Y = f(X).

    dY = f'(X) ∘ dX                  <Ybar, f'(X) ∘ dX> = <conj(f'(X)) ∘ Ybar, dX>

The table below gives f'(x), from x and y = f(x). Where f is not holomorphic (abs, real, imag, conj), the rules are the
real-linear maps written out.

Source: NIST Handbook of Mathematical Functions (2010), 4.7, 4.20, 4.24, 4.34, 4.38; the complex inner product:
Kreutz-Delgado, "The Complex Gradient Operator and the CR-Calculus", arXiv:0906.4835 (2009).
Domain: where f is differentiable. Any order, any shape, real and, where the namespace has it, complex.
abs, real and complex: 0 at the kink, all orders.
sqrt, log, reciprocal at 0, asin, acos, atanh at ±1: the derivative is infinite, and times a cotangent of 0 NaN. To mask
such entries, replace them before the function as well as after: where(x > 0, log(where(x > 0, x, 1.0)), 0.0).
"""

from .._xp import conj, eps, is_complex, is_traced, namespace
from .._xp import real as real_part
from ..tape.core import Op


def elementwise(name, derivative):
    """An op for the namespace's function ``name``, given ``derivative(x, y)``."""

    function = _f(name)

    def forward(x):
        y = function(x)
        return y, (x, y)

    return _op(name, forward, derivative)


def _op(name, forward, derivative):
    """An op from ``forward(x)``, which returns y = f(x) and (x, y), and ``derivative(x, y)``."""

    def variation(saved, dx):
        return derivative(*saved) * dx

    def adjoint(saved, ybar):
        return conj(derivative(*saved)) * ybar

    return Op(name, forward, variation, adjoint)


def _f(name):
    """The function ``name`` of an array's namespace, which is looked up once per type of arrays."""
    known = {}

    def function(x):
        f = known.get(type(x))
        if f is None:
            f = getattr(namespace(x), name)
            if not is_traced(x):  # whose namespace depends on what it holds
                known[type(x)] = f
        return f(x)

    return function


def _asinh_derivative(x, y):  # without the square of x, which leaves the range of the dtype
    if is_complex(x):
        return 1.0 / (_sqrt(1.0 - 1j * x) * _sqrt(1.0 + 1j * x))
    return _cosine(x)


def _cosine(x):
    """1 / sqrt(1 + x²)."""
    xp = namespace(x)
    return 1.0 / xp.hypot(x, xp.ones_like(x))


def _atan_derivative(x, y):
    if is_complex(x):
        return 1.0 / (1.0 + x * x)
    cosine = _cosine(x)
    return cosine * cosine


# 1 - x² in factors, which neither cancel near ±1 nor leave the range of the dtype; near 0, where their derivatives
# cancel to -2x, as it stands


def _near_0(x):
    xp = namespace(x)
    near = xp.abs(x) < 0.5
    return near, xp.where(near, x, 0.0)


def _asin_derivative(x, y):
    near, small = _near_0(x)
    return 1.0 / namespace(x).where(near, _sqrt(1.0 - small * small), _sqrt(1.0 - x) * _sqrt(1.0 + x))


def _atanh_derivative(x, y):
    near, small = _near_0(x)
    return namespace(x).where(near, 1.0 / (1.0 - small * small), 1.0 / (1.0 - x) / (1.0 + x))


_sqrt, _sin, _cos, _sinh, _cosh, _tanh, _exp = map(_f, ("sqrt", "sin", "cos", "sinh", "cosh", "tanh", "exp"))


# 1/cosh², the derivative of tanh: far from 0, 1 - y² is rounding error. An op, since its own derivatives are simple,
# and those of the way in which it is computed are not (of |x|, and of what stands in for an overflow)


def _sech2_forward(x):
    if is_traced(x):
        y = _sech2(x)
    elif is_complex(x):
        xp = namespace(x)
        largest = 44.0 if eps(x) > 1e-10 else 354.0  # the end of the range of 1/cosh², and cosh has not overflowed
        sech = 1.0 / _cosh(xp.where(xp.abs(real_part(x)) > largest, largest, x))
        y = sech * sech
    else:
        t = _exp(-namespace(x).abs(x))
        sech = (t + t) / (1.0 + t * t)
        y = sech * sech
    return y, (x, y)


_sech2 = _op("sech2", _sech2_forward, lambda x, y: -2.0 * _tanh(x) * y)

exp = elementwise("exp", lambda x, y: y)
expm1 = elementwise("expm1", lambda x, y: _exp(x))  # not y + 1, which has lost the small values
log = elementwise("log", lambda x, y: 1.0 / x)
log1p = elementwise("log1p", lambda x, y: 1.0 / (1.0 + x))
log2 = elementwise("log2", lambda x, y: 1.4426950408889634 / x)  # 1 / ln 2
log10 = elementwise("log10", lambda x, y: 0.4342944819032518 / x)  # 1 / ln 10
sqrt = elementwise("sqrt", lambda x, y: 0.5 / y)
square = elementwise("square", lambda x, y: 2.0 * x)
reciprocal = elementwise("reciprocal", lambda x, y: -(y * y))
sin = elementwise("sin", lambda x, y: _cos(x))
cos = elementwise("cos", lambda x, y: -_sin(x))
tan = elementwise("tan", lambda x, y: 1.0 + y * y)
asin = elementwise("asin", _asin_derivative)
acos = elementwise("acos", lambda x, y: -_asin_derivative(x, y))
atan = elementwise("atan", _atan_derivative)
sinh = elementwise("sinh", lambda x, y: _cosh(x))
cosh = elementwise("cosh", lambda x, y: _sinh(x))
tanh = elementwise("tanh", lambda x, y: _sech2(x))
asinh = elementwise("asinh", _asinh_derivative)
acosh = elementwise("acosh", lambda x, y: 1.0 / (_sqrt(x - 1.0) * _sqrt(x + 1.0)))
atanh = elementwise("atanh", _atanh_derivative)


# negative: linear


def _negative(x):
    return -x, ()


negative = Op("negative", _negative, lambda saved, dx: -dx, lambda saved, ybar: -ybar)


# abs: d|x| = Re(conj(s) dx) with s = x / |x|, s = 0 at x = 0


def _abs_forward(x):
    y = namespace(x).abs(x)
    return y, (x, y)


def _direction(x, y):
    if not is_complex(x):  # the sign, but not xp.sign, which makes a GPU wait in array-api-compat
        return namespace(x).astype(x > 0.0, y.dtype) - namespace(x).astype(x < 0.0, y.dtype)
    xp = namespace(x)
    return xp.where(y == 0.0, 0.0, x) / xp.where(y == 0.0, 1.0, y)


def _abs_variation(saved, dx):
    s = _direction(*saved)
    return namespace(dx).real(conj(s) * dx) if is_complex(s) else s * dx


def _abs_adjoint(saved, ybar):
    return ybar * _direction(*saved)


abs = Op("abs", _abs_forward, _abs_variation, _abs_adjoint)


# real, imag, conj: linear over the reals. <ybar, Re dx> = Re(ybar dx); <ybar, Im dx> = Re(conj(i ybar) dx)

real = Op(
    "real",
    lambda x: (namespace(x).real(x), ()),
    lambda saved, dx: namespace(dx).real(dx),
    lambda saved, ybar: ybar,  # the engine gives it the dtype of x
)
imag = Op(
    "imag",
    lambda x: (namespace(x).imag(x), ()),
    lambda saved, dx: namespace(dx).imag(dx),
    lambda saved, ybar: 1j * ybar,
)
conjugate = Op(
    "conj",
    lambda x: (namespace(x).conj(x), ()),
    lambda saved, dx: conj(dx),
    lambda saved, ybar: conj(ybar),
)
