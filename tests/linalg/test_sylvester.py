"""Sylvester's and Lyapunov's equations, the public functions."""

import numpy as np
import pytest
import scipy.linalg

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads


def stable(complex=False, n=3):
    return Draw(0, complex).with_singular_values(n, n, [1.0, 0.5, 0.2]) - 2.0 * np.eye(n)


@pytest.mark.parametrize("complex", [False, True])
def test_lyapunov(backend, complex):
    dtype = "complex128" if complex else "float64"
    c = Draw(1, complex).hermitian([1.0, 2.0, 3.0])
    a_, c_ = backend.put(stable(complex), dtype), backend.put(c, dtype)
    x = backend.get(linalg.solve_lyapunov(a_, c_))
    np.testing.assert_allclose(x, scipy.linalg.solve_continuous_lyapunov(stable(complex), c), atol=1e-14)
    np.testing.assert_allclose(x, np.conj(x.T), atol=1e-15)
    check_grads(linalg.solve_lyapunov, (a_, c_))


@pytest.mark.parametrize("n", [4, 12])
def test_sylvester(backend, n):
    """By one system, and by Schur forms; a real right-hand side beside complex matrices."""
    d = Draw(1, complex=True)
    a, b, c = d.normal(n, n) + 7.0 * np.eye(n), d.normal(3 * n // 4, 3 * n // 4), d.real(n, 3 * n // 4)
    args = backend.put(a, "complex128"), backend.put(b, "complex128"), backend.put(c, "float64")
    np.testing.assert_allclose(
        backend.get(linalg.solve_sylvester(*args)), scipy.linalg.solve_sylvester(a, b, c), atol=1e-13
    )
    check_grads(linalg.solve_sylvester, args, order=2 if n == 4 else 1)


def test_gradient_of_the_gramian_of_a_scalar_system():
    """2 a x = c: x = c/2a, dx/da = -c/2a², d²x/da² = c/a³, d³x/da³ = -3 c/a⁴."""
    f = lambda a: linalg.solve_lyapunov(a, np.array([[3.0]]))[0, 0]  # noqa: E731
    g = lambda f: lambda a: arrmb.grad(f)(a)[0, 0]  # noqa: E731
    a = np.array([[-2.0]])
    assert abs(f(a) + 0.75) <= 1e-15
    assert abs(g(f)(a) + 0.375) <= 1e-15
    assert abs(g(g(f))(a) + 0.375) <= 1e-15
    assert abs(g(g(g(f)))(a) + 0.5625) <= 1e-14


def test_bad_arguments():
    a, c = np.eye(3), np.ones((3, 2))
    with pytest.raises(
        ValueError, match=r"solve_sylvester: c must have shape \(\.\.\., 3, 2\) for a .* and b .*got \(2, 3\)"
    ):
        linalg.solve_sylvester(a, np.eye(2), c.T)
    with pytest.raises(ValueError, match=r"solve_sylvester: b must have shape \(\.\.\., n, n\), got \(3, 2\)"):
        linalg.solve_sylvester(a, c, c)
    with pytest.raises(TypeError, match="solve_sylvester: b has dtype int64"):
        linalg.solve_sylvester(a, np.eye(2, dtype=np.int64), c)
    with pytest.raises(ValueError, match=r"solve_lyapunov: c must have shape \(\.\.\., 3, 3\) for a .*got \(3, 2\)"):
        linalg.solve_lyapunov(a, c)
    with pytest.raises(ValueError, match=r"solve_lyapunov: a must have shape \(\.\.\., n, n\), got \(3, 2\)"):
        linalg.solve_lyapunov(c, a)
    with pytest.raises(TypeError, match="solve_lyapunov: c must be a floating-point array, got list"):
        linalg.solve_lyapunov(a, [[1.0]])


def test_singular_equations(backend):
    a, c = backend.put(np.diag([1.0, -1.0, 2.0]), "float64"), backend.put(np.ones((3, 3)), "float64")
    for name, f in {
        "solve_lyapunov": lambda: linalg.solve_lyapunov(a, c),
        "solve_sylvester": lambda: linalg.solve_sylvester(a, -a, c),
    }.items():
        if backend.name == "cupy":
            assert not np.any(np.isfinite(backend.get(f())))
            continue
        with pytest.raises(ValueError, match=f"{name}: .*the equation is singular"):
            f()
