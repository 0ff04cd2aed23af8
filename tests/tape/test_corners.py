"""Derivatives of elementwise functions and reductions at the corners of their domain, against closed forms.

Each case is a function of one vector, and the gradient and the Hessian of the sum of its entries (a list of
numbers: its diagonal). Both are taken in every mode: reverse, forward, and the four ways of nesting the two.
"""

import math

import numpy as np
import pytest

import arrmb

INF = math.inf
S = math.sqrt(0.5)


def on_pair(name):
    """A function of two arrays, of the two entries of x."""
    return lambda xp, x: getattr(xp, name)(x[0], x[1])


def on_one(name, *args, **options):
    return lambda xp, x: getattr(xp, name)(x, *args, **options)


def power(b):
    return lambda xp, x: x**b


def power_array(b):
    return lambda xp, x: xp.pow(x, xp.full_like(x, b))


def safe(name):
    """The composition that keeps a masked entry out: replaced before the function and after."""
    return lambda xp, x: xp.where(x > 0, getattr(xp, name)(xp.where(x > 0, x, 1.0)), 0.0)


def array_clip(xp, x):
    return xp.clip(x, xp.zeros_like(x), xp.ones_like(x))


def logsumexp(xp, x):
    m = xp.max(x)
    return xp.log(xp.sum(xp.exp(x - m))) + m


def column(x, *shape):
    return lambda xp, v: x(xp, xp.reshape(v, shape))


def std(correction=0.0):
    return lambda xp, x: xp.std(x, correction=correction)


ZEROS2, ZEROS3 = [0.0] * 2, [0.0] * 3
HALF = [[0.25, -0.25], [-0.25, 0.25]]
CLIPPED = [0.0, 1.0, 1.0, 1.0, 0.0]

