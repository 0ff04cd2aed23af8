"""Sylvester equation, by each of three ways."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb.ops import solve_sylvester as module
from arrmb.ops.solve_sylvester import sylvester
from arrmb.testing import Draw

WAYS = ["kronecker", "schur", "sign"]
reference = np.vectorize(scipy.linalg.solve_sylvester, signature="(m,m),(n,n),(m,n)->(m,n)")


def inputs(d):
    a = d.with_singular_values(4, 4, [2.0, 1.0, 0.5, 0.3]) + 3.0 * np.eye(4)
    return a, d.with_singular_values(3, 3, [2.0, 1.0, 0.5]) + 3.0 * np.eye(3), d.normal(4, 3)


def jordan(d):
    zero = 0.0 * d.normal(1, 1)
    return np.eye(3) + np.eye(3, k=1) + zero, 2.0 * np.eye(3) + np.eye(3, k=1) + zero, d.normal(3, 3)


@pytest.mark.parametrize("way", WAYS)
def test_sylvester(check, way):
    def left(d):
        a, b, c = inputs(d)
        return -a, -b, c

    check(sylvester, inputs, reference=reference, params={"way": way}, at=[jordan, left])


@pytest.mark.parametrize("way", WAYS)
def test_broadcasting(check, way):
    def several(d):
        a, b, c = inputs(d)
        return np.stack([a, 2.0 * a])[:, None], b, np.stack([c, c, -c])

    check(sylvester, several, reference=reference, params={"way": way}, batch=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("digits", [0, 3, 6, 9])
def test_value_and_gradient_to_50_digits(way, digits):
    """Spectra from 1 to 10^-digits: the error is eps times the condition, of the gradient too."""
    d = Draw(1)
    a, b, c = d.hermitian(np.logspace(0, -digits, 3)), d.hermitian(np.logspace(-digits, 0, 3)), d.normal(3, 3)
    xbar = d.normal(3, 3)
    with mpmath.workdps(60):
        kron = np.kron(a.astype(object), np.eye(3, dtype=object)) + np.kron(np.eye(3, dtype=object), b.T.astype(object))
        k = mpmath.matrix([[mpmath.mpf(v) for v in row] for row in kron.tolist()])
        x = mpmath.lu_solve(k, mpmath.matrix(c.reshape(-1).tolist()))
        cbar = mpmath.lu_solve(k.T, mpmath.matrix(xbar.reshape(-1).tolist()))
        x, cbar = (np.array(v.tolist(), dtype=float).reshape(3, 3) for v in (x, cbar))
    found, pullback = arrmb.vjp(lambda *args: sylvester(*args, way=way), a, b, c)
    for got, expected in zip((found, *pullback(xbar)), (x, -cbar @ x.T, -x.T @ cbar, cbar)):
        assert np.linalg.norm(got - expected) <= 1e-15 * 10.0 ** (digits + 1) * np.linalg.norm(expected)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    m=st.integers(0, 6), n=st.integers(0, 6), seed=st.integers(0, 99), complex=st.booleans(), way=st.sampled_from(WAYS)
)
def test_residual(m, n, seed, complex, way):
    d = Draw(seed, complex)
    a, b, c = d.normal(m, m) + 5.0 * np.eye(m), d.normal(n, n) + 5.0 * np.eye(n), d.normal(m, n)
    x = sylvester(a, b, c, way=way)
    assert x.shape == (m, n)
    assert np.linalg.norm(a @ x + x @ b - c) <= 1e-13 * (1.0 + np.linalg.norm(c))


@pytest.mark.parametrize("way", WAYS[:2])
def test_spectra_on_both_sides(backend, way):
    """Eigenvalues of both signs, none of A minus one of B: no half plane, and no trouble."""
    d = Draw(2)
    a, b, c = d.hermitian([-2.0, 1.0, 3.0]), d.hermitian([-4.0, 0.5, 5.0]), d.normal(3, 3)
    x = backend.get(sylvester(*(backend.put(v, "float64") for v in (a, b, c)), way=way))
    np.testing.assert_allclose(a @ x + x @ b, c, atol=1e-13)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spectrum", [[-1.0, 2.0, 3.0], [-1.0 + 1e-15, 2.0, 3.0]])
def test_singular_equation(backend, way, spectrum):
    if backend.name == "cupy" and way == "schur":
        pytest.skip("SciPy's solver is for arrays on the host: `route` never chooses it for CuPy (test_routes)")
    d = Draw(2)
    args = [backend.put(v, "float64") for v in (d.hermitian([1.0, 5.0, 6.0]), d.hermitian(spectrum), d.normal(3, 3))]
    if backend.name == "cupy":
        assert np.all(np.isnan(backend.get(sylvester(*args, way=way))))
        return
    with pytest.raises(ValueError, match="solve_sylvester: the equation is singular or nearly so"):
        sylvester(*args, way=way)


def test_routes(monkeypatch):
    small, medium, large = (np.eye(n) for n in (8, 32, 40))
    assert [module.route(x, x) for x in (small, medium, large)] == ["kronecker", "schur", "schur"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "on_host", lambda x: False)
        assert [module.route(x, x) for x in (small, medium, large)] == ["kronecker", "kronecker", "sign"]
    monkeypatch.setattr(module, "has_scipy", lambda: False)
    assert [module.route(x, x) for x in (small, medium, large)] == ["kronecker", "kronecker", "sign"]


@pytest.mark.parametrize("name", ["numpy", "torch", "strict"])
def test_large_without_scipy(name, monkeypatch, request):
    from arrmb.testing import backends

    backend = {b.name: b for b in backends()}.get(name)
    if backend is None:
        pytest.skip(f"{name} is not installed")
    monkeypatch.setattr(module, "has_scipy", lambda: False)
    d = Draw(0)
    a, c = d.normal(40, 40) / 7.0 - 2.0 * np.eye(40), d.normal(40, 40)
    x = backend.get(sylvester(*(backend.put(v, "float64") for v in (a, a.T, c))))
    np.testing.assert_allclose(a @ x + x @ a.T, c, atol=1e-12)
    with pytest.raises(ValueError, match=r"singular or nearly so.*one open half plane.*pip install 'arrmb\[scipy\]'"):
        sylvester(*(backend.put(v, "float64") for v in (a, -a - np.eye(40), c)))


@pytest.mark.parametrize("way", ["kronecker", "sign"])
def test_without_looking_at_values(monkeypatch, way):
    """As on a GPU: NaN for the singular equation of the batch, and for that alone."""
    monkeypatch.setattr(module, "on_host", lambda x: False)
    d = Draw(0)
    a, c = d.hermitian([1.0, 2.0, 1e-6]), d.normal(3, 3)
    x = sylvester(np.stack([a, a]), np.stack([a, d.hermitian([-2.0, 1.0, 3.0])]), c, way=way)
    np.testing.assert_allclose(a @ x[0] + x[0] @ a, c, atol=1e-9)
    assert np.all(np.isnan(x[1]))
