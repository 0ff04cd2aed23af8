"""Coupled Newton-Schulz: the rules of the truncated map, and its limit, the square roots."""

import mpmath
import numpy as np
import pytest

import arrmb
from arrmb.ops.newton_schulz import newton_schulz
from arrmb.testing import Draw

SPECTRUM = [0.3, 0.7, 1.0, 2.5]
TIED = [1.0, 1.0, 1.0, 3.0]


def with_spectrum(w):
    return lambda d: (d.hermitian(w),)


def iterated(iterations):
    """The same map, written in the eigenbasis."""

    def reference(x):
        w, v = np.linalg.eigh(x)
        c = np.linalg.norm(w, axis=-1, keepdims=True)
        y, z = w / c, np.ones_like(w)
        for _ in range(iterations):
            t = 0.5 * (3.0 - z * y)
            y, z = y * t, t * z
        return tuple((v * u[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2)) for u in (y * np.sqrt(c), z / np.sqrt(c)))

    return reference


@pytest.mark.parametrize("only", [None, "root", "inverse"])
@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_truncated(check, iterations, only):
    """Values and derivatives are those of the map of so many steps."""

    def reference(x):
        both = iterated(iterations)(0.5 * (x + np.conj(np.swapaxes(x, -1, -2))))
        return both[only == "inverse"] if only else both

    at = [with_spectrum(TIED), with_spectrum([2.0] * 4), lambda d: (np.diag([1.0, 2.0, 3.0]),)]
    if iterations == 1:  # an indefinite one diverges, which shows later
        at.append(lambda d: (d.normal(3, 3),))
    check(
        newton_schulz,
        with_spectrum(SPECTRUM),
        params={"iterations": iterations, "only": only},
        reference=reference,
        at=at,
    )


def test_converged(check):
    def reference(x):
        w, v = np.linalg.eigh(x)
        return tuple((v * u[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2)) for u in (np.sqrt(w), 1.0 / np.sqrt(w)))

    check(
        newton_schulz,
        with_spectrum(SPECTRUM),
        params={"iterations": 12},
        reference=reference,
        at=[with_spectrum(TIED), with_spectrum([2.0] * 4), lambda d: (d.hermitian([0.5]),)],
    )


def mp_derivative(x, e, f, second):
    """First or second derivative along e of the matrix function f of x, by mpmath at 50 digits."""
    n = len(x)
    with mpmath.workdps(60):
        xm, em = mpmath.matrix(x.tolist()), mpmath.matrix(e.tolist())

        def at(t):
            w, v = mpmath.eigsy(xm + t * em)
            return v * mpmath.diag([f(u) for u in w]) * v.T

        h = mpmath.mpf(10) ** -15
        y = (at(h) - 2 * at(0) + at(-h)) / h**2 if second else (at(h) - at(-h)) / (2 * h)
        return np.asarray([[float(y[i, j]) for j in range(n)] for i in range(n)])


@pytest.mark.parametrize("inverse", [False, True])
def test_derivatives_against_mpmath(inverse):
    x, e = Draw(3).hermitian(SPECTRUM), Draw(4).hermitian([-1.0, 0.3, 0.5, 1.0])

    def root(x):
        return newton_schulz(x, iterations=14)[inverse]

    def first(x):
        return arrmb.jvp(root, (x,), (e,))[1]

    f = (lambda u: 1 / mpmath.sqrt(u)) if inverse else mpmath.sqrt
    for found, second in ((first(x), False), (arrmb.jvp(first, (x,), (e,))[1], True)):
        truth = mp_derivative(x, e, f, second)
        assert np.linalg.norm(found - truth) <= 1e-13 * np.linalg.norm(truth)


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("iterations", [1, 3, 12])
def test_gradient_against_the_unrolled_iteration_in_torch(iterations, is_complex):
    torch = pytest.importorskip("torch")
    d = Draw(5, is_complex)
    x, g, h = d.hermitian(TIED), d.normal(4, 4), d.normal(4, 4)
    xt = torch.tensor(x, requires_grad=True)
    c = torch.linalg.norm(xt)
    y, z = xt / c, torch.eye(4, dtype=xt.dtype)
    for _ in range(iterations):
        t = 0.5 * (3.0 * torch.eye(4, dtype=xt.dtype) - z @ y)
        y, z = y @ t, t @ z
    pair = y * torch.sqrt(c), z / torch.sqrt(c)
    sum((torch.tensor(w).conj() * v).sum().real for w, v in zip((g, h), pair)).backward()
    truth = xt.grad.numpy()
    found = arrmb.vjp(lambda x: newton_schulz(x, iterations=iterations), x)[1]((g, h))[0]
    np.testing.assert_allclose(found, 0.5 * (truth + np.conj(truth.T)), rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_in_single_precision(backend, scale):
    """The root is homogeneous of degree ½, its gradient of degree -½."""
    x, g = Draw(1).hermitian(SPECTRUM), Draw(2).normal(4, 4)

    def gradient(c):
        y, pullback = arrmb.vjp(lambda x: newton_schulz(x, iterations=10)[0], backend.put(c * x, "float32"))
        return backend.get(y), backend.get(pullback(backend.put(g, "float32"))[0])

    (y, xbar), (y_scaled, xbar_scaled) = gradient(1.0), gradient(scale)
    np.testing.assert_allclose(y_scaled / np.sqrt(scale), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(xbar_scaled * np.sqrt(scale), xbar, rtol=1e-4, atol=1e-5)


def test_the_norm_is_that_of_each_matrix():
    """A matrix in a batch with one of quite another size comes out as it does alone."""
    x = Draw(1).hermitian(SPECTRUM)
    batch = np.stack([x, 1e12 * x, 1e-12 * x])
    g = Draw(2).normal(4, 4)

    def loss(x):
        return arrmb.namespace(x).sum(g * newton_schulz(x, iterations=10)[1])

    alone = [arrmb.grad(loss)(v) for v in batch]
    np.testing.assert_allclose(arrmb.grad(loss)(batch), alone, rtol=1e-12)
