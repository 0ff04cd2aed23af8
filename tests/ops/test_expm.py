"""Exponential of general matrices, against SciPy, PyTorch, and 50 digits."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb.ops.expm import expm
from arrmb.testing import Draw

JORDAN = 2.0 * np.eye(4, k=1) - np.eye(4)


def test_expm(check):
    def at(x):
        return lambda d: (x + 0.0 * d.normal(*x.shape),)

    check(
        expm,
        lambda d: (1.5 * d.normal(4, 4),),
        reference=scipy.linalg.expm,
        at=[
            at(JORDAN),
            at(np.zeros((3, 3))),
            at(np.eye(4, k=1)),
            lambda d: (d.normal(1, 1),),
            lambda d: (d.normal(0, 0),),
        ],
    )


def exact(x):
    return np.array(mpmath.expm(mpmath.matrix(x.tolist()), method="taylor").tolist(), dtype=complex).reshape(x.shape)


def error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


# The condition number of the exponential is ‖X‖ at least: tolerances are some eps times that.
CASES = {
    "normal": (np.random.default_rng(0).standard_normal((4, 4)), 2e-15),
    "large entry above the diagonal": (np.array([[1.0, 1e6], [0.0, -1.0]]), 2e-15),
    "two of them": (np.array([[1.0, 1e6, 1e3], [0.0, -1.0, 1e6], [0.0, 0.0, 0.5]]), 1e-13),
    "Jordan block": (10.0 * np.eye(5, k=1) - 3.0 * np.eye(5), 1e-14),
    "nilpotent": (1e3 * np.eye(5, k=1), 2e-15),
    "Moler and Van Loan": (np.array([[-49.0, 24.0], [-64.0, 31.0]]), 1e-13),
    "norm 1e2": (30.0 * np.random.default_rng(1).standard_normal((4, 4)), 1e-13),
    "stiff": (np.diag([-1e3, -1.0, 0.0, 2.0]) + np.eye(4, k=1), 2e-13),
    "rotation by 1e3": (1e3 * np.array([[0.0, 1.0, 0.3], [-1.0, 0.0, 0.2], [-0.3, -0.2, 0.0]]), 1e-12),
    "complex": (np.random.default_rng(2).standard_normal((3, 3, 2)) @ np.array([1.0, 1.0j]), 2e-15),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_two_derivatives_to_50_digits(name):
    """f of [[X, E], [0, X]] has L(X, E) in its corner; the same of that block matrix, the second derivative."""
    x, tolerance = CASES[name]
    rng, n, zero = np.random.default_rng(5), len(x), np.zeros_like(x)
    e, g, ybar = rng.standard_normal((3, n, n)).astype(x.dtype)

    def slope(x):
        return arrmb.jvp(expm, (x,), (e,))[1]

    with mpmath.workdps(50):
        first = exact(np.block([[x, e], [zero, x]]))
        xh = np.conj(x.T)
        adjoint = exact(np.block([[xh, ybar], [zero, xh]]))[:n, n:]
        second = exact(np.block([[x, e, g, zero], [zero, x, zero, g], [zero, zero, x, e], [zero, zero, zero, x]]))
    assert error(expm(x), first[:n, :n]) <= tolerance
    assert error(slope(x), first[:n, n:]) <= tolerance
    assert error(arrmb.vjp(expm, x)[1](ybar)[0], adjoint) <= tolerance
    assert error(arrmb.jvp(slope, (x,), (g,))[1], second[:n, 3 * n :]) <= tolerance


def test_third_order():
    """Along X itself, exp(tX) has the derivatives X^k exp(X)."""
    x = Draw(0).normal(4, 4)

    def slope(f):
        return lambda v: arrmb.jvp(f, (v,), (x,))[1]

    assert error(slope(slope(slope(expm)))(x), x @ x @ x @ scipy.linalg.expm(x)) <= 1e-14


def test_gradient_is_that_of_torch():
    torch = pytest.importorskip("torch")
    x, ybar = Draw(1, complex=True).normal(5, 5), Draw(2, complex=True).normal(5, 5)
    t = torch.tensor(x, requires_grad=True)
    torch.linalg.matrix_exp(t).backward(torch.tensor(ybar))
    assert error(arrmb.vjp(expm, x)[1](ybar)[0], t.grad.numpy()) <= 1e-14


def test_gradient_is_that_of_jax():
    jax = pytest.importorskip("jax")
    x, ybar = Draw(1).normal(4, 4).astype(np.float32), Draw(2).normal(4, 4).astype(np.float32)
    expected = np.asarray(jax.vjp(jax.scipy.linalg.expm, x)[1](ybar)[0])
    assert error(arrmb.vjp(expm, x)[1](ybar)[0], expected) <= 1e-5


def test_derivative_is_that_of_scipy():
    x, e = Draw(3).normal(6, 6), Draw(4).normal(6, 6)
    assert error(arrmb.jvp(expm, (x,), (e,))[1], scipy.linalg.expm_frechet(x, e)[1]) <= 1e-14


def test_a_matrix_does_not_depend_on_the_others_of_its_batch(backend):
    # Up to rounding, times the norm of 150: a backend may multiply one matrix and a stack in different orders.
    x = np.stack([1e-3 * Draw(1).normal(3, 3), 50.0 * Draw(2).normal(3, 3), np.zeros((3, 3))])
    batch, pullback = arrmb.vjp(expm, backend.put(x, "float64"))
    bars = backend.get(pullback(batch)[0])
    for i in range(3):
        one, pullback = arrmb.vjp(expm, backend.put(x[i], "float64"))
        np.testing.assert_allclose(backend.get(batch)[i], backend.get(one), rtol=1e-13, atol=0)
        np.testing.assert_allclose(bars[i], backend.get(pullback(one)[0]), rtol=1e-13, atol=1e-300)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(n=st.integers(1, 6), size=st.floats(-12, 2), seed=st.integers(0, 99), complex=st.booleans())
def test_inverse_is_the_exponential_of_minus_x(n, size, seed, complex):
    d = Draw(seed, complex)
    x = 10.0**size * d.unitary(n) / np.sqrt(n)
    y, inverse = expm(x), expm(-x)
    # each has a relative error of some eps ‖X‖
    scale = np.linalg.norm(y) * np.linalg.norm(inverse)
    assert np.linalg.norm(y @ inverse - np.eye(n)) <= 1e-14 * (1.0 + 10.0**size) * scale


def test_skew_symmetric_matrices_give_rotations():
    x = Draw(0).normal(6, 6)
    q = expm(x - x.T)
    np.testing.assert_allclose(q.T @ q, np.eye(6), atol=1e-14)


def test_float32_with_a_large_norm_does_not_overflow_on_the_way(backend):
    """The sixth power of this matrix is beyond float32, its exponential is not."""
    x = np.array([[0.0, 1e8], [0.0, -1.0]])
    y = backend.get(expm(backend.put(x, "float32")))
    expected = [[1.0, 1e8 * (1.0 - np.exp(-1.0))], [0.0, np.exp(-1.0)]]
    if backend.name == "cupy":
        # cuSOLVER factorizes the transpose, whose large entry becomes the pivot. Such an elimination is backward stable
        # in the norm, a few eps of ‖V - U‖, which the inverse and up to 5 squarings enlarge: 73 eps of the norm
        # (measured), and no more is known of the entries of size 1 beside 6e7.
        assert np.linalg.norm(y - expected) <= 500.0 * 2.0**-23 * np.linalg.norm(expected)
    else:
        np.testing.assert_allclose(y, expected, rtol=1e-6)
