"""Least squares: tall, wide and square, full and deficient rank."""

import numpy as np
import pytest

import arrmb
from arrmb.ops.lstsq import lstsq
from arrmb.ops.pinv import pinv
from arrmb.testing import Draw


@pytest.mark.parametrize("m, n", [(6, 3), (3, 6), (4, 4)])
def test_lstsq(check, m, n):
    k = min(m, n)

    def inputs(d, values=(3.0, 2.0, 1.0, 0.5)):
        return d.with_singular_values(m, n, list(values)[:k]), d.normal(m, 2)

    def reference(a, b):
        return np.linalg.pinv(a) @ b

    check(lstsq, inputs, reference=reference, at=[lambda d: inputs(d, [2.0] * 4), lambda d: inputs(d, [2.0, 1, 1, 1])])


def test_broadcasting(check):
    check(
        lstsq,
        lambda d: (d.normal(2, 1, 5, 3), d.normal(3, 5, 2)),
        reference=lambda a, b: np.linalg.pinv(a) @ b,
        batch=False,
    )


@pytest.mark.parametrize("complex", [False, True])
def test_deficient_rank(backend, complex):
    """All three of value, variation and adjoint are those of A⁺ B, by the op for A⁺."""
    d, dtype = Draw(1, complex), "complex128" if complex else "float64"
    a, b = d.normal(6, 2) @ d.normal(2, 4), d.normal(6, 3)
    put = lambda v: backend.put(v, dtype)  # noqa: E731
    args, tangents, xbar = (put(a), put(b)), (put(d.normal(6, 4)), put(d.normal(6, 3))), put(d.normal(4, 3))
    product = lambda a, b: pinv(a) @ b  # noqa: E731
    (x, dx), (y, dy) = arrmb.jvp(lstsq, args, tangents), arrmb.jvp(product, args, tangents)
    np.testing.assert_allclose(backend.get(x), np.linalg.pinv(a) @ b, atol=1e-13)
    np.testing.assert_allclose(backend.get(x), backend.get(y), atol=1e-13)
    np.testing.assert_allclose(backend.get(dx), backend.get(dy), atol=1e-12)
    for u, v in zip(arrmb.vjp(lstsq, *args)[1](xbar), arrmb.vjp(product, *args)[1](xbar)):
        np.testing.assert_allclose(backend.get(u), backend.get(v), atol=1e-12)
    alone = arrmb.jvp(lambda b: lstsq(args[0], b), args[1:], tangents[1:])[1]
    both = arrmb.jvp(lambda a: lstsq(a, args[1]), args[:1], tangents[:1])[1] + alone
    np.testing.assert_allclose(backend.get(both), backend.get(dx), atol=1e-12)


def test_ill_conditioned_and_consistent():
    """A solution in the large directions keeps its digits: eps times the condition, not its square."""
    d = Draw(0)
    u, v = d.unitary(8)[:, :4], d.unitary(4)
    a = (u * np.array([1.0, 1e-3, 1e-6, 1e-9])) @ v.T
    x = lstsq(a, a @ np.ones((4, 1)))
    assert np.linalg.norm(x - 1.0) <= 1e-15 * 1e9 * 5


def test_normal_equations_hold_and_the_gradient_is_that_of_solving_them():
    d = Draw(3)
    a, b, xbar = d.normal(7, 3), d.normal(7, 2), d.normal(3, 2)
    gram = lambda a, b: arrmb.namespace(a, b).linalg.solve(a.T @ a, a.T @ b)  # noqa: E731
    x, pullback = arrmb.vjp(lstsq, a, b)
    y, expected = arrmb.vjp(gram, a, b)
    np.testing.assert_allclose(x, y, atol=1e-13)
    for u, v in zip(pullback(xbar), expected(xbar)):
        np.testing.assert_allclose(u, v, atol=1e-13)


@pytest.mark.parametrize("shape", [(6, 3), (4, 4)])
def test_gradient_is_that_of_torch(shape):
    torch = pytest.importorskip("torch")
    d = Draw(5)
    a, b, xbar = d.normal(*shape), d.normal(shape[0], 2), d.normal(shape[1], 2)
    t, u = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    torch.linalg.lstsq(t, u).solution.backward(torch.tensor(xbar))
    for got, expected in zip(arrmb.vjp(lstsq, a, b)[1](xbar), (t.grad.numpy(), u.grad.numpy())):
        assert np.linalg.norm(got - expected) <= 1e-11 * np.linalg.norm(expected)


def test_second_order_of_a_scalar_problem():
    """x = b/a: d²x/da² = 2b/a³."""
    f = lambda a: lstsq(a, np.array([[3.0]]))[0, 0]  # noqa: E731
    g = lambda f: lambda a: arrmb.grad(f)(a)[0, 0]  # noqa: E731
    assert abs(g(g(f))(np.array([[2.0]])) - 0.75) <= 1e-15
