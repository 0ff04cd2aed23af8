"""Nonsymmetric eigenvalues: against PyTorch and 60 digits; ties, defective matrices."""

import mpmath
import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb._lapack import eig as seam
from arrmb._xp import H, real
from arrmb.ops.eig import eig, eigvals
from arrmb.testing import Draw


def with_eigenvalues(*blocks, spread=0.5):
    """T D T^-1; a block (a, b) is the pair of conjugate eigenvalues a ± bi of a real matrix."""

    def make(d):
        sizes = [2 if isinstance(b, tuple) else 1 for b in blocks]
        x, at = np.zeros((sum(sizes), sum(sizes))), 0
        for b, n in zip(blocks, sizes):
            x[at : at + n, at : at + n] = [[b[0], b[1]], [-b[1], b[0]]] if n == 2 else b
            at += n
        t = d.unitary(at) + spread * d.normal(at, at) / at
        return (t @ x @ np.linalg.inv(t),)

    return make


DISTINCT = with_eigenvalues(-2.0, 1.0, 3.0, (0.5, 2.0))
REAL = with_eigenvalues(-2.0, -0.5, 1.0, 2.0, 3.5)


def invariants(w, v):
    """Of no phase and no order: a symmetric function of the eigenvalues, and one of unit eigenvectors."""
    xp = arrmb.namespace(w)
    return xp.sum(w * w * w, axis=-1), (v * xp.exp(0.3 * w)[..., None, :]) @ H(v)


def unit(w, v):
    xp = arrmb.namespace(v)
    return xp.sum(real(v) ** 2 + xp.imag(v) ** 2, axis=-2)


def test_eig(check):
    def reference(x):
        w, v = np.linalg.eig(x)
        v = v.astype(complex)
        return np.trace(x @ x @ x) + 0j, (v * np.exp(0.3 * w)) @ np.conj(v.T)

    check(eig, DISTINCT, invariant=invariants, reference=reference, at=[REAL], loss=10.0)


def test_eigvals(check):
    def symmetric(w):
        xp = arrmb.namespace(w)
        return xp.sum(w * w * w, axis=-1), xp.sum(xp.exp(w), axis=-1)

    tied = with_eigenvalues(1.0, 1.0, 1.0, 3.0, -2.0)
    check(eigvals, DISTINCT, invariant=symmetric, at=[REAL])
    check(eigvals, tied, invariant=symmetric, order=1, loss=10.0)


def test_unit_norm_is_kept(check):
    x, e = (check.backend.put(m, check.dtype) for m in (*DISTINCT(draw(check)), draw(check).normal(5, 5)))
    y, dy = arrmb.jvp(lambda x: unit(*eig(x)), (x,), (e,))
    tolerance = 1e-13 if check.dtype in ("float64", "complex128") else 1e-5
    np.testing.assert_allclose(check.backend.get(y), 1.0, rtol=tolerance)
    np.testing.assert_allclose(check.backend.get(dy), 0.0, atol=10 * tolerance)


def draw(check):
    return Draw(1, complex=check.dtype.startswith("complex"))


def test_results_are_complex_and_the_gradient_is_of_the_input(backend):
    for dtype, expected in (("float32", "complex64"), ("float64", "complex128"), ("complex64", "complex64")):
        for make in (REAL, DISTINCT):
            x = backend.put(make(Draw(1, complex=dtype == "complex64"))[0], dtype)
            for found in (*linalg.eig(x), linalg.eigvals(x), *arrmb.vjp(linalg.eig, x)[0]):
                assert found.dtype == getattr(backend.xp, expected)
            gradient = arrmb.grad(lambda x: arrmb.namespace(x).sum(real(linalg.eigvals(x)) ** 2))(x)
            assert gradient.dtype == x.dtype
    w, v = linalg.eig(x)
    assert linalg.eig(x)._fields == ("eigenvalues", "eigenvectors")
    np.testing.assert_allclose(backend.get(x @ v), backend.get(v * w[None, :]), atol=1e-5)


# ------------------------------------------------------------------------------------------------------------ oracles


def torch_loss(torch, w, v, g):
    one = v * torch.exp(0.3 * w)[None, :]
    return (one @ v.mH * g).sum().real + (w * w.conj() * w.real).sum().real


def our_loss(x, g, gauge="raise"):
    w, v = linalg.eig(x, gauge=gauge)
    xp = arrmb.namespace(w)
    one = v * xp.exp(0.3 * w)[None, :]
    return real(xp.sum((one @ H(v)) * g)) + xp.sum((real(w) ** 2 + xp.imag(w) ** 2) * real(w))


