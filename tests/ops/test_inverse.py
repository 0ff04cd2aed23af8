"""Inverse and linear systems."""

import numpy as np
import pytest

from arrmb.ops.inverse import inv, solve

SPECTRUM = [3.0, 2.0, 1.0, 0.5]


def matrix(d):
    return d.with_singular_values(4, 4, SPECTRUM)


def test_inv(check):
    check(inv, lambda d: (matrix(d),), reference=np.linalg.inv)


def test_inv_of_one_number(check):
    check(inv, lambda d: (d.uniform(1.0, 2.0, 1, 1),), reference=lambda x: 1.0 / x)


@pytest.mark.parametrize("k", [1, 3, 4])
def test_solve(check, k):
    check(solve, lambda d: (matrix(d), d.normal(4, k)), reference=np.linalg.solve)


def test_solve_with_a_vector(check):
    check(solve, lambda d: (matrix(d), d.normal(4)), reference=lambda a, b: np.linalg.inv(a) @ b, batch=False)


@pytest.mark.parametrize(
    "a, b", [((5,), (4,)), ((4,), (4,)), ((5,), (4, 2)), ((4,), (4, 4)), ((), (5, 4, 2)), ((5, 1), (2, 4, 2))]
)
def test_solve_broadcasts(check, a, b):
    def inputs(d):
        x = np.reshape([matrix(d) for _ in range(int(np.prod(a)))], (*a, 4, 4))
        return x, d.normal(*b)

    check(solve, inputs, reference=lambda a, b: np.linalg.inv(a) @ b, batch=False)
