"""Thin singular value decomposition: distinct, tied and zero singular values, and extreme scales."""

import numpy as np
import pytest

import arrmb
from arrmb._xp import H
from arrmb.ops.svd import svd, svdvals

SHAPES = [(4, 4), (5, 3), (3, 5)]


def with_values(m, n, values):
    return lambda d: (d.with_singular_values(m, n, values[: min(m, n)]),)


def cube(u, s, vh):
    """What does not depend on the phases of the pairs of vectors."""
    c = (s * s * s)[..., None, :]
    return s, (u * c) @ vh, (u * c) @ H(u), (H(vh) * c) @ vh


def pair(u, s, vh):
    """What svd is exact for when the first two singular values are tied, and the last one may be zero."""
    xp = arrmb.namespace(s)
    u, v = u[..., :, :2], H(vh)[..., :, :2]
    return xp.sum(xp.exp(s[..., :2]), axis=-1), u @ H(v), u @ H(u), v @ H(v)


@pytest.mark.parametrize("m, n", SHAPES)
def test_svd(check, m, n):
    def reference(x):
        gram, other = x @ np.conj(x.T), np.conj(x.T) @ x
        left, right = np.linalg.eigh(gram), np.linalg.eigh(other)
        roots = [(v * np.maximum(w, 0.0) ** 1.5) @ np.conj(v.T) for w, v in (left, right)]
        return np.linalg.svd(x)[1], gram @ x, *roots

    check(svd, with_values(m, n, [3.0, 2.0, 1.0, 0.4]), invariant=cube, reference=reference)


@pytest.mark.parametrize("m, n", SHAPES)
def test_svd_at_ties(check, m, n):
    near = with_values(m, n, [2.0, 2.0 - 1e-5, 1.0, 0.4])
    at = [with_values(m, n, [2.0, 2.0, 0.5, 0.5])]
    if check.dtype in ("float64", "complex128"):  # eps/gap is 1e-2 in single precision
        at.append(near)
    check(svd, with_values(m, n, [2.0, 2.0, 1.0, 0.4]), invariant=pair, at=at, order=1)


@pytest.mark.parametrize("m, n", [*SHAPES, (6, 4), (4, 6)])
def test_svd_of_a_rank_deficient_matrix(check, m, n):
    deficient = [with_values(m, n, [3.0, 1.5, 0.0, 0.0]), with_values(m, n, [2.0, 2.0, 0.0, 0.0])]
    check(svd, deficient[0], invariant=pair, at=deficient[1:], order=1)


@pytest.mark.parametrize("m, n", [(4, 1), (1, 4)])
def test_svd_of_one_vector(check, m, n):
    check(svd, lambda d: (d.normal(m, n),), invariant=cube)


@pytest.mark.parametrize("m, n", SHAPES)
def test_svdvals(check, m, n):
    def reference(x):
        return np.linalg.svd(x)[1]

    check(svdvals, with_values(m, n, [3.0, 2.0, 1.0, 0.4]), reference=reference)


def test_svdvals_at_ties(check):
    def symmetric(s):
        return (arrmb.namespace(s).sum(s * s * s * s, axis=-1),)

    def reference(x):
        gram = x @ np.conj(x.T)
        return np.trace(gram @ gram).real

    tied = [with_values(5, 4, values) for values in ([2.0, 2.0, 1.0, 1.0], [1.0] * 4, [1.0, 0.0, 0.0, 0.0])]
    check(svdvals, tied[0], invariant=symmetric, reference=reference, at=tied[1:], order=1)


@pytest.mark.parametrize("m, n", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_extreme_scales_in_single_precision(backend, dtype, scale, m, n):
    """U V^H and the projectors are of degree 0 in X, so gradients are of degree -1. Squares would leave the range."""

    def invariants(x):
        u, s, vh = svd(x)
        u, v = u[:, :2], H(vh)[:, :2]
        return u @ H(v), u @ H(u), v @ H(v), s / arrmb.namespace(s).sum(s)

    d = arrmb.testing.Draw(1, complex=dtype == "complex64")
    (x,), dx = with_values(m, n, [3.0, 2.0, 1.0, 0.4])(d), d.normal(m, n)
    results = []
    for c in (1.0, scale):
        xs, dxs = backend.put(c * x, dtype), backend.put(dx, dtype)
        y, dy = arrmb.jvp(invariants, (xs,), (dxs,))
        _, pullback = arrmb.vjp(invariants, xs)
        bars = tuple(backend.put(np.ones(v.shape), dtype) for v in y)
        results.append([c * backend.get(v).astype("complex128") for v in (*dy, *pullback(bars))])
    for at_one, at_scale in zip(*results):
        assert np.linalg.norm(at_scale - at_one) <= 2e-5 * np.linalg.norm(at_one)


def test_reconstruction_at_a_tie_is_beyond_any_rule_of_svd():
    """<G, U diag(s) V^T> is <G, X>, with gradient G: exact where the singular values are distinct, and not at a tie."""
    weights = np.random.default_rng(6).standard_normal((4, 4))

    def loss(x):
        u, s, vh = svd(x)
        return arrmb.namespace(x).sum(((u * s) @ vh) * weights)

    def error(values):
        x = arrmb.testing.Draw(5).with_singular_values(4, 4, values)
        return np.linalg.norm(arrmb.grad(loss)(x) - weights) / np.linalg.norm(weights)

    assert error([3.0, 2.0, 1.0, 0.4]) <= 1e-13
    assert error([1.0, 1.0, 1.0, 1.0]) > 0.2


def test_a_tie_is_relative_to_its_own_matrix():
    """A gap of 1e-6 is none: its vectors are told apart, in a batch with matrices of quite other scales.

    U's first column is an eigenvector of X X^T, of which the gradient is known: Xbar = 2 Cbar X for C = X X^T.
    """
    weights = np.random.default_rng(6).standard_normal((4, 4))
    x = arrmb.testing.Draw(5).with_singular_values(4, 4, [2.0 + 1e-6, 2.0, 1.0, 0.4])
    scales = np.array([1.0, 1e12, 1e-12])

    def loss(x):
        u = svd(x)[0][..., :1]
        return arrmb.namespace(x).sum((u @ u.mT) * weights)

    u, s, _ = np.linalg.svd(x)
    between = np.zeros((4, 4))
    between[0, 1:] = 1.0 / (s[0] ** 2 - s[1:] ** 2)
    expected = 2.0 * u @ ((between + between.T) * (u.T @ (0.5 * (weights + weights.T)) @ u)) @ u.T @ x
    for c, gradient in zip(scales, arrmb.grad(loss)(scales[:, None, None] * x)):
        error = np.linalg.norm(c * gradient - expected) / np.linalg.norm(expected)
        assert error <= 1e-8  # eps s_max / gap is 5e-10


def test_gradients_are_finite_anywhere(check):
    d = arrmb.testing.Draw(0, complex=check.dtype.startswith("complex"))
    for values in ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1e-12, 0.0]):
        for m, n in ((3, 3), (5, 3), (3, 5)):
            x = check.backend.put(d.with_singular_values(m, n, values), check.dtype)
            y, pullback = arrmb.vjp(svd, x)
            bars = tuple(check.backend.put(np.ones(v.shape), check.dtype) for v in y)
            assert np.all(np.isfinite(check.backend.get(pullback(bars)[0])))