# name -> f(xp, x), x, gradient, Hessian (its diagonal if a list of numbers; None: not finite, or not in range)
CASES = {
    # where
    "log, masked": (safe("log"), [0.0, -1.0, 2.0], [0.0, 0.0, 0.5], [0.0, 0.0, -0.25]),
    "sqrt, masked": (safe("sqrt"), [0.0, -1.0, 4.0], [0.0, 0.0, 0.25], [0.0, 0.0, -1 / 32]),
    "reciprocal, masked": (safe("reciprocal"), [0.0, 2.0], [0.0, -0.25], [0.0, 0.25]),
    # infinite derivatives are infinite
    "sqrt at 0": (on_one("sqrt"), [0.0], [INF], None),
    "log at 0": (on_one("log"), [0.0], [INF], None),
    "reciprocal at 0": (on_one("reciprocal"), [0.0], [-INF], None),
    "reciprocal, large": (on_one("reciprocal"), [1e10], [-1e-20], [2e-30]),
    "reciprocal, tiny": (on_one("reciprocal"), [1e-12], [-1e24], [2e36]),
    # ties
    "maximum, tie": (on_pair("maximum"), [2.0, 2.0], [0.5, 0.5], ZEROS2),
    "minimum, tie": (on_pair("minimum"), [2.0, 2.0], [0.5, 0.5], ZEROS2),
    "maximum of itself squared": (lambda xp, x: xp.maximum(x, x) ** 2, [3.0], [6.0], [2.0]),
    "max, tie of three": (on_one("max"), [2.0, 2.0, 1.0, 2.0], [1 / 3, 1 / 3, 0, 1 / 3], [0.0] * 4),
    "min, tie of two": (on_one("min"), [1.0, 2.0, 1.0], [0.5, 0.0, 0.5], ZEROS3),
    "max, tie over two axes": (
        column(on_one("max", axis=(0, 1)), 2, 2, 1),
        [2.0, 1.0, 0.0, 2.0],
        [0.5, 0, 0, 0.5],
        [0.0] * 4,
    ),
    "max of NaN": (on_one("max"), [1.0, math.nan, 2.0], [0.0, 1.0, 0.0], ZEROS3),
    "max squared, tie": (lambda xp, x: xp.max(x) ** 2, [1.0, 1.0], [1.0, 1.0], [[0.5, 0.5], [0.5, 0.5]]),
    "max over axes of size 1": (column(on_one("max", axis=(0, 2), keepdims=True), 1, 2, 1), [1.0, 2.0], [1, 1], ZEROS2),
    "sort, tie": (on_one("sort"), [2.0, 1.0, 1.0], [1.0, 1.0, 1.0], ZEROS3),
    "logsumexp, tie": (logsumexp, [5.0, 5.0], [0.5, 0.5], HALF),
    "logsumexp, large": (logsumexp, [1e4, 0.0], [1.0, 0.0], ZEROS2),
    # power
    "x ** 0": (power(0), [0.0, -2.0], ZEROS2, ZEROS2),
    "x ** 1": (power(1), [0.0, -2.0], [1.0, 1.0], ZEROS2),
    "x ** 2": (power(2), [0.0, -2.0], [0.0, -4.0], [2.0, 2.0]),
    "x ** 3": (power(3), [0.0, -2.0], [0.0, 12.0], [0.0, -12.0]),
    "x ** -1": (power(-1), [-2.0], [-0.25], [-0.25]),
    "x ** 1.5 at 0": (power(1.5), [0.0], [0.0], None),
    "x ** 0.5 at 0": (power(0.5), [0.0], [INF], None),
    "x ** array of 0": (power_array(0.0), [0.0, -2.0], ZEROS2, ZEROS2),
    "x ** array of 1": (power_array(1.0), [0.0, -2.0], [1.0, 1.0], ZEROS2),
    "x ** array of 2": (power_array(2.0), [0.0, -2.0], [0.0, -4.0], [2.0, 2.0]),
    "x ** array of 3": (power_array(3.0), [0.0, -2.0], [0.0, 12.0], [0.0, -12.0]),
    "a ** b at b = 0": (on_pair("pow"), [2.0, 0.0], [0.0, math.log(2)], [[0, 0.5], [0.5, math.log(2) ** 2]]),
    "a ** b at b = 1": (
        on_pair("pow"),
        [2.0, 1.0],
        [1.0, 2 * math.log(2)],
        [[0, 1 + math.log(2)], [1 + math.log(2), 2 * math.log(2) ** 2]],
    ),
    "a ** b at a = 0": (on_pair("pow"), [0.0, 2.0], ZEROS2, [[2.0, 0.0], [0.0, 0.0]]),
    "0 ** x": (lambda xp, x: 0.0**x, [1.5, 0.5], ZEROS2, ZEROS2),
    # kinks and signs
    "abs at 0": (on_one("abs"), [0.0, -0.0, -3.0], [0.0, 0.0, -1.0], ZEROS3),
    "abs squared at 0": (lambda xp, x: xp.abs(x) ** 2, [0.0, -3.0], [0.0, -6.0], None),
    "sign": (lambda xp, x: xp.sign(x) * x, [0.0, -3.0], [0.0, -1.0], ZEROS2),
    "copysign at 0": (on_one("copysign", -1.0), [0.0, -0.0, 2.0], [0.0, 0.0, -1.0], ZEROS3),
    "copysign, sign of 0": (lambda xp, x: xp.copysign(x, -0.0 * x * x), [2.0, -2.0], [-1.0, 1.0], ZEROS2),
    "complex abs at 0": (lambda xp, x: xp.abs(as_complex(xp, x)), [0.0, 0.0], ZEROS2, ZEROS2),
    "complex abs": (lambda xp, x: xp.abs(as_complex(xp, x)), [0.0, 2.0], [0.0, 1.0], [0.5, 0.0]),
    "complex sign at 0": (lambda xp, x: xp.imag(xp.sign(as_complex(xp, x))), [0.0, 0.0], ZEROS2, ZEROS2),
    "hypot at 0": (on_pair("hypot"), [0.0, 0.0], ZEROS2, ZEROS2),
    "atan2 at 0": (on_pair("atan2"), [0.0, 0.0], ZEROS2, ZEROS2),
    "atan2 on the axis": (on_pair("atan2"), [0.0, -2.0], [-0.5, 0.0], [[0.0, -0.25], [-0.25, 0.0]]),
    "nextafter": (lambda xp, x: xp.nextafter(x, x + 1.0), [0.0, 3.0], [1.0, 1.0], ZEROS2),
    # out of range if squared (single precision: the same with 1e30)
    "hypot, large": (on_pair("hypot"), [1e30, 1e30], [S, S], [[S / 2e30, -S / 2e30], [-S / 2e30, S / 2e30]]),
    "hypot, tiny": (on_pair("hypot"), [1e-30, 1e-30], [S, S], [[S / 2e-30, -S / 2e-30], [-S / 2e-30, S / 2e-30]]),
    "atan2, large": (on_pair("atan2"), [1e30, 1e30], [0.5e-30, -0.5e-30], None),
    "atan2, tiny": (on_pair("atan2"), [1e-30, 1e-30], [0.5e30, -0.5e30], None),
    "asinh, large": (on_one("asinh"), [1e30, -1e30], [1e-30, 1e-30], None),
    "asinh at 0": (on_one("asinh"), [0.0], [1.0], [0.0]),
    "atan, large": (on_one("atan"), [1e15, -1e15], [1e-30, 1e-30], None),
    "acosh, large": (on_one("acosh"), [1e30], [1e-30], None),
    "hypot, 1e200": (on_pair("hypot"), [1e200, 1e200], [S, S], None),
    "hypot, 1e-200": (on_pair("hypot"), [1e-200, 1e-200], [S, S], None),
    "atan2, 1e200": (on_pair("atan2"), [1e200, -1e200], [-0.5e-200, -0.5e-200], None),
    "atan2, 1e-200": (on_pair("atan2"), [1e-200, 1e-200], [0.5e200, -0.5e200], None),
    "hypot, second order, 1e200": (on_pair("hypot"), [1e200, 0.0], [1.0, 0.0], [0.0, 1e-200]),
    "atan2, second order, e100": (on_pair("atan2"), [1e100, 1e100], [5e-101, -5e-101], [-5e-201, 5e-201]),
    "atan2, second order, e-100": (on_pair("atan2"), [1e-100, 1e-100], [5e99, -5e99], [-5e199, 5e199]),
    "atan, second order, 1e100": (on_one("atan"), [1e100], [1e-200], [-2e-300]),
    "atan, 1e200": (on_one("atan"), [1e200], [0.0], None),
    "asinh, 1e200": (on_one("asinh"), [1e200], [1e-200], None),
    # products
    "prod, one 0": (on_one("prod"), [0.0, 2.0, 3.0], [6.0, 0.0, 0.0], [[0, 3, 2], [3, 0, 0], [2, 0, 0]]),
    "prod, two 0": (on_one("prod"), [0.0, 0.0, 3.0], ZEROS3, [[0, 3, 0], [3, 0, 0], [0, 0, 0]]),
    "prod, three 0": (on_one("prod"), ZEROS3, ZEROS3, ZEROS3),
    "prod, three 0 of four": (on_one("prod"), [0.0, 0.0, 3.0, 0.0], [0.0] * 4, [0.0] * 4),
    "prod of one": (on_one("prod", axis=0, keepdims=True), [0.0], [1.0], [0.0]),
    "cumulative_prod": (on_one("cumulative_prod"), [0.0, 2.0, 3.0], [9.0, 0.0, 0.0], [[0, 4, 2], [4, 0, 0], [2, 0, 0]]),
    "cumulative_prod, two 0": (
        on_one("cumulative_prod", include_initial=True),
        [0.0, 0.0, 3.0],
        [1.0, 0.0, 0.0],
        [[0, 4, 0], [4, 0, 0], [0, 0, 0]],
    ),
    # clip
    "clip": (on_one("clip", 0.0, 1.0), [-1.0, 0.0, 0.5, 1.0, 2.0], CLIPPED, [0.0] * 5),
    "clip, array bounds": (array_clip, [-1.0, 0.0, 0.5, 1.0, 2.0], CLIPPED, [0.0] * 5),
    "clip in its bounds": (lambda xp, x: xp.clip(xp.ones_like(x), x, x), [0.5, 1.0, 2.0], [1.0, 0.0, 1.0], ZEROS3),
    # moments
    "mean over an axis of size 1": (column(on_one("mean", axis=1), 2, 1), [1.0, 2.0], [1.0, 1.0], ZEROS2),
    "var of one": (on_one("var"), [3.0], [0.0], [0.0]),
    "std of one": (std(), [3.0], [0.0], [0.0]),
    "var of constants": (on_one("var"), [2.0, 2.0], ZEROS2, [[0.5, -0.5], [-0.5, 0.5]]),
    "std of constants": (std(), [2.0, 2.0, 2.0], ZEROS3, ZEROS3),
    "std of two": (std(), [1.0, 3.0], [-0.5, 0.5], ZEROS2),
    "std of two, correction": (std(1), [1.0, 3.0], [-S, S], ZEROS2),
    "std, one row constant": (
        column(on_one("std", axis=1), 2, 2),
        [1.0, 1.0, 1.0, 3.0],
        [0.0, 0.0, -0.5, 0.5],
        [0.0] * 4,
    ),
    # logarithms
    "logaddexp, equal": (on_pair("logaddexp"), [3.0, 3.0], [0.5, 0.5], HALF),
    "logaddexp, -inf": (on_pair("logaddexp"), [-INF, 3.0], [0.0, 1.0], ZEROS2),
    "logaddexp, inf": (on_pair("logaddexp"), [3.0, INF], [0.0, 1.0], ZEROS2),
    "logaddexp, -inf and inf": (on_pair("logaddexp"), [-INF, INF], [0.0, 1.0], ZEROS2),
    "logaddexp, both inf": (on_pair("logaddexp"), [INF, INF], [0.5, 0.5], ZEROS2),
    "logaddexp, both -inf": (on_pair("logaddexp"), [-INF, -INF], [0.5, 0.5], ZEROS2),
    "logaddexp, large": (on_pair("logaddexp"), [2.0**20, 2.0**20], [0.5, 0.5], HALF),
    "logaddexp, far apart": (on_pair("logaddexp"), [1e4, -1e4], [1.0, 0.0], ZEROS2),
    "log1p, tiny": (on_one("log1p"), [1e-30, 0.0], [1.0, 1.0], [-1.0, -1.0]),
    "expm1, tiny": (on_one("expm1"), [1e-30, 0.0], [1.0, 1.0], [1.0, 1.0]),
    # small derivatives, to their own size
    "tanh, far": (on_one("tanh"), [20.0], [4 * math.exp(-40)], [-8 * math.exp(-40)]),
    "tanh, far left": (on_one("tanh"), [-30.0], [4 * math.exp(-60)], [8 * math.exp(-60)]),
    "tanh, second order far out": (on_one("tanh"), [330.0], [4 * math.exp(-660)], [-8 * math.exp(-660)]),
    "tanh, tiny": (on_one("tanh"), [1e-20], [1.0], [-2e-20]),
    "asin, tiny": (on_one("asin"), [1e-20], [1.0], [1e-20]),
    "acos, tiny": (on_one("acos"), [1e-20], [-1.0], [-1e-20]),
    "atanh, tiny": (on_one("atanh"), [1e-20], [1.0], [2e-20]),
    # remainder
    "remainder at multiples": (on_pair("remainder"), [6.0, 2.0], [1.0, -3.0], ZEROS2),
    "remainder, negative": (on_pair("remainder"), [-5.0, 2.0], [1.0, 3.0], ZEROS2),
    "remainder of 0": (on_pair("remainder"), [0.0, 2.0], [1.0, 0.0], ZEROS2),
    # broadcasting, sums, differences
    "broadcast of size 1": (lambda xp, x: xp.broadcast_to(x, (4, 1)) * x, [3.0], [24.0], [8.0]),
    "sum over no axes": (lambda xp, x: xp.sum(x * x, axis=(), keepdims=True), [3.0, 0.0], [6.0, 0.0], [2.0, 2.0]),
    "cumulative_sum": (on_one("cumulative_sum", include_initial=True), [1.0, 2.0, 3.0], [3.0, 2.0, 1.0], ZEROS3),
    "diff, n=0": (on_one("diff", n=0), [1.0, 2.0], [1.0, 1.0], ZEROS2),
    "diff, n=2": (on_one("diff", n=2), [1.0, 4.0, 2.0], [1.0, -2.0, 1.0], ZEROS3),
}
# in reverse, the infinite derivative of sqrt at 0 reaches the branch that was not taken, and ends there
SELECTED = {
    "maximum": lambda xp, x: xp.maximum(x, xp.zeros_like(x)),
    "minimum": lambda xp, x: -xp.minimum(-x, xp.zeros_like(x)),
    "clip": lambda xp, x: xp.clip(x, 0.0),
    "clip, array bounds": lambda xp, x: xp.clip(x, xp.zeros_like(x)),
    "max": lambda xp, x: xp.max(xp.stack([x, xp.zeros_like(x)]), axis=0),
    "min": lambda xp, x: -xp.min(xp.stack([-x, xp.zeros_like(x)]), axis=0),
}
DOUBLE_ONLY = [name for name in CASES if "1e200" in name or "1e-200" in name or "second order" in name]


