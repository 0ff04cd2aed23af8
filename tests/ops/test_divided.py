"""Divided differences: recursion over the widest gap, series, and quadrature for functions that a user gives."""

import itertools

import mpmath
import numpy as np
import pytest

from arrmb._xp import namespace
from arrmb.ops import divided, scalar


def exact(f, points):
    """f[points] at 120 digits, equal points moved apart by 1e-20."""
    with mpmath.workdps(120):
        points = [mpmath.mpf(float(p)) for p in points]
        for i in range(len(points)):
            while any(points[i] == q for q in points[:i]):
                points[i] += mpmath.mpf(10) ** -20

        def of(p):
            return f(p[0]) if len(p) == 1 else (of(p[:-1]) - of(p[1:])) / (p[0] - p[-1])

        return float(of(points))


def slices(kernel, w):
    """f[w_i, w_k, w_j] at index i, k, j."""
    return np.stack(list(kernel.second(w)), axis=1)


FUNCTIONS = {
    "x/(3+x²)": (lambda x: x / (3.0 + x * x), lambda x: x / (3 + x * x)),
    "exp": (lambda x: namespace(x).exp(x), mpmath.exp),
    "1/(1+e^-x)": (lambda x: 1.0 / (1.0 + namespace(x).exp(-x)), lambda x: 1 / (1 + mpmath.exp(-x))),
    "x³ - x": (lambda x: x * x * x - x, lambda x: x**3 - x),
    "1": (lambda x: 1.0, lambda x: mpmath.mpf(1)),
    "x": (lambda x: x, lambda x: x),
}
GAPS = [0.0, 1e-16, 1e-12, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 0.5, 1.0, 3.0, 10.0]


# Where the integral and the quotient meet, at a gap g with (g/scale)^9 = eps/g, the error is eps/g² of the size of f:
# the figure for second differences. First ones meet at (g/scale)^16 = eps/g.


@pytest.mark.parametrize("dtype, first, second", [("float64", 2e-15, 3e-13), ("float32", 1e-6, 1e-5)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_quadrature(name, dtype, first, second):
    kernel = scalar.UserFunction("user", FUNCTIONS[name][0])
    f = FUNCTIONS[name][1]
    for center, gap in itertools.product((0.7, -0.2), GAPS):
        w = np.asarray([center, center + gap, center + 0.3 * gap], dtype=dtype)
        size = max(1.0, *np.abs(kernel.values(w)))
        table = kernel.first(w)
        assert table.dtype == w.dtype
        for i, j in itertools.product(range(3), repeat=2):
            assert abs(table[i, j] - exact(f, [w[i], w[j]])) <= first * size, (w, i, j)
        table = slices(kernel, w)
        assert table.dtype == w.dtype
        for i, j, k in itertools.combinations_with_replacement(range(3), 3):
            expected = exact(f, [w[i], w[j], w[k]])
            for index in itertools.permutations((i, j, k)):
                assert abs(table[index] - expected) <= second * size, (w, index)


def test_quadrature_on_two_sides_of_a_pole():
    w = np.asarray([-1.0, 1.0, 1.0 + 1e-12, -3.0, 1e-3])
    kernel = scalar.UserFunction("user", lambda x: 1.0 / x)  # no node is at 0
    np.testing.assert_allclose(kernel.first(w), scalar.inverse.first(w), rtol=1e-10)
    np.testing.assert_allclose(slices(kernel, w)[:4, :4, :4], slices(scalar.inverse, w)[:4, :4, :4], rtol=1e-7)


def test_quadrature_across_a_kink():
    kernel = scalar.UserFunction("user", lambda x: namespace(x).abs(x))
    w = np.asarray([-2.0, -1e-7, 1e-7, 3e-7, 1.0])
    np.testing.assert_allclose(kernel.first(w), scalar.absolute.first(w), atol=2e-8)
    np.testing.assert_allclose(slices(kernel, w), slices(scalar.absolute, w), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tiny", [1e-30, 1e-12, 1.0])
def test_recursion_takes_the_widest_gap(tiny):
    """Of x², whose first differences are sums: numerator = gap, also where products of gaps underflow."""
    w = np.asarray([3.0, 1.0, -2.0, 1.0, 7.0], dtype=np.float32) * tiny
    first = w[:, None] + w[None, :]
    for k, (numerator, gap) in enumerate(divided.recursion(w, first)):
        points = np.stack(np.broadcast_arrays(w[:, None], w[None, :], w[k]))
        np.testing.assert_array_equal(np.abs(gap), np.max(points, axis=0) - np.min(points, axis=0))
        np.testing.assert_allclose(numerator, gap, rtol=1e-6)


def test_batches_have_scales_of_their_own(backend):
    w = np.asarray([[1e-9, 2e-9, 2e-9 * (1 + 1e-12)], [1.0, 1.0, 5e8]])
    for kernel in (scalar.log, scalar.power(0.3), scalar.UserFunction("user", lambda x: x / (1e-9 + x))):
        together = backend.get(backend.xp.stack(list(kernel.second(backend.put(w, "float64")))))
        for i in range(2):
            alone = np.stack(list(kernel.second(w[i])))
            np.testing.assert_allclose(together[:, i], alone, rtol=1e-12)


@pytest.mark.parametrize(
    "f, exact_f, w",
    [
        (lambda x: x**-2.0, lambda x: x**-2, (1e-6, 1.5e-6, 1.0, 1.0 + 1e-6, 1.3, 30.0)),
        (lambda x: namespace(x).exp(x), mpmath.exp, (0.0, 1e-9, -10.0, 3.0, 3.0 + 1e-7, 35.0)),
        (lambda x: namespace(x).log(x), mpmath.log, (1e-6, 1.5e-6, 1.0, 1.0 + 1e-6, 1.3, 30.0)),
    ],
)
def test_quadrature_of_a_function_of_large_range(f, exact_f, w):
    """Every entry by its own size: what f is elsewhere does not let an inaccurate integral pass.

    The quotient over a relative gap of 0.3 loses a digit of first differences and two of second ones; near ties are
    integrals, and lose none.
    """
    w, kernel = np.asarray(w), scalar.UserFunction("user", f)
    first, second = kernel.first(w), slices(kernel, w)
    for i, j, k in itertools.combinations_with_replacement(range(len(w)), 3):
        expected = exact(exact_f, [w[i], w[j]])
        # 1e-13: points that are equal are moved apart by 1e-20 for the truth, which is 1e-14 of the smallest
        assert abs(first[i, j] - expected) <= 1e-13 * abs(expected), (i, j)
        expected = exact(exact_f, [w[i], w[j], w[k]])
        assert abs(second[i, j, k] - expected) <= 1e-12 * abs(expected), (i, j, k)
