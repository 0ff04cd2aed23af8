"""Polar decomposition: any ties, to second order."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb.ops.polar import polar
from arrmb.testing import Draw, check_op

SPECTRA = [(3, 2, 1, 1), (1, 1, 1, 1), (2, 2, 1, 1 - 1e-12), (1, 1 - 1e-6, 1 - 1e-9, 1)]


def with_values(m, n, values):
    return lambda d: (d.with_singular_values(m, n, values[: min(m, n)]),)


@pytest.mark.parametrize("m, n", [(4, 4), (6, 4), (4, 6), (1, 3), (3, 1)])
def test_polar(check, m, n):
    at = [with_values(m, n, s) for s in SPECTRA]
    check(polar, with_values(m, n, [3.0, 2.0, 1.0, 0.5]), reference=lambda x: scipy.linalg.polar(x), at=at)


@pytest.mark.parametrize("m, n", [(4, 4), (6, 4), (4, 6)])
def test_nearly_singular(m, n):
    """dU grows as 1/s_min, dP does not."""
    x, dx = Draw(0).with_singular_values(m, n, [3.0, 2.0, 1.0, 1e-6]), Draw(1).normal(m, n)
    du, dp = arrmb.jvp(polar, (x,), (dx,))[1]
    assert np.linalg.norm(dp) <= 3.0 * np.linalg.norm(dx)
    assert np.linalg.norm(du) >= 1e5 * np.linalg.norm(dx) or m == n
    check_op(polar, with_values(m, n, [3.0, 2.0, 1.0, 0.03]), loss=100.0)


@pytest.mark.parametrize("m, n", [(4, 4), (5, 4), (4, 5)])
def test_rules_are_finite_at_deficient_rank(check, m, n):
    d = Draw(0, check.dtype.startswith("complex"))
    x, dx = (check.backend.put(v, check.dtype) for v in (d.with_singular_values(m, n, [2, 1, 0, 0]), d.normal(m, n)))
    y, dy = arrmb.jvp(polar, (x,), (dx,))
    xbar = arrmb.vjp(polar, x)[1](dy)[0]
    for v in (*y, *dy, xbar):
        assert np.all(np.isfinite(check.backend.get(v)))


@pytest.mark.parametrize("exponent", [-30, 0, 30])
@pytest.mark.parametrize("m, n", [(4, 3), (3, 4), (4, 4), (2, 2), (1, 1)])
def test_second_order_at_deficient_rank(monkeypatch, m, n, exponent):
    """Of rank one less by rounding alone, and exactly; near that, at 1e-10, there is a second derivative."""
    d = Draw(3)
    k = min(m, n)
    by_rounding = 10.0**exponent * d.normal(m, k - 1) @ d.normal(k - 1, n) if k > 1 else np.zeros((m, n))
    exactly = 10.0**exponent * np.diag([1.0] * max(m, n))[:m, :n] * (np.arange(n) < k - 1)
    regular = 10.0**exponent * d.with_singular_values(m, n, [3.0, 2.0, 1.0, 1e-10][-k:])
    for x in (by_rounding, exactly):
        e = 10.0**exponent * d.normal(m, n)
        for i in range(2):

            def loss(x, i=i):
                return arrmb.namespace(x).sum(polar(x)[i] ** 2 * np.arange(1.0, n + 1.0))

            assert np.all(np.isfinite(arrmb.grad(loss)(x)))
            with pytest.raises(ValueError, match="polar: x is rank deficient to rounding: the second derivative"):
                arrmb.hvp(loss, (x,), (e,))
            assert np.all(np.isfinite(arrmb.hvp(loss, (regular,), (e,))[0]))
            with monkeypatch.context() as patch:
                patch.setattr("arrmb.ops.groups.on_host", lambda x: False)
                patch.setattr("arrmb.ops.spectral.on_host", lambda x: False)
                h = arrmb.hvp(loss, (np.stack([x, regular]),), (np.stack([e, e]),))[0]
            assert np.all(np.isnan(h[0])) and np.all(np.isfinite(h[1]))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3)])
def test_matrices_without_entries(backend, shape):
    x = backend.put(np.zeros(shape), "float64")
    y, pullback = arrmb.vjp(polar, x)
    assert [v.shape for v in y] == [shape, (*shape[:-2], shape[-1], shape[-1])]
    assert pullback(y)[0].shape == shape
    assert [v.shape for v in arrmb.jvp(polar, (x,), (x,))[1]] == [v.shape for v in y]


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("m, n", [(4, 4), (5, 3), (3, 5)])
def test_extreme_scales_in_single_precision(backend, dtype, scale, m, n):
    """U is of degree 0 in X, P of degree 1."""
    d = Draw(1, complex=dtype == "complex64")
    x, dx = d.with_singular_values(m, n, [3.0, 2.0, 1.0, 0.4][: min(m, n)]), d.normal(m, n)
    found = []
    for c in (1.0, scale):
        xs, dxs = backend.put(c * x, dtype), backend.put(dx, dtype)
        (u, p), (du, dp) = arrmb.jvp(polar, (xs,), (dxs,))
        ones = (backend.put(np.ones(u.shape), dtype), None)
        ubar = arrmb.vjp(lambda x: polar(x)[0], xs)[1](ones[0])[0]
        pbar = arrmb.vjp(lambda x: polar(x)[1], xs)[1](backend.put(np.ones(p.shape), dtype))[0]
        parts = [(0, u), (-1, p), (1, du), (0, dp), (1, ubar), (0, pbar)]
        found.append([c**power * backend.get(v).astype("complex128") for power, v in parts])
    for at_one, at_scale in zip(*found):
        assert np.linalg.norm(at_scale - at_one) <= 2e-5 * np.linalg.norm(at_one)


@pytest.mark.parametrize("values", [(1, 1, 1), (2, 1, 1), (2, 1, 1 - 1e-9), (3, 2, 1)])
@pytest.mark.parametrize("m", [3, 4])
def test_against_fifty_digits(values, m):
    """U = X (X^T X)^-1/2 by Newton's iteration in 60 digits, differences in steps of 1e-12."""
    d = Draw(2)
    x, e, f = d.with_singular_values(m, 3, values), d.normal(m, 3), d.normal(m, 3)
    g, k = d.normal(m, 3), d.normal(3, 3)

    def loss(x):
        u, p = polar(x)
        return arrmb.namespace(x).sum(u * g) + arrmb.namespace(x).sum(p * k)

    with mpmath.workdps(60):
        xm, em, fm, gm, km = (mpmath.matrix(v.tolist()) for v in (x, e, f, g, k))

        def exact(t, r):
            a = xm + t * em + r * fm
            b = a.T * a
            root = mpmath.eye(3)
            for _ in range(12):  # Newton for the square root of b, which is well conditioned
                root = (root + root**-1 * b) / 2
                root = (root + root.T) / 2
            u = a * root**-1
            return sum(u[i, j] * gm[i, j] for i in range(m) for j in range(3)) + sum(
                root[i, j] * km[i, j] for i in range(3) for j in range(3)
            )

        h = mpmath.mpf(10) ** -12
        slope = float((exact(h, 0) - exact(-h, 0)) / (2 * h))
        curvature = float((exact(h, h) - exact(h, -h) - exact(-h, h) + exact(-h, -h)) / (4 * h * h))
    assert abs(np.sum(arrmb.grad(loss)(x) * e) - slope) <= 1e-13 * np.linalg.norm(arrmb.grad(loss)(x)) * 3
    hessian = arrmb.hvp(loss, (x,), (e,))[0]
    assert abs(np.sum(hessian * f) - curvature) <= 1e-12 * np.linalg.norm(hessian) * np.linalg.norm(f)


