"""Determinant, and its sign and logarithm."""

import numpy as np
import pytest

import arrmb
from arrmb.ops.determinant import det, slogdet


def matrix(d):
    return (d.with_singular_values(4, 4, [3.0, 2.0, 1.0, 0.5]),)


def cofactors(x):
    """The matrix of cofactors, from its definition."""
    n = x.shape[-1]
    minors = [[np.linalg.det(np.delete(np.delete(x, i, 0), j, 1)) for j in range(n)] for i in range(n)]
    return np.array(minors) * (-1.0) ** np.add.outer(np.arange(n), np.arange(n))


def test_det(check):
    check(det, matrix, reference=np.linalg.det)


def test_det_of_a_singular_matrix(check):
    """First order: rank 3 of 4, with the zero among distinct and among tied singular values, and a zero row."""
    singular = [
        lambda d: (d.with_singular_values(4, 4, [3.0, 2.0, 1.0, 0.0]),),
        lambda d: (d.with_singular_values(4, 4, [2.0, 2.0, 2.0, 0.0]),),
        lambda d: (d.normal(4, 4) * np.array([1.0, 1.0, 0.0, 1.0])[:, None],),
    ]
    # The value is zero, so values are compared to 1.
    check(det, singular[0], at=singular[1:], order=1, invariant=lambda y: (y + 1.0,))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("spectrum", [(3.0, 2.0, 1.0, 0.5), (3.0, 2.0, 1.0, 0.0), (3.0, 2.0, 0.0, 0.0), (0.0,) * 4])
def test_det_gradient_is_the_cofactors(spectrum, dtype):
    x = arrmb.testing.Draw(1, complex=dtype == "complex128").with_singular_values(4, 4, spectrum)
    gradient = arrmb.grad(lambda x: arrmb.namespace(x).real(det(x)))(x)
    # A rank of 2 leaves cofactors of rounding size, against minors of size up to 3 · 2.
    assert np.max(np.abs(gradient - np.conj(cofactors(x)))) <= 1e-14 * 6


def test_slogdet(check):
    check(slogdet, matrix, reference=lambda x: tuple(np.linalg.slogdet(x)))


def test_slogdet_of_a_large_matrix_does_not_overflow(check):
    def large(d):
        return (1e30 * matrix(d)[0],)

    check(slogdet, large, reference=lambda x: tuple(np.linalg.slogdet(x)), order=1, batch=False)