def as_complex(xp, x):
    dtype = xp.complex64 if x.dtype == xp.float32 else xp.complex128
    return xp.astype(x[0], dtype) + 1j * xp.astype(x[1], dtype)


def directional(f, x, units):
    """The derivative of f along each unit vector, by forward mode."""
    return [arrmb.jvp(f, (x,), (e,))[1] for e in units]


@pytest.mark.filterwarnings("ignore:.*(divide by zero|invalid value).*:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_corner(backend, name, dtype):
    if dtype == "float32" and name in DOUBLE_ONLY:
        return
    f, at, gradient, hessian = CASES[name]
    x = backend.put(np.asarray(at), dtype)
    units = [backend.put(row, dtype) for row in np.eye(len(at))]
    eps = np.finfo(dtype).eps
    sizes = np.abs(np.concatenate([np.ravel(gradient), np.ravel(0.0 if hessian is None else hessian)]))
    # some zeros are differences of terms of that size; of one entry, there are none
    atol = eps * np.max(sizes[np.isfinite(sizes)], initial=0.0) if len(at) > 1 else 0.0

    def total(x):
        xp = arrmb.namespace(x)
        y = f(xp, x)
        return xp.sum(y) if y.ndim else y

    def same(found, expected, mode):
        found = np.stack([np.asarray(backend.get(v)) for v in found])
        np.testing.assert_allclose(found, expected, rtol=4 * eps, atol=atol, err_msg=f"{name}: {mode}")

    def forward(x):
        return directional(total, x, units)

    gradient_of_total = arrmb.grad(total)
    reverse = gradient_of_total(x)
    assert reverse.dtype == x.dtype
    same([reverse], [gradient], "reverse")
    same(forward(x), gradient, "forward")
    if hessian is None:
        return
    h = np.diag(hessian) if np.ndim(hessian) == 1 else np.asarray(hessian)
    same(directional(gradient_of_total, x, units), h, "forward over reverse")
    same([arrmb.vjp(gradient_of_total, x)[1](e)[0] for e in units], h, "reverse over reverse")
    for i, e in enumerate(units):
        slope = lambda x, e=e: arrmb.jvp(total, (x,), (e,))[1]  # noqa: E731
        same([arrmb.grad(slope)(x)], h[i : i + 1], "reverse over forward")
        same(directional(slope, x, units), h[i], "forward over forward")


@pytest.mark.filterwarnings("ignore:.*divide by zero.*:RuntimeWarning")
@pytest.mark.parametrize("name", SELECTED)
def test_infinite_cotangent_of_what_was_not_selected(backend, name):
    def f(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.sqrt(SELECTED[name](xp, x)))

    np.testing.assert_array_equal(
        backend.get(arrmb.grad(f)(backend.put(np.asarray([-1.0, 4.0]), "float64"))), [0, 0.25]
    )


@pytest.mark.parametrize("p", [0, 1, 2, 3, 4, 2.0, 3.0])
@pytest.mark.parametrize("as_array", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128", "complex64"])
def test_whole_powers_to_third_order(backend, p, as_array, dtype):
    at = np.asarray([0.0, -2.0])
    x = backend.put(at, dtype)
    ones = backend.put(np.ones(2), dtype)

    def f(x):
        xp = arrmb.namespace(x)
        return xp.pow(x, xp.full_like(x, p)) if as_array else x**p

    def derivative(f):
        return lambda x: arrmb.jvp(f, (x,), (ones,))[1]

    def pullback(f):
        return lambda x: arrmb.vjp(f, x)[1](ones)[0]

    polynomial = np.polynomial.Polynomial([0.0] * int(p) + [1.0])
    # a pullback of a complex function conjugates: its own derivative is not the second derivative of f
    for d in (derivative,) if "complex" in dtype else (derivative, pullback):
        g = f
        for order in (1, 2, 3):
            g = d(g)
            expected = polynomial.deriv(order)(at)
            np.testing.assert_allclose(backend.get(g(x)), expected, rtol=4 * np.finfo(dtype).eps)


EMPTY = {
    "sum": lambda xp, x: xp.sum(x, axis=1),
    "sum, all": lambda xp, x: xp.sum(x),
    "prod": lambda xp, x: xp.prod(x, axis=1),
    "mean": lambda xp, x: xp.mean(x, axis=1, keepdims=True),
    "var": lambda xp, x: xp.var(x, axis=(0, 1)),
    "std": lambda xp, x: xp.std(x, axis=1),
    "max": lambda xp, x: xp.max(x, axis=0),
    "min": lambda xp, x: xp.min(x, axis=0, keepdims=True),
    "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=1, include_initial=True),
    "cumulative_prod": lambda xp, x: xp.cumulative_prod(x, axis=1, include_initial=True),
    "diff": lambda xp, x: xp.diff(x, axis=0),
    "logaddexp": lambda xp, x: xp.logaddexp(x, x),
    "clip": lambda xp, x: xp.clip(x, x, 1.0),
    "maximum": lambda xp, x: xp.maximum(x, x),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_axes(backend, name):
    x = backend.put(np.zeros((2, 0)), "float64")

    def f(x):
        return EMPTY[name](arrmb.namespace(x), x)

    y, pull = arrmb.vjp(f, x)
    assert pull(y)[0].shape == x.shape
    y, dy = arrmb.jvp(f, (x,), (x,))
    assert y.shape == dy.shape
    if name in ("mean", "var", "std"):
        assert np.all(np.isnan(backend.get(y)))


def test_diff_of_order_0_is_an_array_of_its_own(backend):
    x = backend.put(np.asarray([1.0, 2.0]), "float64")

    def f(x):
        y = arrmb.namespace(x).diff(x, n=0, prepend=x)
        y[0] = 5.0
        return arrmb.namespace(x).sum(y * x)

    np.testing.assert_array_equal(backend.get(arrmb.grad(f)(x)), [5.0, 4.0])


def test_remainder_belongs_to_its_value(backend):
    """1 % 0.1 is 0.1, less rounding: 9 times 0.1 have been taken off, though 1 / 0.1 rounds to 10."""
    a, b = (backend.put(np.asarray(v), "float64") for v in (1.0, 0.1))
    y, pull = arrmb.vjp(lambda a, b: a % b, a, b)
    expected = -np.round((1.0 - float(backend.get(y))) / 0.1)
    assert float(backend.get(pull(y * 0.0 + 1.0)[1])) == expected
    assert expected == (-10.0 if backend.name == "cupy" else -9.0)  # its remainder is 1 - 0.1 floor(1 / 0.1) = 0


def test_variance_of_complex_arrays(backend):
    z = np.asarray([1.0 + 2.0j, 3.0 - 1.0j, 0.5j])
    x = backend.put(z, "complex128")

    def f(x):
        return arrmb.namespace(x).var(x)

    y, pull = arrmb.vjp(f, x)
    np.testing.assert_allclose(backend.get(y), np.var(z), rtol=1e-15)
    one = y * 0.0 + 1.0
    np.testing.assert_allclose(backend.get(pull(one)[0]), 2 / 3 * (z - np.mean(z)), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("at", [0.0, 1e-3, 0.5, 0.75, -0.75])
@pytest.mark.parametrize("name", ["tanh", "atanh", "asin"])
def test_third_order_where_formulas_meet(backend, name, at, dtype):
    """The derivative is written in two ways, each where it is exact: to all orders, on either side and at the seam."""
    mpmath = pytest.importorskip("mpmath")
    x, one = (backend.put(np.asarray([v]), dtype) for v in (at, 1.0))

    def f(x):
        return getattr(arrmb.namespace(x), name)(x)

    for order in (1, 2, 3):
        f = lambda x, f=f: arrmb.jvp(f, (x,), (one,))[1]  # noqa: E731
        with mpmath.workdps(50):
            expected = float(mpmath.diff(getattr(mpmath, name), mpmath.mpf(at), order))
        np.testing.assert_allclose(backend.get(f(x)), [expected], rtol=1e-14, atol=1e-20)


def test_clip_of_a_constant(backend):
    """Bounds on a trace, and an array that is not."""
    x = backend.put(np.asarray([0.5, 1.0, 2.0]), "float64")
    one = backend.put(np.ones(3), "float64")
    for mode, expected in (("min", [0.0, 0.0, 1.0]), ("max", [1.0, 0.0, 0.0])):
        _, pull = arrmb.vjp(lambda x, mode=mode: arrmb.namespace(x).clip(one, **{mode: x}), x)
        np.testing.assert_array_equal(backend.get(pull(one)[0]), expected)


COMPLEX = {  # name -> derivative at a large z in the first quadrant, where z² overflows
    "asinh": lambda z: 1 / z,
    "acosh": lambda z: 1 / z,
    "asin": lambda z: 1j / z,  # sqrt(1 - z²) = -i z
    "acos": lambda z: -1j / z,
    "atanh": lambda z: -1 / z / z,
}


@pytest.mark.parametrize("name", COMPLEX)
@pytest.mark.parametrize("size, dtype", [(1e30, "complex64"), (1e160, "complex128")])
def test_large_complex_numbers(backend, name, size, dtype):
    z = size * (1 + 1j)
    x, one = (backend.put(np.asarray([v]), dtype) for v in (z, 1.0))
    _, dy = arrmb.jvp(lambda x: getattr(arrmb.namespace(x), name)(x), (x,), (one,))
    tiny = np.finfo(dtype).tiny  # the square of 1/z underflows
    np.testing.assert_allclose(backend.get(dy), [COMPLEX[name](z)], rtol=8 * np.finfo(dtype).eps, atol=tiny)
