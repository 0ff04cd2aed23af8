"""Arithmetic: broadcasting, Python scalars on either side, complex numbers, and the corners of the domain."""

import operator

import numpy as np
import pytest

import arrmb
from arrmb.ops import arithmetic
from arrmb.testing import check_grads

OPERATORS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "remainder": operator.mod,
}
SHAPES = {
    "equal": ((2, 3), (2, 3)),
    "row": ((2, 3), (3,)),
    "column": ((2, 1), (2, 3)),
    "both": ((2, 1), (3,)),
    "0-d": ((), (2, 3)),
    "0-d right": ((2, 3), ()),
}


def base(d, shape):
    """Away from zero, from the negative axis and, for remainder, from the jumps."""
    x = d.uniform(1.1, 1.9, *shape)
    return x + 0.4j * d.uniform(-1.0, 1.0, *shape) if d.complex else x


def exponent(d, shape):
    x = d.uniform(0.55, 0.95, *shape)
    return x + 0.4j * d.uniform(-1.0, 1.0, *shape) if d.complex else x


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", [n for n in OPERATORS if n != "remainder"])
def test_operators(check, name, shapes):
    a, b = shapes
    check(
        getattr(arithmetic, name),
        lambda d: (base(d, a), exponent(d, b)),
        reference=OPERATORS[name],
        batch=a == b,
    )


REAL = {"remainder": np.remainder, "atan2": np.arctan2, "hypot": np.hypot, "logaddexp": np.logaddexp}


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", REAL)
def test_real_functions(check_real, name, shapes):
    a, b = shapes
    inputs = lambda d: (base(d, a), exponent(d, b))  # noqa: E731
    at = (
        []
        if name == "remainder"
        else [lambda d: (-base(d, a), exponent(d, b)), lambda d: (exponent(d, a), -base(d, b))]
    )
    check_real(getattr(arithmetic, name), inputs, reference=REAL[name], batch=a == b, at=at)


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_remainder_of_either_sign(check_real, signs):
    check_real(
        arithmetic.remainder,
        lambda d: (signs[0] * d.uniform(2.1, 2.4, 3), signs[1] * d.uniform(0.9, 1.0, 3)),
        reference=np.remainder,
    )


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_larger_and_smaller(check_real, name, shapes):
    a, b = shapes

    def inputs(d):  # steps of 0.2 keep the two apart, 0.1 from a tie
        return (np.round(d.real(*a) * 5) / 5, np.round(d.real(*b) * 5) / 5 + 0.1)

    check_real(getattr(arithmetic, name), inputs, reference=getattr(np, name), batch=a == b)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_give_half_to_each_side(backend, name):
    op = getattr(arithmetic, name)
    x = backend.put(np.asarray([1.0, 2.0, 0.0]), "float64")
    y = backend.put(np.asarray([1.0, 3.0, -0.0]), "float64")
    ones = backend.put(np.ones(3), "float64")
    xbar, ybar = (backend.get(v) for v in arrmb.vjp(op, x, y)[1](ones))
    np.testing.assert_array_equal(xbar, [0.5, 0.0 if name == "maximum" else 1.0, 0.5])
    np.testing.assert_array_equal(xbar + ybar, np.ones(3))
    # a tie of an array with itself, and with a number: max(x, x) = x
    np.testing.assert_array_equal(backend.get(arrmb.vjp(lambda x: op(x, x), x)[1](ones)[0]), np.ones(3))
    zero = arrmb.vjp(lambda x: getattr(arrmb.namespace(x), name)(x, 1.0), x)[1](ones)[0]
    assert backend.get(zero)[0] == 0.5


# ---------------------------------------------------------------------------------------------- Python scalars


@pytest.mark.parametrize("scalar", [2, 2.0, 0.5, -1.5, 3])
@pytest.mark.parametrize("name", OPERATORS)
def test_python_scalars(backend, name, scalar):
    x = backend.put(np.asarray([[0.46, 0.71], [1.13, 1.87]]), "float64")
    single = backend.put(np.asarray([[0.46, 0.71], [1.13, 1.87]]), "float32")
    f = OPERATORS[name]
    for g in (lambda x: f(x, scalar), lambda x: f(scalar, x)):
        if name == "power" and g(1.0) == scalar and scalar < 0:
            continue  # a negative number to a real power
        check_grads(g, (x,))
        y, pullback = arrmb.vjp(g, single)
        assert y.dtype == g(single).dtype == single.dtype
        np.testing.assert_array_equal(backend.get(y), backend.get(g(single)))
        assert pullback(single)[0].dtype == single.dtype


@pytest.mark.parametrize("name", [n for n in OPERATORS if n != "remainder"])
def test_complex_scalars(backend, name):
    z = backend.put(np.asarray([0.3 + 0.1j, 0.7 - 0.4j]), "complex128")
    f = OPERATORS[name]
    for scalar in (1.5 - 0.5j, 2.0, 3):
        check_grads(lambda z, s=scalar: f(z, s), (z,))
        check_grads(lambda z, s=scalar: f(s, z), (z,))


