"""Singular values and vectors through the public functions: peers, closed forms, errors."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb import linalg
from arrmb._xp import H
from arrmb.testing import Draw, check_grads


def real_sum(a, g):
    xp = arrmb.namespace(a)
    return xp.sum(arrmb._xp.real(xp.conj(g) * a))


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_square_factors(backend, complex, shape):
    """The default of the standard, ``full_matrices=True``, can be differentiated for any shape."""
    x = backend.put(Draw(2, complex=complex).normal(*shape), "complex128" if complex else "float64")
    k = min(shape)

    def parts(x):
        u, s, vh = linalg.svd(x)
        assert u.shape == (shape[0],) * 2 and vh.shape == (shape[1],) * 2
        u2, v2 = u[:, k:], H(vh)[:, k:]
        return s, (u[:, :k] * s**2) @ vh[:k, :], u2 @ H(u2), v2 @ H(v2)

    check_grads(parts, (x,))


@pytest.mark.parametrize("m, n", [(6, 3), (3, 6)])
def test_complement_against_a_closed_form(m, n):
    """The projector on the extra vectors is I - X (X^H X)^-1 X^H, or that of X^H."""
    d = Draw(3, complex=True)
    x, e, g = d.normal(m, n), d.normal(m, n), d.normal(6, 6)

    def by_svd(x):
        u, _, vh = linalg.svd(x, gauge="raise")
        w = (u if m > n else H(vh))[:, 3:]
        return real_sum(w @ H(w), g)

    def closed(x):
        a = x if m > n else H(x)
        return -real_sum(a @ linalg.solve(H(a) @ a, H(a)), g)

    np.testing.assert_allclose(arrmb.grad(by_svd)(x), arrmb.grad(closed)(x), rtol=1e-11, atol=1e-12)
    ours, truth = (arrmb.hvp(f, (x,), (e,))[0] for f in (by_svd, closed))
    np.testing.assert_allclose(ours, truth, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("complex", [False, True])
def test_beside_the_peers(complex):
    """Gradients of a loss of U, S and V, where singular values are distinct."""
    torch = pytest.importorskip("torch")
    d = Draw(5, complex=complex)
    x, g, h = d.with_singular_values(5, 4, [4.0, 3.0, 2.0, 1.0]), d.normal(5, 4), d.normal(5, 5)
    t, tg, th = (torch.tensor(v) for v in (x, g, h))
    t.requires_grad_()
    u, s, vh = torch.linalg.svd(t, full_matrices=False)
    peer = (tg.conj() * ((u * s**3) @ vh)).sum().real + (th.conj() * (u[:, :2] @ u[:, :2].mH)).sum().real
    peer.backward()

    def loss(decompose):
        def f(x):
            u, s, vh = decompose(x)
            return real_sum((u * s**3) @ vh, g) + real_sum(u[:, :2] @ H(u[:, :2]), h)

        return f

    ours = arrmb.grad(loss(lambda x: linalg.svd(x, full_matrices=False, gauge="raise")))(x)
    np.testing.assert_allclose(ours, t.grad.numpy(), rtol=1e-11, atol=1e-11)
    top = arrmb.grad(loss(lambda x: linalg.svd_top(x, 4, gauge="raise")))(x)
    np.testing.assert_allclose(top, t.grad.numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.filterwarnings("ignore")  # of JAX's own
def test_second_order_beside_jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    d = Draw(5)
    x, e, g = d.with_singular_values(5, 4, [4.0, 3.0, 2.0, 1.0]), d.normal(5, 4), d.normal(5, 4)

    def peer(x):
        u, s, vh = jax.numpy.linalg.svd(x, full_matrices=False)
        return (g * ((u[:, :2] * s[:2]) @ vh[:2])).sum() + (g * (u @ vh)).sum()

    def ours(x):
        u, s, vh = linalg.svd_top(x, 2, gauge="raise")
        return real_sum((u * s) @ vh, g) + real_sum(linalg.polar(x).U, g)

    np.testing.assert_allclose(arrmb.grad(ours)(x), jax.grad(peer)(x), rtol=1e-11, atol=1e-11)
    truth = jax.jvp(jax.grad(peer), (x,), (e,))[1]
    np.testing.assert_allclose(arrmb.hvp(ours, (x,), (e,))[0], truth, rtol=1e-9, atol=1e-10)


def test_low_rank_approximation_at_a_tied_rest():
    """X_1, the best approximation of rank 1 of X = diag(d, c, c, c): along E, which couples d with one of the tied c,
    its first entry is that of the 2 x 2 problem [[d, b t], [a t, c]], here in 50 digits."""
    d, c, a, b = 3.0, 1.0, 0.7, -0.4
    x, e = np.diag([d, c, c, c]), np.zeros((4, 4))
    e[1, 0], e[0, 1] = a, b

    def entry(x):
        u, s, vh = linalg.svd_top(x, 1)
        return ((u * s) @ vh)[0, 0]

    with mpmath.workdps(50):

        def exact(t):
            y = mpmath.matrix([[d, b * t], [a * t, c]])
            u, s, v = mpmath.svd_r(y)
            return u[0, 0] * s[0] * v[0, 0]

        h = mpmath.mpf(10) ** -12
        curvature = float((exact(h) - 2 * exact(0) + exact(-h)) / h**2)
    assert abs(np.sum(arrmb.hvp(entry, (x,), (e,))[0] * e) - curvature) <= 1e-13 * abs(curvature)


def test_polar_is_scipy_s(backend):
    for shape in ((4, 4), (5, 3), (3, 5)):
        x = Draw(1).normal(*shape)
        for side in ("right", "left"):
            found = [backend.get(v) for v in linalg.polar(backend.put(x, "float64"), side=side)]
            for ours, theirs in zip(found, scipy.linalg.polar(x, side=side)):
                np.testing.assert_allclose(ours, theirs, atol=1e-13)


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_polar_derivatives_at_ties(backend, complex, side, shape):
    d = Draw(2, complex=complex)
    x = backend.put(d.with_singular_values(*shape, [2.0, 1.0, 1.0, 1.0][: min(shape)]), "float64")
    check_grads(lambda x: tuple(linalg.polar(x, side=side)), (x,))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from([(1, 1), (2, 3), (3, 2), (4, 4), (5, 4)]),
    spectrum=st.sampled_from(
        [
            [1.0, 1.0, 1.0, 1.0],
            [1e12, 1e6, 1.0, 1e-3],
            [1e-12, 1e-13, 1e-14, 1e-14],
            [1.0, 1.0 - 1e-3, 1.0 - 1e-8, 1.0 - 1e-16],
            [2.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0],
        ]
    ),
    complex=st.booleans(),
    full=st.booleans(),
)
def test_any_spectrum(shape, spectrum, complex, full):
    """Finite, transposes of each other, and no complaint where the loss sees only the projectors of gaps."""
    d = Draw(7, complex=complex)
    x = d.with_singular_values(*shape, spectrum[: min(shape)])
    f = lambda x: linalg.svd(x, full_matrices=full)  # noqa: E731
    y, pullback = arrmb.vjp(f, x)
    bars = [Draw(8, complex=np.iscomplexobj(v)).normal(*v.shape) for v in y]
    dx = d.normal(*shape)
    dy, (xbar,) = arrmb.jvp(f, (x,), (dx,))[1], pullback(type(y)(*bars))
    left = sum(np.sum(np.real(np.conj(b) * v)) for b, v in zip(bars, dy))
    right = np.sum(np.real(np.conj(xbar) * dx))
    sizes = sum(np.linalg.norm(b) * np.linalg.norm(v) for b, v in zip(bars, dy))
    assert abs(left - right) <= 1e-12 * sizes
    checked = arrmb.grad(lambda x: arrmb.namespace(x).sum(linalg.svd(x, full_matrices=full, gauge="raise").S))(x)
    assert np.all(np.isfinite(checked))


def test_errors():
    x = Draw(1).normal(5, 3)
    for f, match in {
        lambda: linalg.svd(x, gauge="fix"): "svd: gauge must be 'drop' or 'raise', got 'fix'",
        lambda: linalg.svd_top(x, 2, gauge=None): "svd_top: gauge must be 'drop' or 'raise', got None",
        lambda: linalg.svd_top(x, 4): r"svd_top: k must be an integer from 0 to min\(m, n\) = 3, got 4",
        lambda: linalg.svd_top(x, True): "svd_top: k must be an integer from 0 .* got True",
        lambda: linalg.svd_top(x, 1.0): "svd_top: k must be an integer from 0 .* got 1.0",
        lambda: linalg.svd_top(np.eye(3), 2): "svd_top: k=2 splits a group of equal singular values",
        lambda: linalg.svd_top(x[0], 1): r"svd_top: x must have shape \(\.\.\., m, n\), got \(3,\)",
        lambda: linalg.polar(x, side="both"): "polar: side must be 'right' or 'left', got 'both'",
        lambda: linalg.polar(x[0]): r"polar: x must have shape \(\.\.\., m, n\), got \(3,\)",
        lambda: linalg.polar(np.full((2, 2), np.nan)): "polar: x has NaN or inf",
    }.items():
        with pytest.raises(ValueError, match=match):
            f()
    for f in (linalg.polar, lambda x: linalg.svd_top(x, 1)):
        with pytest.raises(TypeError, match="x has dtype int64"):
            f(np.ones((2, 2), dtype=np.int64))