def test_third_order_is_refused():
    x = Draw(0).with_singular_values(3, 3, [2.0, 1.0, 1.0])
    loss = lambda x: arrmb.namespace(x).sum(polar(x)[0] ** 3)  # noqa: E731
    with pytest.raises(NotImplementedError, match="polar: third derivatives"):
        arrmb.grad(lambda x: arrmb.namespace(x).sum(arrmb.hvp(loss, (x,), (np.eye(3),))[0]))(x)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from([(1, 1), (2, 3), (3, 2), (4, 4), (6, 4), (4, 6)]),
    exponents=st.lists(st.sampled_from([-12.0, -12.0, -3.0, 0.0, 0.0, 4.0, 12.0]), min_size=4, max_size=4),
    gap=st.sampled_from([0.0, 1e-16, 1e-13, 1e-8, 1e-3]),
    complex=st.booleans(),
)
def test_any_spectrum(shape, exponents, gap, complex):
    """X = U P holds to first order, U^H U (U U^H) does not change, P stays Hermitian; and the rules are transposes."""
    values = sorted([10.0**e * (1.0 - i * gap) for i, e in enumerate(exponents[: min(shape)])], reverse=True)
    d = Draw(9, complex=complex)
    x, dx = d.with_singular_values(*shape, values), d.normal(*shape)
    (u, p), (du, dp) = arrmb.jvp(polar, (x,), (dx,))
    h = lambda a: np.conj(a.T)  # noqa: E731
    if shape[0] >= shape[1] and values[-1] > 1e-12 * values[0]:
        size = np.linalg.norm(du) * np.linalg.norm(x) + np.linalg.norm(dx)
        assert np.linalg.norm(du @ p + u @ dp - dx) <= 1e-13 * size
    skew = h(u) @ du if shape[0] >= shape[1] else du @ h(u)
    assert np.linalg.norm(skew + h(skew)) <= 1e-13 * max(np.linalg.norm(du), 1.0)
    assert np.linalg.norm(dp - h(dp)) <= 1e-14 * np.linalg.norm(dp)
    ubar, pbar = d.normal(*u.shape), d.normal(*p.shape)
    xbar = arrmb.vjp(polar, x)[1]((ubar, pbar))[0]
    left = np.sum(np.real(np.conj(ubar) * du)) + np.sum(np.real(np.conj(pbar) * dp))
    size = np.linalg.norm(ubar) * np.linalg.norm(du) + np.linalg.norm(pbar) * np.linalg.norm(dp)
    assert abs(left - np.sum(np.real(np.conj(xbar) * dx))) <= 1e-12 * size
