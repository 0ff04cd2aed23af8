"""Elementwise functions of one array."""

import mpmath
import numpy as np
import pytest

import arrmb
from arrmb.ops import elementwise

HOLOMORPHIC = (
    "exp expm1 log log1p log2 log10 sqrt square reciprocal sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "negative"
)
NUMPY = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
}


@pytest.mark.parametrize("name", HOLOMORPHIC.split())
def test_holomorphic(check, name):
    low = 1.2 if name == "acosh" else 0.2

    def inputs(d):
        x = d.uniform(low, low + 0.6, 3, 2)
        return (x + 0.3j * d.uniform(0.5, 1.0, 3, 2) if d.complex else x,)

    def negative(d):  # the left half plane
        return (-inputs(d)[0],)

    on_the_left = defined_on_the_left(name, check.dtype)
    check(
        getattr(elementwise, name),
        inputs,
        reference=getattr(np, NUMPY.get(name, name)),
        at=[negative] if on_the_left else [],
    )


def defined_on_the_left(name, dtype):
    if dtype.startswith("complex"):
        return name != "log1p"  # 1 + x is near 0 there: ill-conditioned in float32
    return name in "exp expm1 square reciprocal sin cos tan asin acos atan sinh cosh tanh asinh atanh negative".split()


def test_abs(check):
    def inputs(d):
        x = d.normal(3, 4)
        return (x + 0.5 * np.sign(x) if not d.complex else x + 1.0 + 1.0j,)

    check(elementwise.abs, inputs, reference=np.abs)


def test_abs_at_zero(check):
    """The derivative is 0 there, in both directions, and neither warns nor is NaN."""
    zero = check.backend.put(np.zeros(2, dtype=check.dtype), check.dtype)
    _y, pullback = arrmb.vjp(elementwise.abs, zero)
    one = check.backend.put(np.ones(2), check.dtype)
    np.testing.assert_array_equal(check.backend.get(pullback(one)[0]), np.zeros(2))
    np.testing.assert_array_equal(check.backend.get(arrmb.jvp(elementwise.abs, (zero,), (zero + 1,))[1]), np.zeros(2))


@pytest.mark.parametrize("name", ["real", "imag", "conjugate"])
def test_real_linear_maps(check, name):
    if not check.dtype.startswith("complex") and name != "conjugate":
        pytest.skip("of complex arrays only")
    check(getattr(elementwise, name), lambda d: (d.normal(3, 4),), reference=getattr(np, name))


def test_accuracy_of_small_values(backend):
    """expm1 and log1p exist for small numbers: their derivatives keep all digits there."""
    x = backend.put(np.asarray([1e-12, -1e-12]), "float64")
    for name, second in {"expm1": 1.0, "log1p": -1.0}.items():
        f = lambda x, name=name: arrmb.namespace(x).sum(getattr(elementwise, name)(x))  # noqa: E731
        h = arrmb.hvp(f, (x,), (x,))[0]
        np.testing.assert_allclose(backend.get(h), second * backend.get(x), rtol=1e-11)


def test_tanh_near_saturation(backend):
    """1 - tanh² without cancellation: 1/cosh² to the last digits that y has."""
    x = backend.put(np.asarray([5.0, -6.0]), "float64")
    g = arrmb.grad(lambda x: arrmb.namespace(x).sum(elementwise.tanh(x)))(x)
    # y is within one rounding error of 1, so 1 - |y| keeps eps / (1 - |y|) of relative accuracy: 1e-16 / 1e-5
    np.testing.assert_allclose(backend.get(g), 1 / np.cosh(backend.get(x)) ** 2, rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_tanh_to_the_end_of_the_range(backend, dtype):
    """The derivative 4 e^-2|x| where it is small, and 0 where that is below all numbers."""
    points = {"float64": [200.0, -354.0, 356.0, 400.0], "float32": [30.0, -42.0, 45.0, 60.0]}[dtype]
    x = backend.put(np.asarray(points), dtype)
    g = backend.get(arrmb.grad(lambda x: arrmb.namespace(x).sum(elementwise.tanh(x)))(x))
    expected = [float(4 * mpmath.exp(-2 * abs(mpmath.mpf(p)))) for p in points]
    # t = e^-|x| has a relative error of 1 u, and the square doubles that of 2t/(1 + t²); subnormal numbers have fewer
    # digits (and PyTorch may set them to 0 in single precision)
    info = np.finfo(dtype)
    np.testing.assert_allclose(g, expected, rtol=8 * info.eps, atol=info.smallest_normal)


@pytest.mark.parametrize("mode", ["grad", "jvp"])
def test_tanh_derivatives_of_many_orders(backend, mode):
    """Polynomials in y = tanh, P' (1 - y²) from P, also at 0 and close to it, where |x| has a kink."""
    points = [0.0, -0.0, 1e-20, -1e-20, 0.3, -2.0]
    f, exact, x = elementwise.tanh, np.polynomial.Polynomial([0, 1]), backend.put(np.asarray(points), "float64")
    with mpmath.workdps(40):
        y = [mpmath.tanh(p) for p in points]
    for _ in range(6):
        if mode == "grad":
            f = arrmb.grad(lambda x, f=f: arrmb.namespace(x).sum(f(x)))
        else:
            f = lambda x, f=f: arrmb.jvp(f, (x,), (arrmb.namespace(x).ones_like(x),))[1]  # noqa: E731
        exact = exact.deriv() * np.polynomial.Polynomial([1, 0, -1])
        with mpmath.workdps(40):
            expected = [float(sum(int(c) * v**k for k, c in enumerate(exact.coef))) for v in y]
        # the terms of a derivative are up to ten times their sum; measured: 1.7e-15
        np.testing.assert_allclose(backend.get(f(x)), expected, rtol=1e-14, atol=0)


def test_tanh_near_a_complex_pole(backend):
    """1/cosh² keeps its digits where cosh is close to 0."""
    x = 0.5j * np.pi + np.asarray([1e-3, 1e-6, 1e-9j])
    z = backend.put(x, "complex128")
    slope = arrmb.jvp(elementwise.tanh, (z,), (backend.put(np.ones(3), "complex128"),))[1]
    expected = [complex(1 / mpmath.cosh(mpmath.mpc(v)) ** 2) for v in x]
    np.testing.assert_allclose(backend.get(slope), expected, rtol=1e-14)
