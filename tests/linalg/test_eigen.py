"""The public eigenvalue functions: values, results, errors."""

import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb._xp import H
from arrmb.testing import Draw, check_grads


def top(x, **options):
    return linalg.eigh_top(x, 2, **options)


def pair(x, **options):
    return linalg.generalized_eigh(x, x, **options)


def test_unknown_gauge():
    x = np.eye(3)
    for f in (linalg.eigh, linalg.eigvalsh, top, pair, linalg.eig, linalg.eigvals):
        with pytest.raises(ValueError, match=r"eig.*: gauge must be 'drop' or 'raise', got 'Drop'"):
            f(x, gauge="Drop")


def test_eigh_top(backend):
    x = backend.put(Draw(0, batch=(2,)).hermitian([-2.0, 0.5, 1.0, 3.0]), "float64")
    found = linalg.eigh_top(x, np.int64(2))
    assert found._fields == ("eigenvalues", "eigenvectors")
    w, v = map(backend.get, found)
    np.testing.assert_allclose(w, [[1.0, 3.0]] * 2, rtol=1e-14)
    np.testing.assert_allclose(backend.get(x) @ v, v * w[..., None, :], atol=1e-14)
    smallest = linalg.eigh_top(-x, 1)
    np.testing.assert_allclose(-backend.get(smallest.eigenvalues), [[-2.0]] * 2, rtol=1e-14)


@pytest.mark.parametrize("name", ["eig", "eigvals", "generalized_eigh", "eigh_top"])
def test_third_order(name):
    """log det X, by each of them: D³[E, E, E] = 2 tr((X^-1 E)³)."""
    x, e = Draw(0).hermitian([0.5, 1.0, 2.0, 3.5]), Draw(4).hermitian([-1.0, 0.5, 1.0, 2.0])
    if name.startswith("eigv") or name == "eig":
        t = np.eye(4) + 0.3 * Draw(1).normal(4, 4)
        x, e = t @ x @ np.linalg.inv(t), e + 0.3 * Draw(2).normal(4, 4)

    def log_det(x):
        xp = arrmb.namespace(x)
        if name == "generalized_eigh":  # det B^-1 A, B fixed
            return xp.sum(xp.log(linalg.generalized_eigh(x, np.diag([1.0, 2.0, 3.0, 4.0])).eigenvalues))
        found = linalg.eigh_top(x, 4) if name == "eigh_top" else getattr(linalg, name)(x)
        w = found if name == "eigvals" else found.eigenvalues
        return xp.sum(xp.log(w if name == "eigh_top" else xp.real(w)))

    def slope(f):
        return lambda x: arrmb.jvp(f, (x,), (e,))[1]

    p = np.linalg.inv(x) @ e
    expected = 2.0 * np.trace(p @ p @ p)
    assert abs(float(slope(slope(slope(log_det)))(x)) - expected) <= 1e-11 * abs(expected)


@pytest.mark.parametrize("f", [linalg.eigh, pair, linalg.eig])
@pytest.mark.parametrize("gauge", ["drop", "raise"])
def test_no_rows(backend, f, gauge):
    x = backend.put(np.zeros((2, 0, 0)), "float64")
    y, pullback = arrmb.vjp(lambda x: tuple(f(x, gauge=gauge)), x)
    assert pullback(y)[0].shape == (2, 0, 0)
    assert arrmb.jvp(lambda x: tuple(f(x, gauge=gauge)), (x,), (x,))[1][0].shape == (2, 0)


@pytest.mark.parametrize("name", ["eig", "eigvals"])
def test_bad_arguments_of_eig(name):
    f = getattr(linalg, name)
    with pytest.raises(ValueError, match=rf"{name}: x must have shape \(\.\.\., n, n\), got \(2, 3\)"):
        f(np.zeros((2, 3)))
    with pytest.raises(TypeError, match=rf"{name}: x must be a floating-point array, got list"):
        f([[1.0]])
    with pytest.raises(ValueError, match=rf"{name}: x has NaN or inf"):
        f(np.full((2, 2), np.nan))


def test_bad_arguments_of_eigh_top():
    for k in (0, 4, -1, True, 1.0, None):
        with pytest.raises(ValueError, match=r"eigh_top: k must be an integer from 1 to n = 3, got"):
            linalg.eigh_top(np.eye(3), k)
    with pytest.raises(ValueError, match=r"eigh_top: x must have shape \(\.\.\., n, n\), got \(2, 3\)"):
        linalg.eigh_top(np.zeros((2, 3)), 1)
    with pytest.raises(TypeError, match="eigh_top: x has dtype int64"):
        linalg.eigh_top(np.eye(3, dtype=np.int64), 1)
    with pytest.raises(ValueError, match="eigh_top: k=1 splits a group"):
        linalg.eigh_top(np.eye(3), 1)


@pytest.mark.parametrize("complex", [False, True])
def test_derivatives_of_eigh_top(backend, complex):
    dtype = "complex128" if complex else "float64"
    x = backend.put(Draw(0, complex=complex).hermitian([0.5, 0.5, 0.5, 2.0, 3.5]), dtype)

    def projectors(x):
        w, v = linalg.eigh_top(x, 2, gauge="raise")
        first, second = v[:, :1], v[:, 1:]
        vh = H(v)
        return w, first @ vh[:1, :], second @ vh[1:, :]

    check_grads(projectors, (x,))