@pytest.mark.parametrize("make", [DISTINCT, REAL])
@pytest.mark.parametrize("complex", [False, True])
def test_gradients_against_pytorch(make, complex):
    torch = pytest.importorskip("torch")
    d = Draw(3, complex=complex)
    (x,), g = make(d), Draw(4, complex=True).normal(5, 5)
    t = torch.tensor(x, requires_grad=True)
    torch_loss(torch, *torch.linalg.eig(t), torch.tensor(g)).backward()
    found, expected = arrmb.grad(lambda x: our_loss(x, g))(x), t.grad.resolve_conj().numpy()
    assert found.dtype == x.dtype
    assert np.linalg.norm(found - expected) <= 1e-12 * np.linalg.norm(expected)


def mp_loss(x, g):
    w, v = mpmath.eig(x)
    n = x.rows
    total = mpmath.mpf(0)
    for j in range(n):
        size = mpmath.sqrt(sum(abs(v[i, j]) ** 2 for i in range(n)))
        column = [v[i, j] / size for i in range(n)]
        pairs = sum(column[a] * mpmath.conj(column[b]) * g[a, b] for a in range(n) for b in range(n))
        total += mpmath.re(mpmath.exp(mpmath.mpf(0.3) * w[j]) * pairs) + abs(w[j]) ** 2 * mpmath.re(w[j])
    return total


@pytest.mark.parametrize("make", [DISTINCT, REAL])
@pytest.mark.parametrize("complex", [False, True])
def test_against_sixty_digits(make, complex):
    """Along a direction: first and second derivative."""
    d = Draw(5, complex=complex)
    (x,), e, g = make(d), d.normal(5, 5), Draw(6, complex=True).normal(5, 5)
    with mpmath.workdps(60):
        mx, me, mg = (mpmath.matrix(np.asarray(m).tolist()) for m in (x, e, g))
        line = lambda t: mp_loss(mx + t * me, mg)  # noqa: E731
        first, second = (float(mpmath.diff(line, 0, k, h=mpmath.mpf("1e-15"))) for k in (1, 2))
    slope = np.sum(np.real(np.conj(arrmb.grad(lambda x: our_loss(x, g))(x)) * e))
    curvature = np.sum(np.real(np.conj(arrmb.hvp(lambda x: our_loss(x, g), (x,), (e,))[0]) * e))
    assert abs(slope - first) <= 1e-12 * abs(first)
    assert abs(curvature - second) <= 1e-11 * abs(second)


# ----------------------------------------------------------------------------------------------------------------- ties


def test_symmetric_functions_of_a_tied_group_are_exact():
    """The trace of exp(X): its gradient is exp(X)^T, also where LAPACK tells the tied eigenvalues apart."""
    for blocks in ((1.0, 1.0, 3.0), (1.0, 1.0, 1.0), ((0.5, 1.0), (0.5, 1.0), 2.0)):
        (x,) = with_eigenvalues(*blocks, spread=1.0)(Draw(7))

        def trace_of_exp(x):
            xp = arrmb.namespace(x)
            return real(xp.sum(xp.exp(linalg.eigvals(x, gauge="raise"))))

        series, term = np.zeros_like(x), np.eye(len(x))
        for k in range(1, 60):
            series, term = series + term, term @ x / k
        assert np.linalg.norm(arrmb.grad(trace_of_exp)(x) - series.T) <= 1e-12 * np.linalg.norm(series)


def test_gauge_raise():
    (x,) = with_eigenvalues(1.0, 1.0, 3.0, 5.0, spread=1.0)(Draw(7))
    g = Draw(8, complex=True).normal(4, 4)

    def value(x):
        w = linalg.eigvals(x, gauge="raise")
        return real(w[int(np.argmin(np.abs(arrmb._xp.raw(w) - 1.0)))])

    def vector(x):
        w, v = linalg.eig(x, gauge="raise")
        j = int(np.argmin(np.abs(arrmb._xp.raw(w) - 1.0)))
        one = v[:, j : j + 1]
        return real(arrmb.namespace(v).sum((one @ H(one)) * g))

    def other_vector(x):
        w, v = linalg.eig(x, gauge="raise")
        j = int(np.argmax(np.real(arrmb._xp.raw(w))))
        one = v[:, j : j + 1]
        return real(arrmb.namespace(v).sum((one @ H(one)) * g))

    with pytest.raises(ValueError, match=r"eigvals: eigenvalues \d and \d \(1.* and 1.*, gap .*not symmetric"):
        arrmb.grad(value)(x)
    with pytest.raises(
        ValueError, match=r"eig: eigenvalues \d and \d .*the loss depends on the choice of eigenvectors"
    ):
        arrmb.grad(vector)(x)
    assert np.all(np.isfinite(arrmb.grad(other_vector)(x)))
    with pytest.raises(ValueError, match=r"eig: eigenvalues \d and \d .*no rule for second derivatives at ties"):
        arrmb.hvp(other_vector, (x,), (x,))
    with pytest.raises(ValueError, match=r"eigvals: eigenvalues \d and \d .*no rule for second derivatives at ties"):
        arrmb.hvp(lambda x: real(arrmb.namespace(x).sum(linalg.eigvals(x, gauge="raise") ** 2)), (x,), (x,))
    for f in (linalg.eig, linalg.eigvals):
        with pytest.raises(ValueError, match=rf"{f.__name__}: eigenvalues \d and \d .*the direction splits the pair"):
            arrmb.jvp(lambda x, f=f: f(x, gauge="raise"), (x,), (np.real(g),))


