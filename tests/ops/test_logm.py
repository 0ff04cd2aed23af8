"""Principal logarithm of general matrices."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb.ops.expm import expm
from arrmb.ops.logm import logm
from arrmb.testing import Draw


def matrix(d):
    return (d.with_singular_values(4, 4, [2.0, 1.0, 0.5, 0.3]) + 2.5 * np.eye(4),)


def test_logm(check):
    def at(x):
        return lambda d: (x + 0.0 * d.normal(*x.shape),)

    # the logarithm of I is 0: values are compared to 1
    check(
        logm,
        matrix,
        reference=lambda x: 1.0 + scipy.linalg.logm(x),
        invariant=lambda y: (y + 1.0,),
        at=[at(2.0 * np.eye(3) + np.eye(3, k=1)), at(np.eye(2))],
    )


def by_eigenvectors(x, e):
    """log X and L(X, E) with 50 digits."""
    with mpmath.workdps(60):
        w, v = mpmath.eig(mpmath.matrix(x.tolist()))
        inverse, n = v**-1, len(x)
        hat = inverse * mpmath.matrix(e.tolist()) * v
        for i in range(n):
            for j in range(n):
                hat[i, j] *= 1 / w[i] if i == j else (mpmath.log(w[i]) - mpmath.log(w[j])) / (w[i] - w[j])
        value = v * mpmath.diag([mpmath.log(t) for t in w]) * inverse
        return tuple(np.array(y.tolist(), dtype=complex) for y in (value, v * hat * inverse))


def error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("kind", ["symmetric", "general", "rotation", "triangular"])
@pytest.mark.parametrize("digits", [1, 4, 8, 12])
def test_value_and_derivative_to_50_digits(kind, digits):
    """Errors are those of the condition number of X, which is that of the logarithm up to a factor."""
    rng = np.random.default_rng(digits)
    d, v = np.diag(np.logspace(0, -digits, 4)), rng.standard_normal((4, 4))
    if kind == "rotation":  # eigenvalues near the cut: -1 ± 0.1i
        d[:2, :2] = [[-1.0, 0.1], [-0.1, -1.0]]
    x = v @ d @ np.linalg.inv(v) if kind == "general" else np.linalg.qr(v)[0] @ d @ np.linalg.qr(v)[0].T
    if kind == "triangular":  # far from normal
        x = np.diag([1.0, 2.0, 3.0, 4.0]) + 10.0 ** (digits // 3) * np.triu(v, 1)
    e, ybar = rng.standard_normal((2, 4, 4))
    value, slope = by_eigenvectors(x, e)
    condition = 1.0 if kind == "triangular" else np.linalg.cond(x)
    y, dy = arrmb.jvp(logm, (x,), (e,))
    assert error(y, value) <= 3e-15 * (10.0 + condition)
    assert error(dy, slope) <= 3e-15 * (10.0 + condition)
    (xbar,) = arrmb.vjp(logm, x)[1](ybar)
    left, right = np.sum(xbar * e), np.sum(ybar * dy)
    assert abs(left - right) <= 1e-15 * (10.0 + condition) * np.linalg.norm(ybar) * np.linalg.norm(dy)


@pytest.mark.parametrize("lam", [0.1, 1.0, 10.0])
def test_jordan_block(lam):
    """log(λ + N) = log λ + N/λ - N²/2λ² + ..."""
    n = np.eye(4, k=1)
    expected = np.log(lam) * np.eye(4) + n / lam - n @ n / (2 * lam**2) + n @ n @ n / (3 * lam**3)
    assert error(logm(lam * np.eye(4) + n), expected) <= 3e-15


def test_near_the_identity_no_digit_is_lost():
    x = 1e-9 * Draw(0).normal(4, 4)
    assert error(logm(np.eye(4) + x), (np.eye(4) + x - np.eye(4)) - 0.5 * x @ x) <= 1e-15


def test_second_derivative_of_a_defective_matrix():
    """log of the 4n × 4n block matrix [[X, E, G, 0], ...] has D²(E, G) in its corner."""
    x, zero = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]), np.zeros((3, 3))
    e, g = np.random.default_rng(1).standard_normal((2, 3, 3))
    block = np.block([[x, e, g, zero], [zero, x, zero, g], [zero, zero, x, e], [zero, zero, zero, x]])
    second = arrmb.jvp(lambda x: arrmb.jvp(logm, (x,), (e,))[1], (x,), (g,))[1]
    assert error(second, scipy.linalg.logm(block)[:3, 9:].real) <= 1e-12


def test_third_order():
    """Along X itself: log(tX) = log t + log X, of which the third derivative at 1 is 2 I."""
    (x,) = matrix(Draw(0))

    def slope(f):
        return lambda v: arrmb.jvp(f, (v,), (x,))[1]

    assert error(slope(slope(slope(logm)))(x), 2.0 * np.eye(4)) <= 1e-12


@settings(max_examples=30, deadline=None, derandomize=True)
@given(n=st.integers(1, 6), size=st.floats(-12, 0), seed=st.integers(0, 99), complex=st.booleans())
def test_undoes_the_exponential(n, size, seed, complex):
    x = 3.0 * 10.0**size * Draw(seed, complex).unitary(n)  # eigenvalues of modulus below π
    # e^X keeps the digits of X above eps; the logarithm's condition is e^(2‖X‖) at most
    y = logm(expm(x))
    assert y.dtype == x.dtype
    assert np.linalg.norm(y - x) <= 1e-13 * n + 1e-13 * np.linalg.norm(x)


def test_a_matrix_does_not_depend_on_the_others_of_its_batch(backend):
    """The identity needs no square root, the others several."""
    x = np.stack([np.eye(3), 1e6 * matrix(Draw(1))[0][:3, :3], np.diag([1e-6, 1.0, 2.0])])
    batch, pullback = arrmb.vjp(logm, backend.put(x, "float64"))
    bars = backend.get(pullback(batch)[0])
    for i in range(3):
        one, pullback = arrmb.vjp(logm, backend.put(x[i], "float64"))
        np.testing.assert_allclose(backend.get(batch)[i], backend.get(one), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(bars[i], backend.get(pullback(one)[0]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("x", [np.diag([1.0, -2.0]), np.array([[2.0, 1.0], [-1.0, -3.0]])])
def test_negative_eigenvalues(backend, x):
    if backend.name == "cupy":
        assert np.all(np.isnan(backend.get(logm(backend.put(x, "float64")))))
        return
    with pytest.raises(
        ValueError, match=r"logm: x has an eigenvalue on the closed negative real axis.*principal branch"
    ):
        logm(backend.put(x, "float64"))


def test_huge_and_tiny_matrices(backend):
    """log(cX) = log c + log X, without overflow on the way."""
    (x,) = matrix(Draw(0))
    for dtype, c in (("float64", 1e200), ("float64", 1e-200), ("float32", 1e30), ("float32", 1e-30)):
        y = backend.get(logm(backend.put(c * x, dtype)))
        assert error(y, np.log(c) * np.eye(4) + scipy.linalg.logm(x)) <= 20 * np.finfo(dtype).eps


def test_nan_raises(backend):
    if backend.name == "cupy":  # nothing looks at values there
        assert np.all(np.isnan(backend.get(logm(backend.put(np.full((2, 2), np.nan), "float64")))))
        return
    with pytest.raises(Exception, match=r"x has an eigenvalue .* or NaN|[Ss]ingular|[Nn]a[Nn]"):
        logm(backend.put(np.full((2, 2), np.nan), "float64"))


@pytest.mark.parametrize("x", [matrix(Draw(0))[0], np.diag([1e-10, 1.0, 1e4]), np.eye(3)])
def test_without_looking_at_values(monkeypatch, x):
    """As on a GPU, with fixed numbers of steps; outside the domain, NaN."""
    ybar = Draw(1).normal(*x.shape)
    y, pullback = arrmb.vjp(logm, x)
    (xbar,) = pullback(ybar)
    for module in ("expm", "logm", "sqrtm", "solve_sylvester"):
        monkeypatch.setattr(f"arrmb.ops.{module}.on_host", lambda x: False)
    z, pullback = arrmb.vjp(logm, x)
    np.testing.assert_allclose(z, y, atol=1e-14, rtol=1e-14)
    np.testing.assert_allclose(pullback(ybar)[0], xbar, atol=1e-14, rtol=1e-14)
    np.testing.assert_allclose(expm(-x), scipy.linalg.expm(-x), rtol=1e-12, atol=1e-14)
    assert np.all(np.isnan(logm(np.diag([1.0, -2.0]))))
    assert np.all(np.isnan(expm(np.diag([-1e7, -2.0]))))
