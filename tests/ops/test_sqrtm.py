"""Principal square root of general matrices."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb.ops.sqrtm import sqrtm
from arrmb.testing import Draw


def matrix(d):
    return (d.with_singular_values(4, 4, [2.0, 1.0, 0.5, 0.3]) + 2.5 * np.eye(4),)


def test_sqrtm(check):
    def at(x):
        return lambda d: (x + 0.0 * d.normal(*x.shape),)

    defective, identity = 2.0 * np.eye(4) + np.eye(4, k=1), 3.0 * np.eye(4)
    check(sqrtm, matrix, reference=scipy.linalg.sqrtm, at=[at(defective), at(identity), at(np.full((1, 1), 0.5))])


def by_eigenvectors(x, e, f, df):
    """f(X) and L(X, E) with 50 digits."""
    with mpmath.workdps(60):
        w, v = mpmath.eig(mpmath.matrix(x.tolist()))
        inverse, n = v**-1, len(x)
        hat = inverse * mpmath.matrix(e.tolist()) * v
        for i in range(n):
            for j in range(n):
                hat[i, j] *= df(w[i]) if i == j else (f(w[i]) - f(w[j])) / (w[i] - w[j])
        value = v * mpmath.diag([f(t) for t in w]) * inverse
        return tuple(np.array(y.tolist(), dtype=complex) for y in (value, v * hat * inverse))


def error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("kind", ["symmetric", "general", "rotation"])
@pytest.mark.parametrize("digits", [1, 4, 8, 12])
def test_value_and_derivative_to_50_digits(kind, digits):
    """The error of the value is eps times the condition of S; that of the derivative, eps times the condition of X."""
    rng = np.random.default_rng(digits)
    d, v = np.diag(np.logspace(0, -digits, 4)), rng.standard_normal((4, 4))
    if kind == "rotation":  # eigenvalues near the cut: -1 ± 0.1i
        d[:2, :2] = [[-1.0, 0.1], [-0.1, -1.0]]
    x = v @ d @ np.linalg.inv(v) if kind == "general" else np.linalg.qr(v)[0] @ d @ np.linalg.qr(v)[0].T
    e, ybar = rng.standard_normal((2, 4, 4))
    value, slope = by_eigenvectors(x, e, mpmath.sqrt, lambda t: 1 / (2 * mpmath.sqrt(t)))
    condition = np.linalg.cond(x)
    s, ds = arrmb.jvp(sqrtm, (x,), (e,))
    assert error(s, value) <= 3e-15 * (10.0 + condition**0.5)
    assert error(ds, slope) <= 3e-15 * (10.0 + condition)
    (xbar,) = arrmb.vjp(sqrtm, x)[1](ybar)
    left, right = np.sum(xbar * e), np.sum(ybar * ds)
    assert abs(left - right) <= 1e-15 * (10.0 + condition) * np.linalg.norm(ybar) * np.linalg.norm(ds)


def test_second_derivative_of_a_defective_matrix():
    """S of the 4n × 4n block matrix [[X, E, G, 0], ...] has D²(E, G) in its corner."""
    x, zero = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]), np.zeros((3, 3))
    e, g = np.random.default_rng(1).standard_normal((2, 3, 3))
    block = np.block([[x, e, g, zero], [zero, x, zero, g], [zero, zero, x, e], [zero, zero, zero, x]])
    second = arrmb.jvp(lambda x: arrmb.jvp(sqrtm, (x,), (e,))[1], (x,), (g,))[1]
    assert error(second, scipy.linalg.sqrtm(block)[:3, 9:].real) <= 1e-13


def test_third_order():
    """Along X itself: S(tX) = √t S, of which the third derivative at 1 is 3/8 S."""
    (x,) = matrix(Draw(0))

    def slope(f):
        return lambda v: arrmb.jvp(f, (v,), (x,))[1]

    assert error(slope(slope(slope(sqrtm)))(x), 0.375 * sqrtm(x)) <= 1e-13


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 6),
    spread=st.floats(0, 10),
    size=st.floats(-30, 30),
    seed=st.integers(0, 99),
    complex=st.booleans(),
)
def test_square_is_x(n, spread, size, seed, complex):
    d = Draw(seed, complex)
    u = d.unitary(n)
    triangle = np.diag(np.logspace(0, -spread, n)) + 0.1 * np.triu(d.normal(n, n), 1) * (spread < 4)
    x = 10.0**size * (u @ triangle @ np.conj(u.T))
    s = sqrtm(x)
    assert s.dtype == x.dtype
    assert np.linalg.norm(s @ s - x) <= 1e-13 * np.linalg.norm(s) ** 2
    assert np.all(np.linalg.eigvals(s).real > -1e-12 * np.linalg.norm(s))


def test_a_matrix_does_not_depend_on_the_others_of_its_batch(backend):
    x = np.stack([np.eye(3), 1e6 * matrix(Draw(1))[0][:3, :3], np.diag([1e-6, 1.0, 2.0])])
    batch, pullback = arrmb.vjp(sqrtm, backend.put(x, "float64"))
    bars = backend.get(pullback(batch)[0])
    for i in range(3):
        one, pullback = arrmb.vjp(sqrtm, backend.put(x[i], "float64"))
        np.testing.assert_allclose(backend.get(batch)[i], backend.get(one), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(bars[i], backend.get(pullback(one)[0]), rtol=1e-12, atol=1e-14)


BAD = [np.diag([1.0, -2.0]), np.diag([3.0, -1e-3, 2.0]), np.array([[2.0, 1.0], [-1.0, -3.0]])]


@pytest.mark.parametrize("x", BAD)
def test_negative_eigenvalues(backend, x):
    if backend.name == "cupy":
        assert np.all(np.isnan(backend.get(sqrtm(backend.put(x, "float64")))))
        return
    with pytest.raises(
        ValueError, match=r"sqrtm: x has an eigenvalue on the closed negative real axis.*principal branch"
    ):
        sqrtm(backend.put(x, "float64"))


def test_float32_squares_do_not_overflow(backend):
    """Squares of these entries are beyond float32."""
    (x,) = matrix(Draw(0))
    for c in (1e30, 1e-30):
        s = backend.get(sqrtm(backend.put(c * x, "float32")))
        np.testing.assert_allclose(s, c**0.5 * scipy.linalg.sqrtm(x), rtol=1e-5)


def test_without_looking_at_values(monkeypatch):
    """As on a GPU, with fixed numbers of steps; outside the domain, NaN, and only in the matrices that are outside."""
    (x,) = matrix(Draw(0))
    s = sqrtm(x)
    for module in ("sqrtm", "solve_sylvester"):
        monkeypatch.setattr(f"arrmb.ops.{module}.on_host", lambda x: False)
    found = sqrtm(np.stack([x, np.diag([1.0, -2.0, 3.0, 0.7]), np.diag([1e-12, 1.0, 1e4, 3.0])]))
    np.testing.assert_allclose(found[0], s, atol=1e-14)
    assert np.all(np.isnan(found[1]))
    np.testing.assert_allclose(np.diagonal(found[2]), [1e-6, 1.0, 1e2, 3.0**0.5], rtol=1e-12)
