"""Scalar functions: every first and second divided difference against 60 digits, at far, near and equal points."""

import itertools

import mpmath
import numpy as np
import pytest

from arrmb._xp import eps
from arrmb.ops import scalar


def _softplus(x):
    return mpmath.log1p(mpmath.exp(-abs(x))) + max(x, 0)


def _rectify(low):
    return lambda x: max(x, mpmath.mpf(low))


def _power(p):
    return scalar.power(p), lambda x: x ** mpmath.mpf(p) if x else mpmath.mpf(p == 0)


# name: kernel, f at 60 digits
POSITIVE = {
    "inverse": (scalar.inverse, lambda x: 1 / x),
    "log": (scalar.log, mpmath.log),
    "sqrt": (scalar.sqrt, mpmath.sqrt),
    "invsqrt": (scalar.invsqrt, lambda x: 1 / mpmath.sqrt(x)),
    **{f"power {p}": _power(p) for p in (1 / 3, 0.5, 1e-3, -1.5, -2.0, 0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 7.0)},
}
REAL = {
    "exp": (scalar.exp, mpmath.exp),
    "tanh": (scalar.tanh, mpmath.tanh),
    "softplus": (scalar.softplus, _softplus),
}
PIECEWISE = {
    "clamp": (scalar.clamp(0.5), _rectify(0.5)),
    "abs": (scalar.absolute, abs),
}
GAPS = (1e-16, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.06, 0.12, 0.13, 0.24, 0.26, 0.5, 1.0)
GAPS += (2.0, 10.0, 1e3, 1e6, 1e12)
APART = mpmath.mpf(10) ** -25  # between equal points, relative: resolved by 90 digits, and changes nothing in 16


def exact(f, points):
    """f[points] with equal points moved apart, and the largest of its terms: what rounding the points changes."""
    points = [mpmath.mpf(float(p)) for p in points]
    for i in range(len(points)):
        while any(points[i] == q for q in points[:i]):
            points[i] += (abs(points[i]) or 1) * APART

    def divided(p):
        return f(p[0]) if len(p) == 1 else (divided(p[:-1]) - divided(p[1:])) / (p[0] - p[-1])

    return divided(points)


def errors(kernel, f, points, dtype, size=lambda points: 0.0):
    """Largest errors of first and second differences at all pairs and triples of the points, in units of rounding.

    Relative to each entry. ``size(points)`` is what a second one that passes through zero is measured against.
    """
    w = np.asarray(points, dtype=dtype)
    first, second = kernel.first(w), np.stack(list(kernel.second(w)), axis=1)
    assert first.dtype == second.dtype == w.dtype
    worst = [0.0, 0.0]
    tiny = float(np.finfo(dtype).tiny) / eps(w)  # underflow
    with mpmath.workdps(200):
        for order, table in ((1, first), (2, second)):
            for index in itertools.combinations_with_replacement(range(len(points)), order + 1):
                p = [w[i] for i in index]
                expected = exact(f, p)
                for i in set(itertools.permutations(index)):
                    error = abs(mpmath.mpf(float(table[i])) - expected)
                    if error:
                        scale = max(abs(expected), size(p) if order == 2 else 0.0, tiny)
                        worst[order - 1] = max(worst[order - 1], float(error / scale))
    return worst[0] / eps(w), worst[1] / eps(w)


def near_and_far(scale, gaps):
    """Two and three points near to one another, and one far from the others."""
    for gap in gaps:
        yield scale, scale * (1 + gap), scale * (1 + 0.3 * gap)
        yield scale, scale * (1 + gap), 3.0 * scale
        yield scale, scale * (1 + gap), 1e-4 * scale


# 3, 8.5 and 100 eps: see the docstring of scalar.py.


@pytest.mark.parametrize("dtype, scales", [("float64", (1e-12, 0.7, 1e12)), ("float32", (1e-5, 0.7, 1e5))])
@pytest.mark.parametrize("name", POSITIVE)
def test_differences_of_functions_of_positive_numbers(name, dtype, scales):
    kernel, f = POSITIVE[name]
    bound = 8.5 if (name, dtype) == ("log", "float32") else 3.0
    gaps = GAPS if dtype == "float64" else GAPS[2:-1:2]
    limit = {"float64": 1e30, "float32": 1e4 if name == "power 7.0" else 1e7}[dtype]  # beyond, f is not representable
    for scale in scales:
        for points in near_and_far(scale, gaps):
            if not 1.0 / limit < min(points) <= max(points) < limit:
                continue
            first, second = errors(kernel, f, points, dtype)
            assert first <= bound and second <= 100.0, (points, first, second)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", REAL)
