"""Extremal eigenpairs of stored entries, and the bordered systems of their derivatives."""

import numpy as np
import pytest

import arrmb
from arrmb._xp import H
from arrmb.ops.eigsh import Entries, bordered, eigsh
from arrmb.ops.pattern import Pattern

scipy = pytest.importorskip("scipy")
sp = pytest.importorskip("scipy.sparse")
pytest.importorskip("scipy.sparse.linalg")


def line(n):
    return sp.diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1])


GRID = (sp.kronsum(line(3), line(4)) + sp.eye_array(12)).tocsr()
P = Pattern(GRID)
BASE = GRID.data + 0.3 * np.cos(np.arange(GRID.nnz)) + np.where(P.rows == P.columns, np.cos(P.rows), 0.0)


def params(which="LA", k=3, method="arpack", pattern=P, gauge="drop"):
    return {
        "operator": Entries("eigsh", pattern),
        "k": k,
        "which": which,
        "method": method,
        "tol": 0.0,
        "v0": None,
        "maxiter": 1000,
        "gauge": gauge,
    }


def entries(d):
    return (BASE + 0.1 * d.normal(P.nnz),)


def group(w, v, edge):
    """What does not depend on phases, nor on the choice of vectors of tied values."""
    xp = arrmb.namespace(w)
    return xp.sum(w * w * w), (v * w[None, :]) @ H(v), v @ H(v)


def spectrum(data, k, which, pattern=P):
    a = np.zeros(pattern.shape, dtype=data.dtype)
    a[pattern.rows, pattern.columns] = data
    w, v = np.linalg.eigh(0.5 * (a + np.conj(a.T)))
    best = np.sort(np.argsort({"LA": -w, "SA": w, "LM": -np.abs(w)}[which], kind="stable")[:k])
    return w[best], v[:, best]


@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
def test_eigsh(check, which):
    def reference(data):
        return tuple(group(*spectrum(data, 3, which), None))

    check(eigsh, entries, params=params(which), invariant=group, reference=reference, batch=False, loss=10.0)


def test_bordered_solves_its_system():
    data = BASE
    w, v, _ = eigsh(data, **params())
    rng = np.random.default_rng(1)
    b, c = rng.standard_normal((12, 3)), rng.standard_normal((3, 3))
    z, u = bordered(b, c, w, v, data, operator=Entries("eigsh", P), which="LA", norm=5.0, maxiter=500)
    a = np.zeros(P.shape)
    a[P.rows, P.columns] = data
    a = 0.5 * (a + a.T)
    assert np.linalg.norm(z * w - a @ z + v @ u - b) <= 1e-13 * np.linalg.norm(b)
    assert np.linalg.norm(v.T @ z - c) <= 1e-13 * np.linalg.norm(c)


def test_bordered_rules_at_any_order():
    """All that it depends on moves with the entries, in both directions and nested."""

    def solution(data, b):
        w, v, _ = eigsh(data, **params())
        sign = v[0, :]  # of each eigenvector, which is free: c and u change theirs with it, so the solution does not
        c = b[:3, :] * sign[:, None]
        z, u = bordered(b, c, w, v, data, operator=Entries("eigsh", P), which="LA", norm=5.0, maxiter=500)
        xp = arrmb.namespace(z, u)
        return xp.sum(z[:, 1] * z[:, 1]) + xp.sum(u[:, 2] * b[:3, 2] * sign)

    b = np.random.default_rng(1).standard_normal((12, 3))
    arrmb.testing.check_grads(solution, (BASE, b), tolerance=1e-5)


# --------------------------------------------------------------------------------------------------------- at ties


@pytest.mark.parametrize("which", ["LA", "SA"])
def test_ties_in_the_rest(check, which):
    """The group is simple, the rest is tied: the 3 × 3 × 3 torus has eigenvalues of multiplicity 1, 6, 12, 8."""
    ring = sp.csr_array(np.ones((3, 3)) - np.eye(3))
    torus = (1.0 if which == "LA" else -1.0) * sp.kronsum(sp.kronsum(ring, ring), ring).tocsr()
    p = Pattern(torus)

    check(
        eigsh,
        lambda d: (torus.data + 0.0 * d.normal(p.nnz),),
        params=params(which, k=1, pattern=p),
        invariant=group,
        batch=False,
        loss=10.0,
    )


def test_ties_in_the_rest_of_a_complete_graph(check):
    """The Laplacian 8 I - 1 1^T has eigenvalues 0 and 8 (7 times)."""
    a = sp.csr_array(8.0 * np.eye(8) - np.ones((8, 8)))
    p = Pattern(a)
    check(
        eigsh,
        lambda d: (a.data + 0.0 * d.normal(p.nnz),),
        params=params("SA", k=1, pattern=p),
        invariant=group,
        batch=False,
        loss=10.0,
    )


@pytest.mark.skipif(
    tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 17),
    reason="ARPACK's restarts are not seeded: the basis of a tied group differs from call to call",
)
def test_ties_in_the_group(check):
    """First order of a function of the whole tied group."""
    two = sp.block_diag([line(4)] * 2 + [0.1 * line(4)]).tocsr()  # its largest eigenvalue twice
    q = Pattern(two)
    check(
        eigsh,
        lambda d: (two.data + 0.0 * d.normal(q.nnz),),
        params=params(k=2, pattern=q),
        invariant=lambda w, v, edge: (arrmb.namespace(w).sum(w), v @ H(v)),
        order=1,
        batch=False,
        loss=10.0,
    )