@pytest.mark.parametrize("complex", [False, True])
def test_phases(complex):
    (x,) = DISTINCT(Draw(1, complex=complex))

    def phase(gauge):
        def f(x):
            w, v = linalg.eig(x, gauge=gauge)
            j = int(np.argmax(np.imag(arrmb._xp.raw(w))))
            return real(v[0, j] * (1.0 + 2.0j))

        return f

    assert np.all(np.isfinite(arrmb.grad(phase("drop"))(x)))
    with pytest.raises(ValueError, match=r"eig: eigenvalue \d \(.*j\): the loss depends on the choice of eigenvectors"):
        arrmb.grad(phase("raise"))(x)


def test_accidents_of_a_special_basis_are_caught(backend):
    """<G, V diag(w) V^-1> at the identity, G zero on the diagonal: invisible to a rule at V = I."""
    g = Draw(1).normal(3, 3)
    g = backend.put(g - np.diag(np.diagonal(g)), "float64")

    def loss(gauge):
        def f(x):
            w, v = linalg.eig(x, gauge=gauge)
            xp = arrmb.namespace(v)
            return xp.sum(real((v * w[None, :]) @ xp.linalg.inv(v)) * g)

        return f

    x = backend.put(np.eye(3), "float64")
    assert np.all(np.isfinite(backend.get(arrmb.grad(loss("drop"))(x))))
    with pytest.raises(ValueError, match="not symmetric in them"):
        arrmb.grad(loss("raise"))(x)
    v = backend.get(linalg.eig(x, gauge="raise").eigenvectors)
    np.testing.assert_allclose(np.linalg.norm(v, axis=0), 1.0, rtol=1e-14)


# ------------------------------------------------------------------------------------------------- defective matrices


@pytest.mark.parametrize("name", ["eig", "eigvals"])
def test_defective_matrices_raise(backend, name):
    f = getattr(linalg, name)

    def total(x, **options):
        found = f(x, **options)
        return arrmb.namespace(x).sum(real(found if name == "eigvals" else found[0]))

    jordan = backend.put(np.asarray([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]]), "float64")
    turns = [Draw(seed).unitary(3) for seed in range(5)]  # eigenvectors dependent to sqrt(eps) only
    hidden = backend.put(np.stack([t @ backend.get(jordan) @ t.T for t in turns]), "float64")
    message = rf"{name}: x is defective to rounding: .*no derivative; write the loss without them"
    with pytest.raises(ValueError, match=message):
        arrmb.grad(lambda x: total(x, gauge="raise"))(jordan)
    with pytest.raises(ValueError, match=message):
        arrmb.grad(lambda x: total(x, gauge="raise"))(hidden)
    for i in range(5):
        with pytest.raises(ValueError, match=message):
            arrmb.jvp(lambda x: total(x, gauge="raise"), (hidden[i, ...],), (jordan,))
    if backend.name != "cupy":
        with pytest.raises(ValueError, match=message):
            arrmb.grad(total)(jordan)
        with pytest.raises(ValueError, match=message):
            arrmb.jvp(total, (jordan,), (jordan,))
    assert backend.get(total(jordan)) == 5.0  # the values alone are fine


@pytest.mark.parametrize("angle", [1e-2, 1e-4])
def test_digits_are_lost_as_the_condition_number_says(angle):
    """Eigenvalues 1 and 2 with eigenvectors at a small angle: the derivative of one is y x^H / y^H x."""
    v = np.asarray([[1.0, np.cos(angle)], [0.0, np.sin(angle)]])
    x = v @ np.diag([1.0, 2.0]) @ np.linalg.inv(v)

    def largest(x):
        w = linalg.eigvals(x)
        return real(w[int(np.argmax(np.real(arrmb._xp.raw(w))))])

    y = np.linalg.inv(v)[1]
    expected = np.outer(y, v[:, 1])
    found = arrmb.grad(largest)(x)
    assert np.linalg.norm(found - expected) <= 1e-15 / angle * 10 * np.linalg.norm(expected)


def test_a_backend_without_eig(monkeypatch):
    strict = pytest.importorskip("array_api_strict")
    monkeypatch.delattr(strict.linalg, "eig", raising=False)
    with pytest.raises(NotImplementedError, match=r"eig: array_api_strict has no linalg\.eig in this version"):
        seam(strict.eye(2))