def test_real_and_complex_meet(backend):
    """The cotangent of the real operand is real."""
    x = backend.put(np.asarray([0.3, 0.7]), "float64")
    z = backend.put(np.asarray([0.3 + 0.1j, 0.7 - 0.4j]), "complex128")
    for name in ("add", "subtract", "multiply", "divide"):
        f = OPERATORS[name]
        check_grads(f, (x, z))
        check_grads(f, (z, x))
    assert arrmb.vjp(operator.mul, x, z)[1](z)[0].dtype == x.dtype


# ------------------------------------------------------------------------------------------------------- power


def test_power_at_zero(backend):
    """x², x¹ and x⁰ at 0: derivatives as of the polynomials, though log(0) and 0^-1 are about."""
    x = backend.put(np.asarray([0.0, 2.0]), "float64")
    xp = backend.xp

    def total(f):
        return lambda x: arrmb.namespace(x).sum(f(x))

    for exponent in (0, 1, 2, 3, 0.0, 1.0, 2.0, 3.0):
        n = float(exponent)
        tensor = xp.full((2,), n, dtype=x.dtype, device=backend.device)
        for f in (lambda x, p=exponent: x**p, lambda x, p=tensor: x**p):
            first = [0.0 if n != 1 else 1.0, n * 2.0 ** (n - 1)]
            np.testing.assert_array_equal(backend.get(arrmb.grad(total(f))(x)), first)
            second = [2.0 if n == 2 else 0.0, n * (n - 1) * 2.0 ** (n - 2)]
            if n != 1 or exponent is not tensor:
                h = arrmb.jacobian(arrmb.grad(total(f)))(x)
                np.testing.assert_allclose(backend.get(h), np.diag(second), rtol=1e-15)
    # in the exponent: 0^b is 0 around b > 0
    b = xp.full((2,), 1.5, dtype=x.dtype, device=backend.device)
    g = arrmb.grad(total(lambda b: arrmb.namespace(b).pow(x, b)))(b)
    np.testing.assert_allclose(backend.get(g), [0.0, np.log(2.0) * 2**1.5], rtol=1e-15)


def test_power_of_negative_numbers(backend):
    """A constant whole exponent: no logarithm of the base comes in."""
    x = backend.put(np.asarray([-2.0, -0.5]), "float64")
    for p in (2, 3, -1, -2, 2.0):
        check_grads(lambda x, p=p: x**p, (x,))
        check_grads(lambda x, p=p: arrmb.namespace(x).pow(x, p), (x,))


# ------------------------------------------------------------------------------------------------ where and clip


def test_where(check):
    mask = np.asarray([[True, False, True], [False, False, True]])
    for a, b in (((2, 3), (2, 3)), ((3,), (2, 3)), ((2, 1), ()), ((), (2, 1))):

        def inputs(d, a=a, b=b):
            return d.normal(*a), d.normal(*b)

        check(_where_op(check, mask), inputs, reference=lambda x, y: np.where(mask, x, y), batch=False)


def _where_op(check, mask):
    """`where` with its condition fixed: the checker draws floating-point arguments only."""
    condition = check.backend.put(mask, check.dtype)
    op = arithmetic.where

    def forward(a, b):
        return op.forward(condition, a, b)

    return arrmb.Op("where", forward, op.variation[1:], op.adjoint[1:])


def test_where_keeps_nan_out(backend):
    """Where a branch that is not taken has an infinite derivative, an inner where keeps it out."""
    x = backend.put(np.asarray([0.0, 4.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        safe = xp.where(x > 0, x, 1.0)
        return xp.sum(xp.where(x > 0, xp.sqrt(safe), 0.0))

    np.testing.assert_array_equal(backend.get(arrmb.grad(f)(x)), [0.0, 0.25])


@pytest.mark.parametrize("low, high", [(-0.5, 0.5), (None, 0.5), (-0.5, None), (None, None), (0, 1)])
def test_clip(check_real, low, high):
    def inputs(d):
        return (np.round(d.real(3, 4) * 5) / 5 + 0.05,)  # 0.05 from a bound

    reference = (lambda x: x) if low is high is None else (lambda x: np.clip(x, low, high))
    check_real(arithmetic.clip, inputs, params={"low": low, "high": high}, reference=reference)


def test_clip_at_its_bounds(backend):
    """Both bounds belong to the inside, where the derivative is 1."""
    x = backend.put(np.asarray([-1.0, 0.0, 0.5, 1.0, 2.0]), "float64")
    g = arrmb.grad(lambda x: arrmb.namespace(x).sum(arrmb.namespace(x).clip(x, 0.0, 1.0)))(x)
    np.testing.assert_array_equal(backend.get(g), [0.0, 1.0, 1.0, 1.0, 0.0])


def test_nextafter(check_real):
    """One rounding error beside its first argument, and with its derivative."""
    check_real(arithmetic.nextafter, lambda d: (d.normal(2, 3), d.normal(2, 3)), reference=lambda a, b: a)
