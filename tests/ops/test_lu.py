"""LU decomposition with partial pivoting: square, tall and wide."""

import mpmath
import numpy as np
import pytest
import scipy.linalg

import arrmb
from arrmb.ops.lu import lu
from arrmb.testing import Draw

SHAPES = [(3, 3), (5, 3), (3, 5), (4, 1), (1, 4)]


@pytest.mark.parametrize("m, n", SHAPES)
def test_lu(check, m, n):
    check(lu, lambda d: (d.normal(m, n),), reference=lambda x: scipy.linalg.lu(x))


@pytest.mark.parametrize("m, n", SHAPES)
def test_the_variation_keeps_the_structure(check, m, n):
    """dL is strictly lower triangular, dU upper triangular, and P (dL U + L dU) = dX."""
    d = Draw(2, complex=check.dtype.startswith("complex"))
    x, dx = d.normal(m, n), d.normal(m, n)
    (p, lower, upper), tangents = arrmb.jvp(lu, *[(check.backend.put(v, check.dtype),) for v in (x, dx)])
    p, lower, upper, dp, dl, du = map(check.backend.get, (p, lower, upper, *tangents))
    assert not np.any(dp)
    assert np.array_equal(np.triu(dl), np.zeros_like(dl)) and np.array_equal(np.tril(du, -1), np.zeros_like(du))
    eps = 200 * np.finfo(check.dtype).eps
    np.testing.assert_allclose(p @ (dl @ upper + lower @ du), dx, atol=eps)


@pytest.mark.parametrize("m, n", [(3, 3), (4, 2), (2, 4)])
def test_against_fifty_digits(m, n):
    """Slope and curvature of a loss of both factors, by elimination in 50 digits with the same pivots."""
    d = Draw(3)
    x, e, f, g, h = (d.normal(m, n) for _ in range(5))
    k = min(m, n)

    def loss(x):
        xp = arrmb.namespace(x)
        _, lower, upper = lu(x)
        return xp.sum(lower * g[:, :k]) + xp.sum(upper * h[:k, :])

    p = scipy.linalg.lu(x)[0]
    with mpmath.workdps(50):
        xm, em, fm = (mpmath.matrix((p.T @ v).tolist()) for v in (x, e, f))

        def exact(t, r):
            a, lower = xm + t * em + r * fm, mpmath.zeros(m, k)
            for j in range(k):
                for i in range(j, m):
                    lower[i, j] = a[i, j] / a[j, j]
                for i in range(j + 1, m):
                    for c in range(n):
                        a[i, c] -= lower[i, j] * a[j, c]
            total = sum(lower[i, j] * g[i, j] for i in range(m) for j in range(k))
            return total + sum(a[i, j] * h[i, j] for i in range(k) for j in range(i, n))

        s = mpmath.mpf(10) ** -12
        slope = float((exact(s, 0) - exact(-s, 0)) / (2 * s))
        curvature = float((exact(s, s) - exact(s, -s) - exact(-s, s) + exact(-s, -s)) / (4 * s * s))
    gradient, hessian = arrmb.grad(loss)(x), arrmb.hvp(loss, (x,), (e,))[0]
    assert abs(np.sum(gradient * e) - slope) <= 1e-13 * np.linalg.norm(gradient) * np.linalg.norm(e)
    assert abs(np.sum(hessian * f) - curvature) <= 1e-12 * np.linalg.norm(hessian) * np.linalg.norm(f)


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)])
@pytest.mark.parametrize("complex", [False, True])
def test_beside_torch(shape, complex):
    torch = pytest.importorskip("torch")
    d = Draw(4, complex=complex)
    x, g, h = d.normal(*shape), d.normal(*shape), d.normal(*shape)
    k = min(shape)
    t = torch.tensor(x, requires_grad=True)
    _, lower, upper = torch.linalg.lu(t)
    ((torch.tensor(g[:, :k]).conj() * lower).sum() + (torch.tensor(h[:k]).conj() * upper).sum()).real.backward()

    def loss(x):
        xp = arrmb.namespace(x)
        _, lower, upper = lu(x)
        return arrmb._xp.real(xp.sum(np.conj(g[:, :k]) * lower) + xp.sum(np.conj(h[:k]) * upper))

    np.testing.assert_allclose(arrmb.grad(loss)(x), t.grad.numpy(), rtol=1e-11, atol=1e-12)


def test_third_order_of_the_determinant():
    """log |det X| = Σ log |u_ii|, whose third derivative along E is 2 tr((X^-1 E)³)."""
    d = Draw(5)
    x, e = d.normal(3, 3), d.normal(3, 3)

    def slope(f):
        return lambda x: arrmb.jvp(f, (x,), (e,))[1]

    def log_det(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.log(xp.abs(xp.linalg.diagonal(lu(x)[2]))))

    q = np.linalg.solve(x, e)
    expected = 2.0 * np.trace(q @ q @ q)
    assert abs(slope(slope(slope(log_det)))(x) - expected) <= 1e-11 * abs(expected)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3), (0, 3, 2)])
def test_matrices_without_entries(backend, shape):
    x = backend.put(np.zeros(shape), "float64")
    *batch, m, n = shape
    y, pullback = arrmb.vjp(lu, x)
    assert [tuple(v.shape) for v in y] == [(*batch, m, m), (*batch, m, min(m, n)), (*batch, min(m, n), n)]
    assert pullback(y)[0].shape == shape
    assert [v.shape for v in arrmb.jvp(lu, (x,), (x,))[1]] == [v.shape for v in y]


@pytest.mark.filterwarnings("ignore:Diagonal number 2 is exactly zero:RuntimeWarning")  # CuPy says so, the others not
def test_dependent_columns_have_no_derivative(backend):
    a = Draw(6, batch=(2,)).normal(4, 3)
    a[1, :, 1] = 2.0 * a[1, :, 0]
    x = backend.put(a, "float64")
    p, lower, upper = map(backend.get, lu(x))  # the value is there
    np.testing.assert_allclose(p @ lower @ upper, a, atol=1e-14)
    if backend.name == "cupy":  # which looks at no values
        gradient = backend.get(arrmb.vjp(lu, x)[1](lu(x))[0])
        assert np.all(np.isfinite(gradient[0])) and not np.any(np.isfinite(gradient[1]))
        return
    for run in (lambda: arrmb.vjp(lu, x)[1](lu(x)), lambda: arrmb.jvp(lu, (x,), (x,))):
        with pytest.raises(ValueError, match="lu: column 1 of x depends linearly on those before it"):
            run()


def test_scipy_is_asked_for(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "scipy.linalg", None)
    with pytest.raises(ImportError, match=r"lu: needs SciPy: pip install 'arrmb\[scipy\]'"):
        lu(np.eye(2))


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 3, 3, 3)])
def test_batches_in_jax(shape):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    a = Draw(5).normal(*shape).astype(np.float32)
    for run in (arrmb.linalg.lu, jax.jit(arrmb.linalg.lu)):
        p, lower, upper = map(np.asarray, run(jax.numpy.asarray(a)))
        np.testing.assert_allclose(p @ lower @ upper, a, atol=1e-6)
        assert p.shape == (*shape[:-1], shape[-2])
