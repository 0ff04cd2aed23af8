"""Cholesky factor."""

import numpy as np

import arrmb
from arrmb.ops.cholesky import cholesky


def positive(d):
    return (d.hermitian([0.5, 1.0, 2.0, 3.0]),)


def test_cholesky(check):
    check(cholesky, positive, reference=np.linalg.cholesky, at=[lambda d: (d.hermitian([1.0, 1.0, 1.0, 2.0]),)])


def test_ill_conditioned(backend):
    """Condition 1e4, where the steps of finite differences would leave the cone: against the complex step."""
    x = arrmb.testing.Draw(3).hermitian([1e-4, 1e-2, 0.1, 1.0])
    weights, dx = np.random.default_rng(0).standard_normal((2, 4, 4))
    y, pullback = arrmb.vjp(cholesky, backend.put(x, "float64"))
    got = backend.get(pullback(backend.put(weights, "float64"))[0])
    # Im of the factor of X + i t E, without conjugation, is t dL: exact to rounding, no cancellation.
    t = 1e-30
    y = _complex_step_cholesky(x + 1j * t * 0.5 * (dx + dx.T))
    expected = np.sum(weights * y.imag) / t
    assert abs(np.sum(got * dx) - expected) <= 1e-12 * np.linalg.norm(got) * np.linalg.norm(dx)


def _complex_step_cholesky(x):
    """The algorithm without conjugation, so that it is analytic in the entries."""
    lower = np.zeros_like(x)
    for j in range(len(x)):
        lower[j, j] = np.sqrt(x[j, j] - lower[j, :j] @ lower[j, :j])
        lower[j + 1 :, j] = (x[j + 1 :, j] - lower[j + 1 :, :j] @ lower[j, :j]) / lower[j, j]
    return lower


def test_only_the_hermitian_part_counts(check):
    """The value does not change with a skew part, and the gradient is Hermitian."""
    d = arrmb.testing.Draw(0, complex=check.dtype.startswith("complex"))
    (x,), skew = positive(d), d.normal(4, 4)
    skew = skew - np.conj(skew.T)
    xs, ys = check.backend.put(x, check.dtype), check.backend.put(x + skew, check.dtype)
    eps = np.finfo(check.dtype).eps
    assert np.max(np.abs(check.backend.get(cholesky(xs)) - check.backend.get(cholesky(ys)))) <= 20 * eps

    y, pullback = arrmb.vjp(cholesky, ys)
    xbar = check.backend.get(pullback(y)[0])
    assert np.array_equal(xbar, np.conj(xbar.T))
