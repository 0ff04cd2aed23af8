"""Determinant, and its sign and logarithm."""

import numpy as np
import pytest

import arrmb
from arrmb.ops.determinant import det, logdeth, slogdet


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
    """Both orders: rank 3 of 4, with the zero among distinct and among tied singular values, and a zero row."""
    singular = [
        lambda d: (d.with_singular_values(4, 4, [3.0, 2.0, 1.0, 0.0]),),
        lambda d: (d.with_singular_values(4, 4, [2.0, 2.0, 2.0, 0.0]),),
        lambda d: (d.normal(4, 4) * np.array([1.0, 1.0, 0.0, 1.0])[:, None],),
    ]
    # The value is zero, so values are compared to 1.
    check(det, singular[0], at=singular[1:], invariant=lambda y: (y + 1.0,))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("spectrum", [(3.0, 2.0, 1.0, 0.5), (3.0, 2.0, 1.0, 0.0), (3.0, 2.0, 0.0, 0.0), (0.0,) * 4])
def test_det_gradient_is_the_cofactors(spectrum, dtype):
    x = arrmb.testing.Draw(1, complex=dtype == "complex128").with_singular_values(4, 4, spectrum)
    gradient = arrmb.grad(lambda x: arrmb.namespace(x).real(det(x)))(x)
    # A rank of 2 leaves cofactors of rounding size, against minors of size up to 3 · 2.
    assert np.max(np.abs(gradient - np.conj(cofactors(x)))) <= 1e-14 * 6


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("rank", range(5))
def test_det_second_derivative_is_a_polynomial_s(rank, dtype):
    """det(X + tE + uG) is a polynomial: its coefficient of tu from exact values on a grid of integers."""
    rng = np.random.default_rng(rank)
    x, e, g = rng.integers(-3, 4, (3, 4, 4)).astype(dtype)
    if dtype == "complex128":
        e = e + 1j * rng.integers(-3, 4, (4, 4))
    x[rank:] = x[:1] if rank else 0.0  # the last rows are equal, or zero
    grid = np.arange(-2, 3)
    values = np.array([[leibniz(x + t * e + u * g) for u in grid] for t in grid])
    d = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12.0  # exact for polynomials of degree 4
    expected = d @ values @ d

    def slope(x):
        return arrmb.jvp(det, (x,), (e,))[1]

    found = arrmb.jvp(slope, (x,), (g,))[1]
    assert abs(found - expected) <= 1e-13 * np.linalg.norm(e) * np.linalg.norm(g) * max(1.0, np.linalg.norm(x)) ** 2
    hvp = arrmb.jvp(arrmb.grad(lambda x: arrmb.namespace(x).real(det(x))), (x,), (e,))[1]
    assert abs(np.sum(np.conj(hvp) * g) - expected) <= 1e-13 * 4.0**4 * max(1.0, np.linalg.norm(x)) ** 2


def leibniz(x):
    """The determinant by its expansion, exact for integers."""
    if len(x) == 1:
        return x[0, 0]
    return sum((-1) ** j * x[0, j] * leibniz(np.delete(x[1:], j, 1)) for j in range(len(x)))


def test_det_third_order():
    """Invertible: det X is homogeneous of degree 4, so D³[X, X, X] = 24 det X. Singular: refused, not wrong."""

    def third(x):
        slope = lambda f: lambda v: arrmb.jvp(f, (v,), (x,))[1]  # noqa: E731
        return slope(slope(slope(det)))(x)

    (x,) = matrix(arrmb.testing.Draw(0))
    assert abs(third(x) - 24.0 * np.linalg.det(x)) <= 1e-12
    with pytest.raises(ValueError, match="det: the third and higher derivatives need an invertible matrix"):
        third(np.diag([1.0, 2.0, 3.0, 0.0]))


def test_det_of_empty_and_of_one_number(check):
    check(det, lambda d: (d.normal(0, 0),), reference=np.linalg.det)
    check(det, lambda d: (d.normal(1, 1),), reference=np.linalg.det)


def test_logdeth(check):
    def positive(d):
        return (d.hermitian([1.0, 2.0, 2.0, 4.0]),)

    check(logdeth, positive, reference=lambda x: np.linalg.slogdet(x)[1], at=[lambda d: (d.uniform(1.0, 2.0, 1, 1),)])


def test_logdeth_is_that_of_the_hermitian_part(check):
    d = arrmb.testing.Draw(0, complex=check.dtype.startswith("complex"))
    x = d.hermitian([1.0, 2.0, 3.0])
    skew = d.normal(3, 3)
    put = lambda v: check.backend.put(v, check.dtype)  # noqa: E731
    y, pullback = arrmb.vjp(logdeth, put(x + skew - np.conj(skew.T)))
    assert abs(check.backend.get(y) - np.log(6.0)) <= 20 * np.finfo(check.dtype).eps
    (xbar,) = pullback(put(np.asarray(1.0)))
    np.testing.assert_allclose(check.backend.get(xbar), np.linalg.inv(x), atol=20 * np.finfo(check.dtype).eps)


def test_slogdet(check):
    check(slogdet, matrix, reference=lambda x: tuple(np.linalg.slogdet(x)))


def test_slogdet_of_a_large_matrix_does_not_overflow(check):
    def large(d):
        return (1e30 * matrix(d)[0],)

    check(slogdet, large, reference=lambda x: tuple(np.linalg.slogdet(x)), order=1, batch=False)
