"""Triangular systems."""

import numpy as np
import pytest

import arrmb
from arrmb import _lapack
from arrmb.ops.triangular import solve_triangular
from arrmb.testing import Draw

KINDS = [(lower, unit) for lower in (False, True) for unit in (False, True)]


def triangle(a, lower, unit):
    t = np.tril(a) if lower else np.triu(a)
    return t - t * np.eye(a.shape[-1]) + np.eye(a.shape[-1]) if unit else t


@pytest.mark.parametrize("lower, unit", KINDS)
def test_solve_triangular(check, lower, unit):
    check(
        solve_triangular,
        lambda d: (0.3 * d.normal(4, 4) + 2.0 * np.eye(4), d.normal(4, 3)),
        params={"lower": lower, "unit_diagonal": unit},
        reference=lambda a, b: np.linalg.solve(triangle(a, lower, unit), b),
    )


@pytest.mark.parametrize("a, b", [((), (2,)), ((2,), ()), ((2, 1), (3,))])
def test_broadcasting(check, a, b):
    def inputs(d):
        return 0.3 * d.normal(*a, 3, 3) + 2.0 * np.eye(3), d.normal(*b, 3, 2)

    params = {"lower": True, "unit_diagonal": False}
    check(solve_triangular, inputs, params=params, reference=lambda a, b: np.linalg.inv(np.tril(a)) @ b, batch=False)


@pytest.mark.parametrize("lower, unit", KINDS)
def test_gradient_has_the_triangle_s_structure(backend, lower, unit):
    d = Draw(0)
    a, b = d.normal(4, 4) + 3.0 * np.eye(4), d.normal(4, 2)
    _, pullback = arrmb.vjp(
        lambda a: solve_triangular(a, backend.put(b, "float64"), lower=lower, unit_diagonal=unit),
        backend.put(a, "float64"),
    )
    abar = backend.get(pullback(backend.put(b, "float64"))[0])
    np.testing.assert_array_equal(
        abar != 0.0, np.tril(np.ones((4, 4)), -unit) > 0 if lower else np.triu(abar, unit) != 0.0
    )
    assert np.count_nonzero(abar) == (6 if unit else 10)


def test_the_other_triangle_is_not_looked_at(backend):
    a = np.array([[2.0, np.nan], [1.0, 4.0]])
    x = solve_triangular(backend.put(a, "float64"), backend.put(np.eye(2), "float64"), lower=True, unit_diagonal=False)
    np.testing.assert_allclose(backend.get(x), [[0.5, 0.0], [-0.125, 0.25]])


def test_graded_matrices_lose_no_digit(backend):
    """Substitution is accurate entry by entry, where an inverse or a pivoted elimination need not be."""
    if backend.name == "strict":
        pytest.skip("array-api-strict has no triangular solver: a general one is given the triangle")
    a = np.tril(np.ones((4, 4))) * np.array([1e-12, 1e-6, 1.0, 1e6])
    b = a @ np.ones((4, 1))
    x = solve_triangular(backend.put(a, "float64"), backend.put(b, "float64"), lower=True, unit_diagonal=False)
    np.testing.assert_allclose(backend.get(x), 1.0, rtol=1e-9)


@pytest.mark.parametrize("lower, unit", KINDS)
def test_without_scipy(monkeypatch, lower, unit):
    d = Draw(0)
    a, b = d.normal(4, 4) + 3.0 * np.eye(4), d.normal(4, 2)
    expected = solve_triangular(a, b, lower=lower, unit_diagonal=unit)
    monkeypatch.setattr(_lapack, "has_scipy", lambda: False)
    np.testing.assert_allclose(solve_triangular(a, b, lower=lower, unit_diagonal=unit), expected, atol=1e-14)


@pytest.mark.parametrize("lower, unit", KINDS)
def test_gradient_is_that_of_torch(lower, unit):
    torch = pytest.importorskip("torch")
    d = Draw(5, complex=True)
    a, b, xbar = d.normal(4, 4) + 3.0 * np.eye(4), d.normal(4, 2), d.normal(4, 2)
    t, u = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    torch.linalg.solve_triangular(t, u, upper=not lower, unitriangular=unit).backward(torch.tensor(xbar))
    _, pullback = arrmb.vjp(lambda a, b: solve_triangular(a, b, lower=lower, unit_diagonal=unit), a, b)
    for got, expected in zip(pullback(xbar), (t.grad.numpy(), u.grad.numpy())):
        assert np.linalg.norm(got - expected) <= 1e-13 * np.linalg.norm(expected)
