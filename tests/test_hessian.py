"""`arrmb.jacobian` and `arrmb.hessian` of functions of matrices, against closed forms; ties included."""

import numpy as np
import pytest

import arrmb
from arrmb import linalg

X = np.asarray([[3.0, 1.0, 0.5], [0.2, 2.0, -0.3], [0.1, 0.4, 4.0]])
Q = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
TIED = (Q * np.asarray([2.0, 2.0, 5.0])) @ Q.T


def close(backend, found, expected, tolerance=1e-13):
    found = backend.get(found)
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected)) <= tolerance * np.max(np.abs(expected))


def test_jacobian_of_the_inverse(backend):
    y = np.linalg.inv(X)
    close(backend, arrmb.jacobian(linalg.inv)(backend.put(X, "float64")), -np.einsum("ik,lj->ijkl", y, y))


def test_jacobian_of_a_function_of_a_symmetric_matrix_at_a_tie(backend):
    """Columns V (K ∘ V^T E V) V^T with K(2, 2) = 1/2, K(5, 5) = 1/5 and K(2, 5) = (log 5 - log 2)/3."""
    w = np.asarray([2.0, 2.0, 5.0])
    gap = np.where(w[:, None] == w, 1.0, w[:, None] - w)
    k = np.where(w[:, None] == w, 1 / w, (np.log(w)[:, None] - np.log(w)) / gap)
    expected = np.einsum("ia,jb,ab,ka,lb->ijkl", Q, Q, k, Q, Q)
    expected = 0.5 * (expected + np.swapaxes(expected, 2, 3))  # of symmetric changes
    close(backend, arrmb.jacobian(linalg.logmh)(backend.put(TIED, "float64")), expected)


def test_hessian_of_log_determinants(backend):
    """∂² log det X / ∂X_ij ∂X_kl = -Y_jk Y_li with Y = X^-1: general, and of symmetric changes."""
    y = np.linalg.inv(X)
    expected = -np.einsum("jk,li->ijkl", y, y)
    close(backend, arrmb.hessian(lambda x: linalg.slogdet(x)[1])(backend.put(X, "float64")), expected)
    y = np.linalg.inv(TIED)
    expected = -0.5 * (np.einsum("ik,jl->ijkl", y, y) + np.einsum("il,jk->ijkl", y, y))
    close(backend, arrmb.hessian(linalg.logdeth)(backend.put(TIED, "float64")), expected)


def test_hessian_at_the_identity(backend):
    """tr exp(X): at I, all of whose eigenvalues are equal, it is e times the identity of symmetric matrices."""
    eye = np.eye(3)
    unit = 0.5 * (np.einsum("ik,jl->ijkl", eye, eye) + np.einsum("il,jk->ijkl", eye, eye))
    found = arrmb.hessian(lambda x: linalg.trace(linalg.expmh(x)))(backend.put(eye, "float64"))
    close(backend, found, np.e * unit)


def test_hessian_of_trees(backend):
    """Blocks by leaf and leaf, of 0-d arrays too; each is a product of `hvp`."""
    tree = {"a": backend.put(X, "float64"), "s": backend.put(np.asarray(0.7), "float64")}

    def loss(tree, power):
        xp = arrmb.namespace(tree["a"])
        return xp.sum(linalg.inv(tree["a"] * tree["s"]) ** power)

    found = arrmb.hessian(loss)(tree, 2.0)
    assert found["a"]["a"].shape == (3, 3, 3, 3) and found["s"]["a"].shape == (3, 3) and found["s"]["s"].shape == ()
    close(backend, found["a"]["s"], backend.get(found["s"]["a"]))
    y = np.linalg.inv(X)  # the loss is s^-2 Σ Y²
    close(backend, found["s"]["s"], np.asarray(6 * 0.7**-4 * np.sum(y * y)))
    rng = np.random.default_rng(1)
    d = {"a": backend.put(rng.standard_normal((3, 3)), "float64"), "s": backend.put(np.asarray(0.3), "float64")}
    product = arrmb.hvp(lambda tree: loss(tree, 2.0), (tree,), (d,))[0]
    get = backend.get
    expected = np.einsum("ijkl,kl->ij", get(found["a"]["a"]), get(d["a"])) + get(found["a"]["s"]) * get(d["s"])
    close(backend, product["a"], expected)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="hessian: f must be a function, got ndarray"):
        arrmb.hessian(X)
    with pytest.raises(TypeError, match=r"must return one real scalar array, got shape \(3, 3\)"):
        arrmb.hessian(linalg.inv)(X)
    with pytest.raises(TypeError, match="real arrays only"):
        arrmb.hessian(lambda x: arrmb.namespace(x).sum(arrmb.namespace(x).abs(x)))(X + 1j)
