"""Pseudo-inverse: full, deficient and zero rank."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb.ops.pinv import pinv
from arrmb.testing import Draw


@pytest.mark.parametrize("m, n", [(6, 3), (3, 6), (4, 4)])
def test_pinv(check, m, n):
    k = min(m, n)
    tied = [
        lambda d: (d.with_singular_values(m, n, [2.0] * k),),
        lambda d: (d.with_singular_values(m, n, [2.0, 1, 1, 1][:k]),),
    ]
    check(pinv, lambda d: (d.with_singular_values(m, n, [3.0, 2.0, 1.0, 0.5][:k]),), reference=np.linalg.pinv, at=tied)


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("m, n", [(6, 4), (4, 6), (5, 5)])
def test_constant_deficient_rank(backend, m, n, complex):
    """Along A(t) = e^(tM) A e^(tN), of rank 2: value, first and second derivative, against 50 digits."""
    d, dtype = Draw(m, complex), "complex128" if complex else "float64"
    left, right, (p, q) = d.normal(m, 2), d.normal(2, n), (0.3 * d.normal(m, m), 0.3 * d.normal(n, n))
    a = left @ right
    da, dda = p @ a + a @ q, p @ p @ a + 2.0 * p @ a @ q + a @ q @ q
    weights = d.normal(n, m)

    def curve(t):
        put = lambda v: backend.put(v, dtype)  # noqa: E731
        return pinv(t * t * put(0.5 * dda) + t * put(da) + put(a))

    def exact(t):  # (L R)⁺ = R^H (R R^H)^-1 (L^H L)^-1 L^H, L and R of full rank
        with mpmath.workdps(50):
            exp = lambda v: mpmath.expm(t * mpmath.matrix(v.tolist()), method="taylor")  # noqa: E731
            lo, r = exp(p) * mpmath.matrix(left.tolist()), mpmath.matrix(right.tolist()) * exp(q)
            return r.H * (r * r.H) ** -1 * (lo.H * lo) ** -1 * lo.H

    with mpmath.workdps(50):
        h = mpmath.mpf(10) ** -12
        below, at, above = exact(-h), exact(mpmath.mpf(0)), exact(h)
        first, second = (above - below) / (2 * h), (above - 2 * at + below) / h**2
        expected = [np.array(v.tolist(), dtype=np.complex128) for v in (at, first, second)]
    # A(t) as above leaves rank 2 at the third order only, which a second derivative does not see.
    zero = backend.put(np.asarray(0.0), "float64")
    one = backend.put(np.asarray(1.0), "float64")
    slope = lambda t: arrmb.jvp(curve, (t,), (one,))[1]  # noqa: E731
    y, dy = arrmb.jvp(curve, (zero,), (one,))
    ddy = arrmb.jvp(slope, (zero,), (one,))[1]
    for found, value in zip((y, dy, ddy), expected):
        assert np.linalg.norm(backend.get(found) - value) <= 1e-11 * np.linalg.norm(value)
    # and the adjoint at deficient rank, in every direction
    e, ybar = d.normal(m, n), weights
    x = backend.put(a, dtype)
    left_side = np.sum(np.real(np.conj(ybar) * backend.get(arrmb.jvp(pinv, (x,), (backend.put(e, dtype),))[1])))
    right_side = np.sum(np.real(np.conj(backend.get(arrmb.vjp(pinv, x)[1](backend.put(ybar, dtype))[0])) * e))
    assert abs(left_side - right_side) <= 1e-12 * max(1.0, abs(left_side))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    m=st.integers(1, 6), n=st.integers(1, 6), rank=st.integers(0, 6), spread=st.floats(0, 8), size=st.floats(-12, 12),
    seed=st.integers(0, 99), complex=st.booleans(),
)  # fmt: skip
def test_penrose_conditions(m, n, rank, spread, size, seed, complex):
    k = min(m, n, rank)
    values = np.append(10.0**size * np.logspace(0, -spread, k), np.zeros(min(m, n) - k))
    a = Draw(seed, complex).with_singular_values(m, n, values)
    y = pinv(a, rtol=1e-12)
    ay, ya = a @ y, y @ a
    tolerance = 1e-13 * 10.0**spread
    assert np.linalg.norm(ay @ a - a) <= tolerance * np.linalg.norm(a)
    assert np.linalg.norm(ya @ y - y) <= tolerance * np.linalg.norm(y)
    assert np.linalg.norm(ay - np.conj(ay.T)) <= tolerance and np.linalg.norm(ya - np.conj(ya.T)) <= tolerance
    assert abs(np.trace(ay) - k) <= tolerance


def test_zero(backend):
    x = backend.put(np.zeros((3, 2)), "float64")
    y, pullback = arrmb.vjp(pinv, x)
    assert not np.any(backend.get(y)) and y.shape == (2, 3)
    assert not np.any(backend.get(pullback(y + 1.0)[0]))


def test_rtol(backend):
    x = np.diag([1.0, 1e-3, 1e-6])
    for rtol, kept in ((None, 3), (1e-5, 2), (1e-3, 1), (1e-2, 1)):
        y = backend.get(pinv(backend.put(x, "float64"), rtol=rtol))
        np.testing.assert_allclose(y, np.diag([1.0, 1e3, 1e6] * (np.arange(3) < kept)), rtol=1e-12)
    each = backend.put(np.array([1e-5, 1e-2]), "float64")
    y = backend.get(pinv(backend.put(np.stack([x, x]), "float64"), rtol=each))
    np.testing.assert_allclose(np.diagonal(y, axis1=1, axis2=2), [[1.0, 1e3, 0.0], [1.0, 0.0, 0.0]], rtol=1e-12)


def test_gradient_is_that_of_torch():
    a, ybar = Draw(0).normal(6, 4), Draw(1).normal(4, 6)
    got = arrmb.vjp(pinv, a)[1](ybar)[0]
    torch = pytest.importorskip("torch")
    t = torch.tensor(a, requires_grad=True)
    torch.linalg.pinv(t).backward(torch.tensor(ybar))
    assert np.linalg.norm(got - t.grad.numpy()) <= 1e-13 * np.linalg.norm(got)
