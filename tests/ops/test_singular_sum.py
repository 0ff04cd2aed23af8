"""Sums of functions of singular values: to second order at ties, and the subgradients at kinks."""

import numpy as np
import pytest

import arrmb
from arrmb.ops.singular_sum import Between, OddPower, singular_sum
from arrmb.testing import Draw

SHAPES = [(4, 4), (5, 4), (4, 6)]
# lo, hi, and spectra at which the sum is smooth
BETWEEN = {
    "nuclear": (0, 4, [(1, 1, 1, 1), (2, 1, 1 - 1e-12, 1), (1, 1, 1 - 1e-5, 0.5)]),
    "Ky Fan 2": (0, 2, [(2, 2, 1, 1), (2, 2 - 1e-9, 0, 0), (3, 2, 1e-9, 0)]),
    "spectral": (0, 1, [(3, 1, 1, 1), (3, 0, 0, 0)]),
    "smallest": (3, 4, [(2, 2, 2, 1), (2, 2, 2 - 1e-9, 1)]),
}
POWERS = {
    1.5: [(1, 1, 1, 1), (1, 1 - 1e-7, 1 - 1e-12, 0.5)],
    2.0: [(1, 1, 0, 0), (1, 1, 1, 1)],
    3.0: [(1, 1, 1, 1), (2, 2, 1, 1 - 1e-9)],
    4.0: [(1, 1, 1, 1), (2, 2, 0, 0), (1, 1 - 1e-7, 1 - 1e-12, 0), (1, 1e-9, 1e-12, 0)],
}


def with_values(m, n, values):
    return lambda d: (d.with_singular_values(m, n, values),)


@pytest.mark.parametrize("m, n", SHAPES)
@pytest.mark.parametrize("name", BETWEEN)
def test_between(check, m, n, name):
    lo, hi, spectra = BETWEEN[name]
    check(
        singular_sum,
        with_values(m, n, (3.0, 2.0, 1.2, 0.5)),
        params={"kernel": Between(name, (m, n), lo, hi)},
        reference=lambda x: np.sum(np.linalg.svd(x)[1][lo:hi]),
        at=[with_values(m, n, s) for s in spectra],
    )


@pytest.mark.parametrize("m, n", SHAPES)
@pytest.mark.parametrize("p", POWERS)
def test_powers(check, m, n, p):
    check(
        singular_sum,
        with_values(m, n, (3.0, 2.0, 1.2, 0.5)),
        params={"kernel": OddPower("power", (m, n), p)},
        reference=lambda x: np.sum(np.linalg.svd(x)[1] ** p),
        at=[with_values(m, n, s) for s in POWERS[p]],
    )


def gradient(x, kernel):
    return arrmb.grad(lambda x: singular_sum(x, kernel=kernel))(x)


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32", "complex64"])
@pytest.mark.parametrize("m, n", [(4, 4), (5, 4), (4, 6)])
def test_kinks_take_the_subgradient_of_least_norm(backend, dtype, m, n):
    d = Draw(3, complex=dtype.startswith("complex"))
    x = d.with_singular_values(m, n, (2.0, 2.0, 2.0, 0.0))
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    within = u[:, :3] @ vh[:3]  # of the tied group
    for (lo, hi), share in {(0, 1): 1 / 3, (0, 2): 2 / 3, (0, 3): 1.0, (0, 4): 1.0, (1, 2): 1 / 3, (3, 4): 0.0}.items():
        found = backend.get(gradient(backend.put(x, dtype), Between("x", (m, n), lo, hi)))
        np.testing.assert_allclose(found, share * within, atol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kernel", [Between("x", (4, 3), 0, 2), OddPower("x", (4, 3), 1.5), OddPower("x", (4, 3), 3.0)])
@pytest.mark.parametrize("values", [(0, 0, 0), (2, 0, 0), (2, 2, 2), (1, 1e-16, 0)])
def test_all_is_finite_at_kinks(backend, kernel, values):
    d = Draw(1)
    x, e = backend.put(d.with_singular_values(4, 3, values), "float64"), backend.put(d.normal(4, 3), "float64")
    f = lambda x: singular_sum(x, kernel=kernel)  # noqa: E731
    assert np.all(np.isfinite(backend.get(arrmb.grad(f)(x))))
    assert np.all(np.isfinite(backend.get(arrmb.hvp(f, (x,), (e,))[0])))
    if not any(values):
        assert not np.any(backend.get(arrmb.grad(f)(x)))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3)])
def test_matrices_without_entries(backend, shape):
    x = backend.put(np.zeros(shape), "float64")
    kernel = Between("x", shape[-2:], 0, 0)
    y, pullback = arrmb.vjp(lambda x: singular_sum(x, kernel=kernel), x)
    assert y.shape == shape[:-2] and pullback(y)[0].shape == shape


def test_third_order():
    """tr (X^T X)^2 at a tie."""
    d = Draw(2)
    x, e = d.with_singular_values(4, 3, (1.0, 1.0, 1.0)), d.normal(4, 3)
    kernel = OddPower("x", (4, 3), 4.0)

    def slope(f):
        return lambda x: arrmb.jvp(f, (x,), (e,))[1]

    third = slope(slope(slope(lambda x: singular_sum(x, kernel=kernel))))(x)
    cross, square = x.T @ e + e.T @ x, e.T @ e
    # (A + t B + t² C)² has at t³ the trace 2 tr(B C); the derivative is 3! times that
    assert abs(third - 12.0 * np.trace(cross @ square)) <= 1e-12 * abs(third)


def test_fourth_order_is_refused():
    x = Draw(0).with_singular_values(3, 3, [2.0, 1.0, 1.0])
    kernel = Between("nuclear", (3, 3), 0, 3)

    def slope(f):
        return lambda x: arrmb.jvp(f, (x,), (np.eye(3),))[1]

    with pytest.raises(NotImplementedError, match="nuclear: third derivatives"):
        slope(slope(slope(slope(lambda x: singular_sum(x, kernel=kernel)))))(x)