def test_differences_of_functions_of_real_numbers(name, dtype):
    kernel, f = REAL[name]

    def size(points):  # tanh'' passes through 0 at 0
        if name != "tanh" or min(abs(p) for p in points) > 0.5:
            return 0.0
        return 0.1 / (1.0 + float(max(points) - min(points))) ** 2

    for center in (0.0, 1e-12, -1e-5, 0.3, -0.7, 5.0, -20.0, 20.0):
        for gap in GAPS[1:-3:2]:
            for points in (
                (center, center + gap, center + 0.3 * gap),
                (center, center - gap, center - 12.0),
                (center, center + gap, center + 12.0),
            ):
                first, second = errors(kernel, f, points, dtype, size)
                assert first <= 3.0 and second <= 100.0, (points, first, second)


@pytest.mark.parametrize("name, kink", [("clamp", 0.5), ("abs", 0.0)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_differences_of_functions_with_a_kink(name, kink, dtype):
    kernel, f = PIECEWISE[name]
    numbers = [kink + s * 2.0**p for s in (-1.0, 1.0) for p in (-20, -8, 0, 3)]
    for points in itertools.combinations(numbers, 3):
        first, second = errors(kernel, f, points, dtype)
        assert first <= 3.0 and second <= 8.0, (points, first, second)


def test_conventions_at_a_kink():
    w = np.asarray([0.0, 0.0, 2.0, -4.0])
    np.testing.assert_array_equal(
        scalar.clamp(0.0).first(w), [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1 / 3], [0, 0, 1 / 3, 0]]
    )
    np.testing.assert_array_equal(
        scalar.absolute.first(w), [[0, 0, 1, -1], [0, 0, 1, -1], [1, 1, 1, -1 / 3], [-1, -1, -1 / 3, -1]]
    )
    second = next(iter(scalar.absolute.second(w)))  # f[w_i, 0, w_j]
    np.testing.assert_allclose(
        second, [[0, 0, 0.5, 0.25], [0, 0, 0.5, 0.25], [0.5, 0.5, 0, 1 / 3], [0.25, 0.25, 1 / 3, 0]]
    )
    # eigenvalues that are on the kink to rounding are put there, whatever the signs of their errors
    np.testing.assert_array_equal(scalar.absolute.eigenvalues(np.asarray([-1e-16, 1e-16, 1.0])), [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(scalar.clamp(0.5).eigenvalues(np.asarray([0.5 - 1e-16, 0.25, 1.0])), [0.5, 0.25, 1.0])


@pytest.mark.parametrize("points", [(2e9, 1e9, -1.0), (-2e9, -1e9, 1.0), (3e5, 1.0, -2e5), (1e7, 40.0, 30.0)])
def test_softplus_on_two_sides(points):
    """f' is close to 1 between the two points on the right, and its differences cancel unless taken at -w."""
    first, second = errors(*REAL["softplus"], points, "float64")
    assert first <= 3.0 and second <= 100.0


def test_extremes_of_exponential_functions():
    w = np.asarray([-1e12, -800.0, 0.0, 1e-300, 1e12])
    for kernel in (scalar.tanh, scalar.softplus):
        first, second = kernel.first(w), np.stack(list(kernel.second(w)))
        assert np.all(np.isfinite(first)) and np.all(first >= 0.0) and np.all(np.isfinite(second))
    assert scalar.softplus.first(w)[0, 4] == 0.5
    assert scalar.softplus.first(w)[4, 4] == 1.0
    assert abs(scalar.tanh.first(w)[0, 4] / 1e-12 - 1.0) < 1e-15
    assert np.all(np.isfinite(np.stack(list(scalar.exp.second(w[:-1])))))


@pytest.mark.parametrize("p, slope, curvature", [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 0, 0), (1.5, 0, np.inf)])
def test_power_at_zero(p, slope, curvature):
    w = np.zeros(2)
    kernel = scalar.power(float(p))
    np.testing.assert_array_equal(kernel.first(w), np.full((2, 2), float(slope)))
    np.testing.assert_array_equal(next(iter(kernel.second(w))), np.full((2, 2), float(curvature)))
    np.testing.assert_array_equal(kernel.values(w), np.full(2, float(p == 0)))
