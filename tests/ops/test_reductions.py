"""Reductions over every kind of axis, ties of max and min, and zeros of products."""

import itertools

import numpy as np
import pytest

import arrmb
from arrmb.ops import reductions
from arrmb.testing import check_grads

AXES = [None, 0, -1, (0, 2), (1,), (0, 1, 2), ()]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES, ids=str)
def test_sum(check, axis, keepdims):
    check(
        reductions.sum,
        lambda d: (d.normal(2, 3, 4),),
        params={"axis": axis, "keepdims": keepdims},
        reference=lambda x: np.sum(x, axis=axis, keepdims=keepdims),
        batch=False,
    )


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [a for a in AXES if a != ()], ids=str)
@pytest.mark.parametrize("name", ["max", "min"])
def test_extrema(check_real, name, axis, keepdims):
    def inputs(d):
        return (d.rng.permutation(24).reshape(2, 3, 4) + d.uniform(-0.2, 0.2, 2, 3, 4),)

    check_real(
        getattr(reductions, name),
        inputs,
        params={"axis": axis, "keepdims": keepdims},
        reference=lambda x: getattr(np, name)(x, axis=axis, keepdims=keepdims),
        batch=False,
    )


def test_sum_and_extrema_in_batches(check_real):
    params = {"axis": -1, "keepdims": False}
    check_real(reductions.sum, lambda d: (d.normal(4),), params=params)
    # 0.5 apart, so that no difference quotient crosses a tie
    check_real(reductions.max, lambda d: (0.5 * np.argsort(d.normal(4), axis=-1),), params=params)


@pytest.mark.parametrize("name", ["max", "min"])
def test_tied_entries_share_the_derivative(backend, name):
    sign = 1.0 if name == "max" else -1.0
    x = backend.put(sign * np.asarray([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), "float64")
    ones = backend.put(np.ones(2), "float64")
    _, pullback = arrmb.vjp(lambda x: getattr(arrmb.namespace(x), name)(x, axis=1), x)
    np.testing.assert_allclose(backend.get(pullback(ones)[0]), [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-15)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumulative_sum(check, axis):
    check(
        reductions.cumulative_sum,
        lambda d: (d.normal(3, 4),),
        params={"axis": axis},
        reference=lambda x: np.cumsum(x, axis=axis),
        batch=False,
    )


# prod and cumulative_prod: polynomials, so that every derivative is a product of other entries, zeros or not


@pytest.mark.parametrize(
    "values", [[2.0, 3.0, -1.5, 4.0, 0.5], [0.0, 3.0, 2.0], [0.0, 0.0, 2.0, 5.0], [0.0] * 4, [1.5]]
)
def test_prod_with_zeros_to_second_order(backend, values):
    x = backend.put(np.asarray(values), "float64")
    n = len(values)
    f = lambda x: arrmb.namespace(x).prod(x)  # noqa: E731
    others = lambda *left_out: np.prod([v for i, v in enumerate(values) if i not in left_out])  # noqa: E731
    np.testing.assert_allclose(backend.get(arrmb.grad(f)(x)), [others(i) for i in range(n)], rtol=1e-15)
    hessian = np.zeros((n, n))
    for i, j in itertools.permutations(range(n), 2):
        hessian[i, j] = others(i, j)
    np.testing.assert_allclose(backend.get(arrmb.jacobian(arrmb.grad(f))(x)), hessian, rtol=1e-15)
    np.testing.assert_allclose(backend.get(arrmb.hvp(f, (x,), (x,))[0]), hessian @ values, rtol=1e-14)


@pytest.mark.parametrize("values", [[2.0, 3.0, -1.5, 4.0, 0.5], [3.0, 0.0, 2.0], [0.0, 0.0, 2.0, 5.0]])
def test_cumulative_prod_with_zeros(backend, values):
    x = backend.put(np.asarray(values), "float64")
    check_grads(lambda x: arrmb.namespace(x).cumulative_prod(x), (x,))
    expected = np.asarray(
        [
            [
                np.prod([v for k, v in enumerate(values[: i + 1]) if k != j]) if j <= i else 0.0
                for j in range(len(values))
            ]
            for i in range(len(values))
        ]
    )
    found = arrmb.jacobian(lambda x: arrmb.namespace(x).cumulative_prod(x))(x)
    np.testing.assert_allclose(backend.get(found), expected, rtol=1e-15)


def test_empty_reductions(backend):
    x = backend.put(np.zeros((0, 2)), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        return xp.sum(x) + xp.prod(x) + xp.sum(xp.prod(x, axis=0)) + xp.sum(xp.cumulative_sum(x, axis=0))

    value, g = arrmb.value_and_grad(f)(x)
    assert float(value) == 3.0
    assert tuple(g.shape) == (0, 2)


@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_complex_moments(backend, name):
    z = backend.put(np.asarray([[1.0 + 2.0j, -0.5j, 0.3], [1.0, 2.0, -1.0j]]), "complex128")
    if name != "mean":
        pytest.skip("the standard defines var and std for real arrays")
    check_grads(lambda z: getattr(arrmb.namespace(z), name)(z, axis=1), (z,))


def test_std_at_equal_entries_is_infinite_only_there(backend):
    """The square root of zero has no derivative; the variance has."""
    x = backend.put(np.asarray([[1.0, 1.0], [1.0, 3.0]]), "float64")
    g = arrmb.grad(lambda x: arrmb.namespace(x).sum(arrmb.namespace(x).var(x, axis=1)))(x)
    np.testing.assert_array_equal(backend.get(g), [[0.0, 0.0], [-1.0, 1.0]])
    g = arrmb.grad(lambda x: arrmb.namespace(x).std(x[1, :]))(x)
    np.testing.assert_array_equal(backend.get(g), [[0.0, 0.0], [-0.5, 0.5]])
