"""Sign iteration: Lyapunov equations and square roots with products only, and their derivatives of the exact root."""

import mpmath
import numpy as np
import pytest
import scipy.linalg

import arrmb
from arrmb._xp import H
from arrmb.ops.sign_iteration import lyapunov, scales, sign_root, steps_for
from arrmb.testing import Draw

SPECTRUM = [0.3, 0.7, 1.0, 2.5]
TIED = [1.0, 1.0, 1.0, 3.0]


def with_spectrum(w):
    return lambda d: (d.hermitian(w),)


def roots(x):
    w, v = np.linalg.eigh(x)
    return tuple((v * u[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2)) for u in (np.sqrt(w), 1.0 / np.sqrt(w)))


def test_sign_root(check):
    at = [with_spectrum(TIED), with_spectrum([2.0] * 4), lambda d: (d.hermitian([0.5]),)]
    check(sign_root, with_spectrum(SPECTRUM), params={"iterations": 8}, reference=roots, at=at)


def test_lyapunov(check):
    def reference(s, g):
        g = 0.5 * (g + np.conj(np.swapaxes(g, -1, -2)))
        return scipy.linalg.solve_continuous_lyapunov(s, g)

    at = [lambda d, w=w: (d.hermitian(w), d.normal(4, 4)) for w in (TIED, [2.0] * 4)]
    inputs = lambda d: (d.hermitian(SPECTRUM), d.normal(4, 4))  # noqa: E731
    check(lyapunov, inputs, params={"iterations": 8}, reference=reference, at=at)


def test_lyapunov_equation_of_a_batch_with_a_broadcast_side(backend):
    s = backend.put(Draw(1).hermitian(SPECTRUM), "float64")
    g = backend.put(Draw(2, batch=(3,)).normal(4, 4), "float64")
    y = lyapunov(s, g, iterations=9)
    np.testing.assert_allclose(backend.get(s @ y + y @ s), backend.get(0.5 * (g + H(g))), atol=1e-14)


def mp_derivatives(x, e, inverse):
    """First and second derivative of the root along e from their defining equations, at 50 digits.

    S² = X:  S S' + S' S = E,  S S'' + S'' S = -2 S'²;  W S = I:  W' = -W S' W,  W'' = -W' S' W - W S'' W - W S' W'.
    """
    n = len(x)
    with mpmath.workdps(50):
        x, e = mpmath.matrix(x.tolist()), mpmath.matrix(e.tolist())
        s = mpmath.sqrtm(x)

        def solve(g):
            k = mpmath.zeros(n * n)
            for i in range(n * n):
                unit = mpmath.zeros(n)
                unit[i // n, i % n] = 1
                y = s * unit + unit * s
                for j in range(n * n):
                    k[j, i] = y[j // n, j % n]
            v = mpmath.lu_solve(k, mpmath.matrix([g[i // n, i % n] for i in range(n * n)]))
            return mpmath.matrix([[v[i * n + j] for j in range(n)] for i in range(n)])

        d = solve(e)
        d2 = solve(-2 * d * d)
        if inverse:
            w = s**-1
            dw = -w * d * w
            d, d2 = dw, -dw * d * w - w * d2 * w - w * d * dw
        return [np.asarray(v.tolist(), dtype=float).reshape(n, n) for v in (d, d2)]


@pytest.mark.parametrize("inverse", [False, True])
def test_derivatives_against_mpmath(inverse):
    x, e = Draw(3).hermitian(SPECTRUM), Draw(4).hermitian([-1.0, 0.3, 0.5, 1.0])

    def first(x):
        return arrmb.jvp(lambda x: sign_root(x, iterations=9)[inverse], (x,), (e,))[1]

    for found, truth in zip((first(x), arrmb.jvp(first, (x,), (e,))[1]), mp_derivatives(x, e, inverse)):
        assert np.linalg.norm(found - truth) <= 1e-13 * np.linalg.norm(truth)


@pytest.mark.parametrize("iterations, low", [(7, 1e-1), (10, 1e-2), (13, 1e-3), (18, 10**-4.5)])
def test_scales(iterations, low):
    """So many steps take the whole interval to 1, half as many as without scaling; and never below where they began."""
    eps = np.finfo(float).eps
    assert steps_for(low, eps) <= iterations
    x = np.geomspace(low, 1.0, 1000)
    schedule = scales(iterations, eps)
    for scale in schedule:
        x = 0.5 * scale * x * (3.0 - (scale * x) ** 2)
        assert np.min(x) >= low
    np.testing.assert_allclose(x, 1.0, rtol=1e-15)
    assert list(schedule) == sorted(schedule, reverse=True) and schedule[0] <= 1.5 and schedule[-1] >= 1.0


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_in_single_precision(backend, scale):
    """The root is homogeneous of degree ½, its gradient of degree -½."""
    x, g = Draw(1).hermitian(SPECTRUM), Draw(2).normal(4, 4)

    def gradient(c):
        y, pullback = arrmb.vjp(lambda x: sign_root(x, iterations=8)[0], backend.put(c * x, "float32"))
        return backend.get(y), backend.get(pullback(backend.put(g, "float32"))[0])

    (y, xbar), (y_scaled, xbar_scaled) = gradient(1.0), gradient(scale)
    np.testing.assert_allclose(y_scaled / np.sqrt(scale), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(xbar_scaled * np.sqrt(scale), xbar, rtol=1e-4, atol=1e-5)
