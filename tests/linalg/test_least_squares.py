"""Least squares and pseudo-inverses, the public functions."""

import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads


def test_values_and_derivatives(backend):
    a, b = Draw(0).normal(5, 3), Draw(1).normal(5, 2)
    a_, b_ = backend.put(a, "float64"), backend.put(b, "float64")
    np.testing.assert_allclose(backend.get(linalg.pinv(a_)), np.linalg.pinv(a), atol=1e-14)
    np.testing.assert_allclose(backend.get(linalg.lstsq(a_, b_)), np.linalg.lstsq(a, b, rcond=None)[0], atol=1e-14)
    x = linalg.lstsq(a_, b_[:, 0])
    assert x.shape == (3,)
    np.testing.assert_allclose(backend.get(x), np.linalg.lstsq(a, b[:, 0], rcond=None)[0], atol=1e-14)
    check_grads(linalg.lstsq, (a_, b_))
    check_grads(linalg.lstsq, (a_, b_[:, 0]))
    check_grads(lambda a: linalg.lstsq(a, b_), (backend.put(a + 0.5j * a**2, "complex128"),))
    check_grads(linalg.pinv, (a_,))


def test_rtol_decides_on_the_rank(backend):
    a = backend.put(np.diag([1.0, 1e-3]), "float64")
    b = backend.put(np.ones(2), "float64")
    np.testing.assert_allclose(backend.get(linalg.lstsq(a, b)), [1.0, 1e3])
    np.testing.assert_allclose(backend.get(linalg.lstsq(a, b, rtol=1e-2)), [1.0, 0.0])


def test_bad_arguments():
    a, b = np.ones((4, 2)), np.ones((4, 3))
    with pytest.raises(
        ValueError, match=r"lstsq: b must have shape \(4,\) or \(\.\.\., 4, k\) for a \(\.\.\., 4, 2\), got \(2, 3\)"
    ):
        linalg.lstsq(a, b[:2])
    with pytest.raises(TypeError, match="lstsq: b has dtype int64"):
        linalg.lstsq(a, np.arange(4))
    with pytest.raises(TypeError, match="pinv: x must be a floating-point array, got list"):
        linalg.pinv([[1.0]])
    for name, f in (("pinv: x", linalg.pinv), ("lstsq: a", lambda x: linalg.lstsq(x, b))):
        with pytest.raises(ValueError, match=rf"{name} must have shape \(\.\.\., m, n\), got \(4,\)"):
            f(np.ones(4))
    with pytest.raises(ValueError, match=r"lstsq: a must have at least one row and one column, got shape \(4, 0\)"):
        linalg.lstsq(np.ones((4, 0)), b)
    with pytest.raises(ValueError, match="pinv: x has NaN or inf among its entries"):
        linalg.pinv(np.full((2, 2), np.nan))


def test_the_rank_decision_is_a_constant(backend):
    """A traced rtol decides as its value does, and the derivative in it, where the rank does not jump, is zero."""
    x, t = backend.put(np.diag([1.0, 0.5, 1e-3]), "float64"), backend.put(np.asarray(0.1), "float64")

    def loss(x, t):
        return arrmb.namespace(x, t).sum(linalg.pinv(x, rtol=t))

    assert float(loss(x, t)) == 3.0
    xbar, tbar = arrmb.grad(loss, argnums=(0, 1))(x, t)
    expected = np.zeros((3, 3))
    expected[:2, :2] = -np.outer([1.0, 2.0], [1.0, 2.0])  # -Y^T 1 1^T Y^T on the counted part
    expected[:2, 2] = expected[2, :2] = 1.0 / (np.array([1.0, 0.5]) * (np.array([1.0, 0.5]) - 1e-3))  # 1/(a (a - b))
    np.testing.assert_allclose(backend.get(xbar), expected, atol=1e-14)
    assert float(tbar) == 0.0


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 0)])
def test_empty_matrices(backend, shape):
    x = backend.put(np.zeros(shape), "float64")
    y, pullback = arrmb.vjp(linalg.pinv, x)
    assert tuple(y.shape) == (*shape[:-2], shape[-1], shape[-2])
    assert tuple(pullback(y)[0].shape) == shape


def test_bad_tolerances(backend):
    x = backend.put(np.eye(3)[:, :2], "float64")
    for name, f in {
        "pinv": lambda v: linalg.pinv(x, rtol=v),
        "lstsq": lambda v: linalg.lstsq(x, x, rtol=v),
        "matrix_rank": lambda v: linalg.matrix_rank(x, rtol=v),
    }.items():
        for wrong in (True, 1j, "a", [0.1]):
            with pytest.raises(TypeError, match=f"^{name}: rtol must be a Python number, got {type(wrong).__name__}"):
                f(wrong)
        for wrong in (-0.1, float("inf")):
            with pytest.raises(ValueError, match=f"^{name}: rtol is relative .* must not be negative, got"):
                f(wrong)
        with pytest.raises(ValueError, match=f"^{name}: rtol must be a Python number, got NaN"):
            f(float("nan"))
        np.testing.assert_array_equal(backend.get(f(np.float64(0.1))), backend.get(f(0.1)))
        for everything in (1.0, 2.0):  # no singular value is above it
            assert not np.any(backend.get(f(everything)))
