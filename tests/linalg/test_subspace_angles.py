"""Angles and distance of subspaces, as users call them: dtypes, nesting, and wrong input."""

import numpy as np
import pytest
import scipy.linalg

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads

A, B = Draw(1).normal(6, 3), Draw(2).normal(6, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_values_against_scipy(backend, dtype):
    a, b = (backend.put(Draw(i, dtype.startswith("complex")).normal(6, n), dtype) for i, n in ((1, 3), (2, 2)))
    theta, distance = linalg.subspace_angles(a, b), linalg.subspace_distance(a, b)
    expected = scipy.linalg.subspace_angles(backend.get(a).astype("complex128"), backend.get(b).astype("complex128"))
    tolerance = 100 * np.finfo(dtype).eps  # times the condition number of A and B, about 5, in SciPy's result as well
    np.testing.assert_allclose(backend.get(theta), expected, rtol=tolerance)
    np.testing.assert_allclose(backend.get(distance), np.sum(np.sin(expected) ** 2) + 0.5, rtol=tolerance)
    assert str(theta.dtype).endswith("32" if dtype in ("float32", "complex64") else "64")
    assert theta.dtype == distance.dtype


@pytest.mark.parametrize("is_complex", [False, True])
def test_gradients(is_complex):
    a, b = Draw(1, is_complex).normal(6, 3), Draw(2, is_complex).normal(6, 2)
    check_grads(linalg.subspace_angles, (a, b))
    check_grads(linalg.subspace_distance, (a, b))


def test_second_derivative_of_the_distance_of_equal_spaces():
    """J = Σ sin² θ has the Hessian 2 ‖·‖² on the tangent space there: B = [I; tD] gives J = t² ‖D‖² + O(t⁴)."""
    e, d = np.eye(5, 2), np.concatenate([np.zeros((2, 2)), Draw(3).normal(3, 2)])
    gradient = arrmb.grad(lambda b: linalg.subspace_distance(e, b))
    np.testing.assert_allclose(gradient(e), 0.0, atol=1e-15)
    np.testing.assert_allclose(arrmb.jvp(gradient, (e,), (d,))[1], 2.0 * d, atol=1e-14)


def test_units_of_the_columns_do_not_matter():
    scaled = A * [1e-100, 1.0, 1e100]
    np.testing.assert_allclose(linalg.subspace_angles(scaled, B), linalg.subspace_angles(A, B), rtol=1e-12)
    np.testing.assert_allclose(linalg.subspace_distance(scaled, B), linalg.subspace_distance(A, B), rtol=1e-12)


def test_real_beside_complex():
    complex_b = B + 0.0j
    np.testing.assert_allclose(linalg.subspace_angles(A, complex_b), linalg.subspace_angles(A, B), rtol=1e-13)
    gradient = arrmb.grad(lambda a: linalg.subspace_distance(a, complex_b))(A)
    assert gradient.dtype == A.dtype
    np.testing.assert_allclose(gradient, arrmb.grad(lambda a: linalg.subspace_distance(a, B))(A), atol=1e-14)


@pytest.mark.parametrize("name", ["subspace_angles", "subspace_distance"])
@pytest.mark.parametrize(
    "a, b, error, message",
    [
        (A, B[:5], ValueError, r"a and b must have the same number of rows, got shapes \(6, 3\) and \(5, 2\)"),
        (A.T, B, ValueError, r"a must have full column rank, so no more columns than rows, got shape \(3, 6\)"),
        (A[:, :0], B, ValueError, r"a must have at least one row and one column"),
        (A, B[:, 0], ValueError, r"b must have shape \(..., m, n\)"),
        (A, [[1.0]], TypeError, "b must be a floating-point array, got list"),
        (np.eye(3, dtype=int), A, TypeError, "a has dtype int64"),
        (A[:, [0, 1, 0]], B, ValueError, "argument a must have full column rank, and has a column that is zero or"),
        (A, B * [1.0, 0.0], ValueError, "argument b must have full column rank"),
        (A * np.nan, B, ValueError, "argument a holds NaN or infinity"),
        (A, B * [1.0, np.inf], ValueError, "argument b holds NaN or infinity"),
    ],
)
def test_wrong_input(name, a, b, error, message):
    with pytest.raises(error, match=f"^{name}: .*{message}"):
        getattr(linalg, name)(a, b)


def test_different_backends():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="subspace_angles: a, b are arrays of different backends"):
        linalg.subspace_angles(A, torch.asarray(B))
