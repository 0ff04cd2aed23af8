"""Public functions of general square matrices: arguments, errors, compositions."""

import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads

FUNCTIONS = ["expm", "logm", "sqrtm"]


def positive(complex=False):
    """Eigenvalues in the right half plane, not symmetric."""
    return Draw(0, complex).with_singular_values(3, 3, [1.0, 0.5, 0.2]) + 2.0 * np.eye(3)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_arguments(name):
    f = getattr(linalg, name)
    with pytest.raises(TypeError, match=rf"{name}: x must be a floating-point array, got list"):
        f([[1.0]])
    with pytest.raises(TypeError, match=rf"{name}: x has dtype int64, and must be float32, float64, complex64 "):
        f(np.eye(2, dtype=np.int64))
    with pytest.raises(ValueError, match=rf"{name}: x must have shape \(\.\.\., n, n\), got \(2, 3\)"):
        f(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=rf"{name}: x must have shape \(\.\.\., m, n\), got \(3,\)"):
        f(np.zeros(3))


@pytest.mark.parametrize("name", ["logm", "sqrtm"])
@pytest.mark.parametrize("x", [np.zeros((2, 2)), np.diag([1.0, 0.0]), np.eye(2, k=1), -np.eye(2), np.diag([2.0, -3.0])])
def test_outside_the_domain(backend, name, x):
    """Zero, singular, nilpotent, negative."""
    x = backend.put(x, "float64")
    if backend.name == "cupy":
        assert not np.any(np.isfinite(backend.get(getattr(linalg, name)(x))))
        return
    for f in (getattr(linalg, name), arrmb.grad(lambda x: arrmb.namespace(x).sum(getattr(linalg, name)(x)))):
        with pytest.raises(ValueError, match=rf"{name}: x has an eigenvalue .*principal branch"):
            f(x)


@pytest.mark.parametrize("complex", [False, True])
def test_derivatives(backend, complex):
    x = backend.put(positive(complex), "complex128" if complex else "float64")
    for name in FUNCTIONS:
        check_grads(getattr(linalg, name), (x,))
    check_grads(lambda x: linalg.matrix_power(x, -3), (x,))
    check_grads(lambda x: linalg.matrix_power(x, 5), (x,))


def test_they_fit_together(backend):
    x = backend.put(positive(), "float64")
    got = backend.get(linalg.expm(0.5 * linalg.logm(linalg.matrix_power(x, 2))))
    np.testing.assert_allclose(got, positive(), atol=1e-13)
    np.testing.assert_allclose(backend.get(linalg.sqrtm(x)), backend.get(linalg.expm(0.5 * linalg.logm(x))), atol=1e-13)


def test_agree_with_the_functions_of_hermitian_matrices(backend):
    x = backend.put(Draw(1).hermitian([0.3, 1.0, 1.0, 4.0]), "float64")
    for general, hermitian in ((linalg.expm, linalg.expmh), (linalg.logm, linalg.logmh), (linalg.sqrtm, linalg.sqrtmh)):
        (a, pull_a), (b, pull_b) = arrmb.vjp(general, x), arrmb.vjp(hermitian, x)
        np.testing.assert_allclose(backend.get(a), backend.get(b), atol=1e-13)
        np.testing.assert_allclose(backend.get(pull_a(x)[0]), backend.get(pull_b(x)[0]), atol=1e-13)


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 7])
def test_matrix_power(backend, n):
    x = positive(True)
    got = backend.get(linalg.matrix_power(backend.put(x, "complex128"), n))
    np.testing.assert_allclose(got, np.linalg.matrix_power(x, n), rtol=1e-12)
    gradient = arrmb.grad(lambda x: arrmb.namespace(x).real(linalg.trace(linalg.matrix_power(x, n))))(x)
    expected = np.conj(n * np.linalg.matrix_power(x, n - 1)).T if n else np.zeros((3, 3))
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)


def test_matrix_power_of_bad_exponents():
    for n, kind in ((0.5, "float"), (True, "bool")):
        with pytest.raises(
            TypeError, match=f"matrix_power: n must be a Python int, got {kind}; for real powers use powmh"
        ):
            linalg.matrix_power(np.eye(2), n)
    with pytest.raises(ValueError, match="matrix_power: x is singular, and n is negative"):
        linalg.matrix_power(np.zeros((2, 2)), -1)
