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
        with pytest.raises(ValueError, match=rf"{name} must have at least one row and one column, got shape \(4, 0\)"):
            f(np.ones((4, 0)))
        with pytest.raises(ValueError, match=rf"{name} must have shape \(\.\.\., m, n\), got \(4,\)"):
            f(np.ones(4))
    with pytest.raises(TypeError, match="pinv: rtol decides on the rank and has no derivative"):
        arrmb.grad(lambda t: linalg.pinv(a, rtol=t)[0, 0])(np.asarray(0.1))
    with pytest.raises(ValueError, match="pinv: x has NaN or inf among its entries"):
        linalg.pinv(np.full((2, 2), np.nan))
