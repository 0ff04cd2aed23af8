"""Eigenvalues and eigenvectors of a Hermitian matrix: distinct, tied, nearly tied."""

import numpy as np
import pytest

import arrmb
from arrmb._xp import H
from arrmb.ops.eigh import eigh, eigvalsh

DISTINCT = [-2.0, -1.0, 0.5, 1.7, 3.0]
TIED = [1.0, 1.0, 1.0, 3.0, 4.5]


def with_spectrum(w):
    return lambda d: (d.hermitian(w),)


def cube(w, v):
    """Eigenvalues, and a function of the matrix: neither depends on the phases of the eigenvectors."""
    return w, (v * (w * w * w)[..., None, :]) @ H(v)


def groups(w, v):
    """What eigh is exact for when the first three eigenvalues are tied."""
    xp = arrmb.namespace(w)
    first = v[..., :, :3]
    others = [v[..., :, k : k + 1] @ H(v[..., :, k : k + 1]) for k in (3, 4)]
    return xp.sum(xp.exp(w[..., :3]), axis=-1), w[..., 3:], first @ H(first), *others


def test_eigh(check):
    check(eigh, with_spectrum(DISTINCT), invariant=cube, reference=lambda x: (np.linalg.eigvalsh(x), x @ x @ x))


@pytest.mark.parametrize("n", [4, 16, 33, 128])  # a GPU's batched Jacobi method has other code for small matrices
def test_residual_and_orthogonality_of_a_batch(check, n):
    """‖X V - V Λ‖ and ‖V^H V - I‖, in Frobenius norms, within 3 n roundings per column: what all rules rest on.

    LAPACK's bound for either is p(n) eps ‖X‖ per column, p modest: here p = 3 n, over n columns (measured: p = 1.05 n).
    """
    d, backend = arrmb.testing.Draw(0, complex=check.dtype.startswith("complex")), check.backend
    x = np.stack([d.hermitian(np.linspace(-1.0, 2.0, n)), d.hermitian(np.repeat([1.0, 3.0], n // 2 + 1)[:n])])
    x = x.astype(check.dtype)
    w, v = map(backend.get, eigh(backend.put(x, check.dtype)))
    allowed = 3.0 * n**1.5 * np.finfo(check.dtype).eps
    assert np.all(np.diff(w) >= 0.0)
    assert np.linalg.norm(x @ v - v * w[:, None, :]) <= allowed * np.linalg.norm(x, 2, axis=(-2, -1)).max()
    assert np.linalg.norm(np.conj(np.swapaxes(v, -1, -2)) @ v - np.eye(n)) <= allowed


def test_eigh_at_ties(check):
    near = [1.0, 1.0 + 1e-5, 1.0 + 2e-5, 3.0, 4.5]
    nearest = [1.0, 1.0 + 1e-15, 1.0, 3.0, 4.5]
    at = [with_spectrum(nearest)]
    if check.dtype in ("float64", "complex128"):  # eps/gap is 1e-2 in single precision
        at.append(with_spectrum(near))
    check(eigh, with_spectrum(TIED), invariant=groups, at=at, order=1)


def test_distinct_eigenvalues_have_no_gauge(check_real):
    """Real vectors have no phase: gauge="raise" lets every cotangent pass, in either order."""
    check_real(eigh, with_spectrum(DISTINCT), params={"gauge": "raise"}, invariant=cube)
    check_real(eigvalsh, with_spectrum(DISTINCT), params={"gauge": "raise"}, reference=np.linalg.eigvalsh)


def test_eigvalsh(check):
    check(eigvalsh, with_spectrum(DISTINCT), reference=np.linalg.eigvalsh)


def test_eigvalsh_at_ties(check):
    def symmetric(w):
        return (arrmb.namespace(w).sum(w * w * w, axis=-1),)

    def reference(x):
        return np.trace(x @ x @ x).real

    tied = [with_spectrum(TIED), with_spectrum([2.0] * 5), with_spectrum([0.0] * 4 + [1.0])]
    check(eigvalsh, tied[0], invariant=symmetric, reference=reference, at=tied[1:], order=1)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_extreme_scales_in_single_precision(backend, dtype, scale):
    """The projector on eigenvectors is of degree 0 in X, so its gradient is of degree -1."""
    x = arrmb.testing.Draw(1, complex=dtype == "complex64").hermitian(DISTINCT)
    weights = backend.put(arrmb.testing.Draw(2, complex=dtype == "complex64").normal(5, 5), dtype)

    def projector(x):
        v = eigh(x)[1][:, :2]
        return v @ H(v)

    at_one, at_scale = [
        backend.get(arrmb.vjp(projector, backend.put(c * x, dtype))[1](weights)[0]).astype("complex128")
        for c in (1.0, scale)
    ]
    assert np.linalg.norm(scale * at_scale - at_one) <= 1e-5 * np.linalg.norm(at_one)


# --------------------------------------------------------------------------- at a tie: what is exact and what is not


def hermitian(spectrum):
    return arrmb.testing.Draw(5).hermitian(spectrum)


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.fixture
def weights():
    g = np.random.default_rng(6).standard_normal((5, 5))
    return 0.5 * (g + g.T)


def test_projector_on_a_tied_group_is_exact(weights):
    x = hermitian(TIED)

    def loss(x):
        v = eigh(x)[1][:, :3]
        return arrmb.namespace(x).sum((v @ v.mT) * weights)

    w, v = np.linalg.eigh(x)
    between = np.zeros((5, 5))  # divided differences of the indicator of the group: only gaps between the groups count
    between[:3, 3:] = 1.0 / (w[:3, None] - w[None, 3:])
    expected = v @ ((between + between.T) * (v.T @ weights @ v)) @ v.T
    assert relative(arrmb.grad(loss)(x), expected) <= 1e-13


@pytest.mark.parametrize("spectrum", [TIED, [2.0] * 5])
def test_symmetric_functions_of_tied_eigenvalues_are_exact(spectrum):
    x = hermitian(spectrum)

    def loss(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.exp(eigvalsh(x)))

    w, v = np.linalg.eigh(x)
    assert relative(arrmb.grad(loss)(x), (v * np.exp(w)) @ v.T) <= 1e-13


def test_reconstruction_at_a_tie_is_beyond_any_rule_of_eigh(weights):
    """The limit that the docstring tells: <G, V diag(w) V^T> is <G, X>, with gradient G, and eigh cannot know it.

    Its cotangents at the identity are wbar = diag(V^T G V) and Vbar = 2 G V: V^T Vbar is symmetric, so the
    antisymmetric part, which is what the rotations within the group pair with, is zero whatever G is off the diagonal.
    What is returned is what a rule can see. The spectral functions are exact here.
    """
    x = np.eye(5)

    def loss(x):
        w, v = eigh(x)
        return arrmb.namespace(x).sum(((v * w) @ v.mT) * weights)

    found = arrmb.grad(loss)(x)
    v = np.linalg.eigh(x)[1]
    visible = (v * np.diagonal(v.T @ weights @ v)) @ v.T
    assert relative(found, visible) <= 1e-13
    assert relative(found, weights) > 0.5
    # At distinct eigenvalues there is no such limit.
    assert relative(arrmb.grad(loss)(hermitian(DISTINCT)), weights) <= 1e-13


def test_a_tie_is_relative_to_its_own_matrix(weights):
    """A gap of 1e-6 is none: its eigenvectors are told apart, in a batch with matrices of quite other scales."""
    x, scales = hermitian([1.0, 1.0 + 1e-6, 2.0, 3.0, 4.5]), np.array([1.0, 1e12, 1e-12])

    def loss(x):
        v = eigh(x)[1][..., :1]
        return arrmb.namespace(x).sum((v @ v.mT) * weights)

    w, v = np.linalg.eigh(x)
    between = np.zeros((5, 5))
    between[0, 1:] = 1.0 / (w[0] - w[1:])
    expected = v @ ((between + between.T) * (v.T @ weights @ v)) @ v.T
    for c, gradient in zip(scales, arrmb.grad(loss)(scales[:, None, None] * x)):
        assert relative(c * gradient, expected) <= 1e-8  # eps max|w| / gap is 1e-9


def test_gradients_are_finite_and_hermitian_at_any_tie(check):
    d = arrmb.testing.Draw(0, complex=check.dtype.startswith("complex"))
    for spectrum in ([0.0] * 4, [1.0] * 4, [-1.0, 1.0, 1.0, 1.0 + 1e-7]):
        x = check.backend.put(d.hermitian(spectrum), check.dtype)
        y, pullback = arrmb.vjp(eigh, x)
        bars = tuple(check.backend.put(np.ones(v.shape), check.dtype) for v in y)
        xbar = check.backend.get(pullback(bars)[0])
        assert np.all(np.isfinite(xbar))
        assert np.array_equal(xbar, np.conj(xbar.T))
