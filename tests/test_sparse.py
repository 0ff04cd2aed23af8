"""Sparse and matrix-free eigenpairs against dense ones, in every case in which a derivative exists; and the others."""

import doctest
import functools
import inspect
import sys
import tracemalloc

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb import sparse
from arrmb._xp import H
from arrmb.ops import krylov
from arrmb.ops.eigsh import Entries, eigsh

scipy = pytest.importorskip("scipy")
sp = pytest.importorskip("scipy.sparse")
pytest.importorskip("scipy.sparse.linalg")


def line(n):
    return sp.diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1])


def grid(m, n):
    """Neighbours in an m × n grid, and the diagonal."""
    return (sp.kronsum(line(n), line(m)) + sp.eye_array(m * n)).tocsr()


def dense(data, pattern):
    a = np.zeros(pattern.shape, dtype=data.dtype)
    a[pattern.rows, pattern.columns] = data
    return 0.5 * (a + np.conj(a.T))


def chosen(a, k, which):
    w, v = np.linalg.eigh(a)
    best = np.argsort({"LA": -w, "SA": w, "LM": -np.abs(w)}[which], kind="stable")
    best, rest = np.sort(best[:k]), best[k:]
    return w, v, best, rest


def dense_gradient(a, k, which, wbar, vbar_of):
    """The gradient in the dense matrix: eigh's rule, with the pairs of two eigenvalues outside the group left out."""
    w, v, best, rest = chosen(a, k, which)
    core = np.zeros_like(a)
    vbar = vbar_of(v[:, best])
    gap = w[None, best] - w[:, None]
    tied = np.abs(gap) <= 1e-12 * np.max(np.abs(w))
    assert not np.any(tied[rest])
    core[:, best] = np.where(tied, 0.0, (np.conj(v.T) @ vbar) / np.where(tied, 1.0, gap))
    core[best, best] += wbar(w[best])
    bar = v @ core @ np.conj(v.T)
    return 0.5 * (bar + np.conj(bar.T))


def relative(a, b):
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300)


def loss_of(weights, f):
    """Σ w³ + <G, V V^H>: depends on the group only."""

    def loss(data):
        w, v = f(data)
        xp = arrmb.namespace(w)
        projector = v @ H(v)
        return xp.sum(w * w * w) + xp.sum(xp.real(projector * xp.conj(weights)))

    return loss


def hermitian(n, seed, complex=False):
    d = arrmb.testing.Draw(seed, complex=complex).normal(n, n)
    return d + np.conj(d.T)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
@pytest.mark.parametrize("k", [1, 4])
def test_against_the_dense_formula(dtype, which, k):
    a = grid(5, 6)
    p = sparse.Pattern(a)
    d = arrmb.testing.Draw(1, complex=dtype == "complex128")
    data = a.data + 0.3 * d.normal(p.nnz)  # not Hermitian: the Hermitian part is used
    g = hermitian(30, 2, dtype == "complex128")
    found = arrmb.grad(loss_of(g, lambda x: sparse.eigsh(x, p, k, which=which)))(data)
    bar = dense_gradient(dense(data, p), k, which, lambda w: 3.0 * w * w, lambda v: 2.0 * g @ v)
    assert relative(found, bar[p.rows, p.columns]) <= 1e-12
    w, v = sparse.eigsh(data, p, k, which=which)
    wd, _, best, _ = chosen(dense(data, p), k, which)
    assert np.max(np.abs(w - wd[best])) <= 1e-13
    assert relative(dense(data, p) @ v, v * w) <= 1e-13


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_lobpcg(backend, dtype):
    a = grid(6, 7)
    p = sparse.Pattern(a)
    data = backend.put(a.data + 0.3 * arrmb.testing.Draw(1, complex=dtype == "complex128").normal(p.nnz), dtype)
    g = backend.put(hermitian(42, 2, dtype == "complex128"), dtype)
    if backend.name == "cupy" and dtype == "complex128":
        with pytest.raises(ValueError, match="CuPy's 'lobpcg' is for real matrices"):
            sparse.eigsh(data, p, 3, method="lobpcg")
        return
    one, other = (
        backend.get(arrmb.grad(loss_of(g, lambda x, m=m: sparse.eigsh(x, p, 3, which="SA", method=m)))(data))
        for m in ("arpack", "lobpcg")
    )
    assert relative(other, one) <= 1e-7  # residuals of 1e-10 over the gap


# ------------------------------------------------------------------------------------------- independent oracles


def test_against_50_digits():
    """Values and gradient of the formula in mpmath, for a graph of 7 vertices."""
    a = (sp.kronsum(line(7), sp.csr_array((1, 1))) + sp.eye_array(7)).tocsr()
    p = sparse.Pattern(a)
    data = a.data + 0.2 * np.cos(np.arange(p.nnz))
    data = 0.5 * (data + data[p.mirror])
    g, k = hermitian(7, 3), 2
    value, found = arrmb.value_and_grad(loss_of(g, lambda x: sparse.eigsh(x, p, k)))(data)
    with mpmath.workdps(50):
        w, v = mpmath.eigsy(mpmath.matrix(dense(data, p).tolist()))
        gm = mpmath.matrix(g.tolist())
        t = v.T * gm * v
        top = range(7 - k, 7)
        exact = sum(w[i] ** 3 + t[i, i] for i in top)
        core = mpmath.zeros(7)
        for j in top:
            core[j, j] = 3 * w[j] ** 2
            for i in range(7 - k):
                core[i, j] = core[j, i] = t[i, j] / (w[j] - w[i])
        bar = v * core * v.T
        assert abs(value - exact) <= 1e-13 * abs(exact)
        expected = np.array([float(bar[int(i), int(j)]) for i, j in zip(p.rows, p.columns)])
    assert relative(found, expected) <= 1e-13


def test_against_torch():
    torch = pytest.importorskip("torch")
    a = grid(4, 5)
    p = sparse.Pattern(a)
    data = a.data + 0.3 * arrmb.testing.Draw(4).normal(p.nnz)
    g = hermitian(20, 5)

    x = torch.tensor(data, requires_grad=True)
    full = torch.zeros(20, 20, dtype=torch.float64).index_put((torch.tensor(p.rows), torch.tensor(p.columns)), x)
    w, v = torch.linalg.eigh(0.5 * (full + full.T))
    w, v = w[-3:], v[:, -3:]
    ((w**3).sum() + ((v @ v.T) * torch.tensor(g)).sum()).backward()

    found = arrmb.grad(loss_of(g, lambda x: sparse.eigsh(x, p, 3)))(data)
    assert relative(found, x.grad.numpy()) <= 1e-12
    on_torch = arrmb.grad(loss_of(torch.tensor(g), lambda x: sparse.eigsh(x, p, 3)))(torch.tensor(data))
    assert relative(on_torch.numpy(), x.grad.numpy()) <= 1e-12


# ------------------------------------------------------------------------------------------------------------ ties


def complete(n):
    """Laplacian of the complete graph: 0, and n (n - 1 times)."""
    return sp.csr_array(n * np.eye(n) - np.ones((n, n)))


def laplacian(a):
    a = (a - sp.diags_array(a.diagonal())).tocsr()
    a = (sp.diags_array(a.sum(axis=1)) - a).tocsr()
    a.sort_indices()
    return a


@pytest.mark.parametrize(
    ("a", "k"),
    [(complete(9), 1), (laplacian(grid(5, 5)), 1), (laplacian(grid(5, 5)), 3), (laplacian(grid(6, 6)), 4)],
    ids=["complete", "grid, 1", "grid, 3", "grid, 4"],
)
def test_exact_at_ties(a, k):
    """Ties of the rest, and within the group (the second and third eigenvalue of a square grid)."""
    p = sparse.Pattern(a)
    n = p.shape[0]
    g = hermitian(n, 7)
    loss = loss_of(g, lambda x: sparse.eigsh(x, p, k, which="SA", gauge="raise"))
    found = arrmb.grad(loss)(a.data)
    bar = dense_gradient(a.toarray(), k, "SA", lambda w: 3.0 * w * w, lambda v: 2.0 * g @ v)
    assert relative(found, bar[p.rows, p.columns]) <= 1e-12
    dx = np.cos(np.arange(p.nnz))
    step = 1e-4
    difference = (loss(a.data + step * dx) - loss(a.data - step * dx)) / (2.0 * step)
    assert abs(difference - found @ dx) <= 1e-5 * abs(difference)
    loss = loss_of(g, lambda x: sparse.eigsh(x, p, k, which="SA"))  # the direction dx splits the ties
    assert abs(arrmb.jvp(loss, (a.data,), (dx,))[1] - found @ dx) <= 1e-12 * np.linalg.norm(found) * np.linalg.norm(dx)


def test_second_order_at_ties():
    """Exact with ties in the rest, refused with ties within the group."""
    a = laplacian(grid(5, 5))
    p = sparse.Pattern(a)
    g, dx = hermitian(25, 7), np.cos(np.arange(p.nnz))

    def slope(data, k):
        return arrmb.grad(loss_of(g, lambda x: sparse.eigsh(x, p, k, which="SA")))(data)

    one = functools.partial(slope, k=1)
    h = 1e-4
    difference = (8.0 * (one(a.data + h * dx) - one(a.data - h * dx)) - one(a.data + 2 * h * dx) + one(
        a.data - 2 * h * dx)) / (12.0 * h)  # fmt: skip
    assert relative(arrmb.jvp(one, (a.data,), (dx,))[1], difference) <= 1e-7
    with pytest.raises(NotImplementedError, match="second order at tied eigenvalues within the group"):
        arrmb.jvp(functools.partial(slope, k=3), (a.data,), (dx,))


@pytest.mark.parametrize("k", [2, 5])
def test_a_tie_that_is_split_has_no_derivative(k):
    a = laplacian(grid(5, 5))
    p = sparse.Pattern(a)
    w, _ = sparse.eigsh(a.data, p, k, which="SA")
    assert np.max(np.abs(w - np.linalg.eigvalsh(a.toarray())[:k])) <= 1e-13
    f = functools.partial(sparse.eigsh, which="SA")
    message = f"sparse.eigsh: no derivative: eigenvalue {k - 1} of the {k} found .* choose k so that"
    with pytest.raises(ValueError, match=message):
        arrmb.grad(loss_of(np.ones((25, 25)), lambda x: f(x, p, k)))(a.data)
    first = arrmb.grad(lambda x: f(x, p, k)[1][0, 0] ** 2)(a.data)  # depends on the first, simple eigenvalue only
    assert relative(first, arrmb.grad(lambda x: f(x, p, 1)[1][0, 0] ** 2)(a.data)) <= 1e-12
    with pytest.raises(ValueError, match=message):
        arrmb.jvp(lambda x: f(x, p, k), (a.data,), (a.data,))


@pytest.mark.parametrize("copies", [2, 4, 7])
@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
def test_no_copy_of_a_multiple_eigenvalue_is_missed(copies, which, dtype):
    """Disjoint equal graphs: a single-vector Krylov method sees one eigenvector of each eigenvalue."""
    tree = grid(4, 5)
    a = sp.block_diag([tree] * copies).tocsr()
    p = sparse.Pattern(a)
    data = np.tile(tree.data + 0.1 * np.cos(np.arange(tree.nnz)), copies).astype(dtype)
    w, v = sparse.eigsh(data, p, copies, which=which)
    wd, _, best, _ = chosen(dense(data.astype(np.result_type(dtype, "float64")), p), copies, which)
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    assert np.max(np.abs(w - wd[best])) <= tolerance
    assert relative(np.conj(v.T) @ v, np.eye(copies)) <= tolerance


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32", "complex64"])
def test_multiple_eigenvalues_are_complete_and_split_ones_are_seen(dtype):
    """Copies of random trees: every eigenvalue is found as often as it is there, and a tie with the rest is told."""
    rng = np.random.default_rng(1)
    tolerance = 1e-4 if dtype in ("float32", "complex64") else 1e-12
    for trial in range(24):
        copies, m, which = rng.integers(1, 9), rng.integers(8, 30), ("LA", "SA", "LM")[trial % 3]
        tree = line(m) + sp.diags_array(rng.standard_normal(m))
        if np.dtype(dtype).kind == "c":
            phases = np.exp(1j * rng.standard_normal(m))
            tree = sp.diags_array(phases) @ tree @ sp.diags_array(phases.conj())
        p = sparse.Pattern(a := sp.block_diag([tree.tocsr()] * copies).tocsr())
        k = int(rng.integers(1, min(2 * copies + 1, p.shape[0] - 3)))
        w, _, edge = eigsh(
            a.data.astype(dtype), operator=Entries("eigsh", p), k=k, which=which, method="arpack", tol=0.0, v0=None,
            maxiter=3000, gauge="drop",
        )  # fmt: skip

        def order(w, which=which):
            return np.sort({"LA": -w, "SA": w, "LM": -np.abs(w)}[which])

        expected = order(np.linalg.eigvalsh(a.toarray()))
        assert np.max(np.abs(order(w) - expected[:k])) <= tolerance
        if which != "LM":  # there -w may tie with w, and that is no obstacle
            split = expected[k] - expected[k - 1] <= 1e-2 * tolerance
            assert split == (np.min(np.abs(w - edge[2])) <= edge[0])


@pytest.mark.parametrize("gap", [1e-16, 1e-15, 1e-13, 1e-11, 1e-8, 1e-4])
def test_a_group_next_to_the_rest(gap):
    """The error grows like eps / gap, and a gap of the size of rounding is refused."""
    p = sparse.Pattern(sp.csr_array(np.ones((12, 12))))
    a = arrmb.testing.Draw(0).hermitian([*np.linspace(0.0, 3.0, 9), 5.0, 5.0 + gap, 6.0])
    data, g = a[p.rows, p.columns], hermitian(12, 0)

    def loss(x):
        return loss_projector(x, p, 2, g)

    if gap < 1e-14:
        with pytest.raises(ValueError, match="no derivative: eigenvalue 0 of the 2 found"):
            arrmb.grad(loss)(data)
        return
    with mpmath.workdps(40):
        w, v = mpmath.eigsy(mpmath.matrix(a.tolist()))
        t, core = v.T * mpmath.matrix(g.tolist()) * v, mpmath.zeros(12)
        for j in (10, 11):
            for i in range(10):
                core[i, j] = core[j, i] = t[i, j] / (w[j] - w[i])
        expected = np.array((v * core * v.T).tolist(), dtype=float)[p.rows, p.columns]
    assert relative(arrmb.grad(loss)(data), expected) <= 5e3 * 2.2e-16 / gap


def test_a_missed_eigenvalue_is_found(monkeypatch):
    """The solver's first answer leaves out two of the three largest: the check of the complement finds them."""
    a = grid(5, 6)
    p = sparse.Pattern(a)
    data = a.data + 0.3 * np.cos(p.rows + p.columns)
    w, v = np.linalg.eigh(dense(data, p))
    lanczos, calls = krylov._lanczos, []

    def forgetful(*args):
        calls.append(args)
        return v[:, [25, 26, 28]] if len(calls) == 1 else lanczos(*args)

    monkeypatch.setattr(krylov, "_lanczos", forgetful)
    assert np.max(np.abs(sparse.eigsh(data, p, 3)[0] - w[27:])) <= 1e-13

    def unconverged(op, product, like, n, k, *rest):
        return v[:, 27:] if k == 3 else np.cos(np.arange(30.0))[:, None]

    monkeypatch.setattr(krylov, "_lanczos", unconverged)
    with pytest.raises(ValueError, match="the next eigenvalue, by which those found are checked, did not converge"):
        sparse.eigsh(data, p, 3)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    gap=st.sampled_from([1e-16, 1e-12, 1e-9, 1e-6, 1e-3, 1.0]),
    scale=st.sampled_from([1e-12, 1.0, 1e12]),
    k=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_near_ties_in_the_rest(gap, scale, k, seed):
    """Eigenvalues 9, 8, 7, 6 above a nearly tied rest around 1, in a full pattern of 12 × 12."""
    rest = 1.0 + 0.5 * gap * np.arange(8.0)
    a = scale * arrmb.testing.Draw(seed).hermitian([*rest, 6.0, 7.0, 8.0, 9.0])
    p = sparse.Pattern(sp.csr_array(np.ones((12, 12))))
    data, g = a[p.rows, p.columns], hermitian(12, seed)
    found = arrmb.grad(lambda x: loss_projector(x, p, k, g))(data)
    w, v = np.linalg.eigh(a)
    core = np.zeros((12, 12))
    t = v.T @ (2.0 * g) @ v
    top = np.arange(12) >= 12 - k
    for j in np.flatnonzero(top):
        for i in np.flatnonzero(~top):
            core[i, j] = core[j, i] = 0.5 * t[i, j] / (w[j] - w[i])
    assert relative(found, (v @ core @ v.T)[p.rows, p.columns]) <= 1e-11


def loss_projector(data, pattern, k, g):
    _, v = sparse.eigsh(data, pattern, k)
    return arrmb.namespace(v).sum((v @ H(v)) * g)


def test_gauge_raise():
    a = laplacian(grid(5, 5))
    p = sparse.Pattern(a)

    def vectors(x, gauge):
        _, v = sparse.eigsh(x, p, 3, which="SA", gauge=gauge)
        return arrmb.namespace(v).sum(v[:, 1] * np.cos(np.arange(25.0)))

    assert np.all(np.isfinite(arrmb.grad(functools.partial(vectors, gauge="drop"))(a.data)))
    with pytest.raises(ValueError, match="the loss depends on the choice of eigenvectors"):
        arrmb.grad(functools.partial(vectors, gauge="raise"))(a.data)
    with pytest.raises(ValueError, match="the loss is not symmetric in them"):
        arrmb.grad(lambda x: sparse.eigsh(x, p, 3, which="SA", gauge="raise")[0][1])(a.data)


# ------------------------------------------------------------------------------------------------------ matrix-free


def low_rank(parameters, x):
    """diag(d) + F F^H, 30 × 30"""
    f = parameters["f"]
    return parameters["d"][:, None] * x + f @ (H(f) @ x)


@pytest.mark.parametrize("complex", [False, True])
def test_operator(backend, complex):
    """Against the dense matrix of the same parameters, two orders."""
    d = arrmb.testing.Draw(3, complex=complex)
    dtype = "complex128" if complex else "float64"
    parameters = {"d": backend.put(d.real(30), "float64"), "f": backend.put(d.normal(30, 4), dtype)}
    g = backend.put(hermitian(30, 5, complex), dtype)

    def loss(parameters):
        w, v = sparse.eigsh_operator(low_rank, parameters, 30, 3)
        return of(w, v)

    def of(w, v):
        xp = arrmb.namespace(w)
        projector = (v * xp.exp(-w)[None, :]) @ H(v)
        return xp.sum(w * w) + xp.sum(xp.real(projector * xp.conj(g)))

    def full(parameters):
        f = parameters["f"]
        eye = backend.put(np.eye(30), dtype)
        w, v = arrmb.linalg.eigh(parameters["d"][:, None] * eye + f @ H(f))
        return of(w[27:], v[:, 27:])

    for order, tolerance in ((1, 1e-12), (2, 1e-11)):
        run = arrmb.grad if order == 1 else lambda f: lambda x: arrmb.hvp(f, (x,), (x,))[0]
        found, expected = run(loss)(parameters), run(full)(parameters)
        for key in parameters:
            assert relative(backend.get(found[key]), backend.get(expected[key])) <= tolerance


def test_operator_complex_with_real_parameters():
    """A magnetic Laplacian on a ring: the phases are real, the matrix is not."""
    n = 12

    def product(phases, x):
        xp = arrmb.namespace(phases, x)
        turn = xp.exp(1j * phases)[:, None]
        down = turn * xp.concat([x[1:, :], x[:1, :]], axis=0)
        up = xp.conj(turn) * x
        return down + xp.concat([up[-1:, :], up[:-1, :]], axis=0)

    phases = 0.3 * np.cos(np.arange(float(n)))

    def loss(phases):
        w, v = sparse.eigsh_operator(product, phases, n, 2, dtype=np.complex128)
        xp = arrmb.namespace(w)
        return xp.sum(xp.real((v * w[None, :]) @ H(v) * hermitian(n, 1, True)))

    assert arrmb.grad(loss)(phases).dtype == np.float64
    arrmb.testing.check_grads(loss, (phases,))


def test_operator_of_stored_entries_is_eigsh():
    a = grid(5, 6)
    p = sparse.Pattern(a)
    data = 0.5 * (a.data + a.data[p.mirror]) + 0.2 * np.cos(p.rows + p.columns)
    g = hermitian(30, 2)

    def product(x, v):
        return sparse.matmul(x, p, v)

    one = arrmb.grad(loss_of(g, lambda x: sparse.eigsh(x, p, 3)))(data)
    other = arrmb.grad(loss_of(g, lambda x: sparse.eigsh_operator(product, x, 30, 3)))(data)
    assert relative(0.5 * (other + other[p.mirror]), one) <= 1e-12


def test_operator_refuses():
    x = np.ones(8)

    def scale(d, v):
        return d[:, None] * v

    f = sparse.eigsh_operator
    with pytest.raises(TypeError, match="matvec must be a function of"):
        f(np.eye(8), x, 8, 2)
    with pytest.raises(ValueError, match="parameters has no arrays"):
        f(scale, (), 8, 2)
    with pytest.raises(TypeError, match="a leaf of parameters has dtype int64"):
        f(scale, np.ones(8, dtype=int), 8, 2)
    with pytest.raises(TypeError, match=r"n must be a Python int, got float"):
        f(scale, x, 8.0, 2)
    with pytest.raises(TypeError, match="must return an array of the shape and dtype of x"):
        f(lambda d, v: d, x, 8, 2)
    with pytest.raises(ValueError, match="matvec is not Hermitian"):
        f(lambda d, v: np.concatenate([v[1:], v[:1]]) * d[:, None], x, 8, 2)
    with pytest.raises(TypeError, match="uses a traced array that is not in parameters"):
        arrmb.grad(lambda y: arrmb.namespace(y).sum(f(lambda d, v: y[:, None] * v, x, 8, 2)[0]))(x)
    with pytest.raises(TypeError, match="dtype must be floating-point"):
        f(scale, x, 8, 2, dtype=np.int64)


# ------------------------------------------------------------------------------------------------- sizes, products


def test_a_large_grid():
    """40,000 pixels, 6 of the largest eigenvalues: an n × n array would take 12.8 GB."""
    m = 200
    a = grid(m, m)
    p = sparse.Pattern(a)
    rows, columns = np.divmod(np.arange(m * m), m)
    bumps = sum(
        (2.0 + 0.2 * i) * np.exp(-((rows - 20 - 30 * i) ** 2 + (columns - 170 + 25 * i) ** 2) / 40.0) for i in range(6)
    )
    weights = 1.0 + 0.5 * (bumps[p.rows] + bumps[p.columns])
    target = np.random.default_rng(0).standard_normal((m * m, 6))

    def loss(data):
        w, v = sparse.eigsh(data, p, 6)
        return arrmb.namespace(w).sum((H(v) @ target) ** 2) + arrmb.namespace(w).sum(w)

    tracemalloc.start()
    gradient = arrmb.grad(loss)(weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 60e6  # some 30 arrays n × k
    dx = np.random.default_rng(1).standard_normal(p.nnz)
    step = 1e-5
    difference = (loss(weights + step * dx) - loss(weights - step * dx)) / (2.0 * step)
    assert abs(gradient @ dx - difference) <= 1e-6 * abs(difference)


def test_matmul(backend):
    a = np.random.default_rng(2).standard_normal((6, 9))
    a = sp.csc_array(np.where(np.abs(a) > 1.0, a, 0.0))
    p = sparse.Pattern(a)
    x = np.random.default_rng(3).standard_normal((9, 2))
    data, dense = backend.put(a.data, "float64"), backend.put(x, "float64")
    assert relative(backend.get(sparse.matmul(data, p, dense)), a @ x) <= 1e-14
    assert relative(backend.get(sparse.matmul(data, p, dense[:, 0])), (a @ x)[:, 0]) <= 1e-14
    left = backend.put(a @ x, "float64")
    found = backend.get(sparse.sampled_matmul(left, dense, p))
    assert relative(found, (a @ x @ x.T)[p.rows, p.columns]) <= 1e-14


def test_deterministic_and_starting_vectors():
    a = grid(5, 6)
    p = sparse.Pattern(a)
    one, two = sparse.eigsh(a.data, p, 3), sparse.eigsh(a.data, p, 3)
    assert np.array_equal(one[1], two[1])
    if "rng" not in inspect.signature(scipy.sparse.linalg.eigsh).parameters:
        return  # its new starts are not the same from call to call
    copies = sp.block_diag([complete(6)] * 4).tocsr()  # ARPACK starts anew where it has used up a vector
    q = sparse.Pattern(copies)
    assert np.array_equal(sparse.eigsh(copies.data, q, 3)[1], sparse.eigsh(copies.data, q, 3)[1])
    other = sparse.eigsh(a.data, p, 3, v0=np.ones(30) + np.arange(30.0))
    assert relative(other[1] @ other[1].T, one[1] @ one[1].T) <= 1e-12


def test_example():
    module = sys.modules["arrmb.sparse.eigen"]
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried == 9


# ---------------------------------------------------------------------------------------------------------- refusals


def test_wrong_input():
    a = grid(3, 4)
    p = sparse.Pattern(a)
    f = sparse.eigsh
    with pytest.raises(TypeError, match=r"pattern must be an arrmb.sparse.Pattern, got ndarray: make one"):
        f(a.data, a.toarray(), 2)
    with pytest.raises(TypeError, match=r"got csr_array: make one with Pattern\(A\)"):
        f(a.data, a, 2)
    with pytest.raises(TypeError, match=r"pattern must be an arrmb\.sparse\.Pattern, got Traced"):
        arrmb.grad(lambda x: f(a.data, x, 2)[0][0])(a.data)
    with pytest.raises(TypeError, match=r"data must be the vector of stored entries, got a sparse array"):
        f(a, p, 2)
    with pytest.raises(ValueError, match=r"data must have shape \(46,\), one entry per stored place, got \(12, 12\)"):
        f(a.toarray(), p, 2)
    with pytest.raises(TypeError, match="data has dtype int64"):
        f(a.data.astype(int), p, 2)
    for k in (0, 10, -1):
        with pytest.raises(ValueError, match=f"k must be from 1 to n - 3 = 9, got {k}"):
            f(a.data, p, k)
    with pytest.raises(TypeError, match=r"k must be a Python int, got float"):
        f(a.data, p, 2.0)
    for name, value in (("which", "SM"), ("method", "qr"), ("gauge", "fix")):
        with pytest.raises(ValueError, match=f"{name} must be one of .*, got '{value}'"):
            f(a.data, p, 2, **{name: value})
    with pytest.raises(ValueError, match="tol must be a number from 0 to 1"):
        f(a.data, p, 2, tol=-1.0)
    with pytest.raises(ValueError, match="method 'lobpcg' takes which='LA' or 'SA' and n >= 5 k"):
        f(a.data, p, 3, method="lobpcg")
    with pytest.raises(
        ValueError, match=r"v0 must be an array of shape \(12,\) and dtype float64, got \(3,\), float64"
    ):
        f(a.data, p, 2, v0=np.ones(3))
    with pytest.raises(ValueError, match="maxiter must be a positive integer"):
        f(a.data, p, 2, maxiter=0)
    triangle = sparse.Pattern(sp.triu(a).tocsr())
    with pytest.raises(ValueError, match=r"pattern has a place \(0, 1\) without \(1, 0\): store both triangles"):
        f(np.ones(triangle.nnz), triangle, 2)
    flat = sparse.Pattern(sp.csr_array(np.ones((4, 5))))
    with pytest.raises(ValueError, match=r"pattern must be square, got shape \(4, 5\)"):
        f(np.ones(20), flat, 2)
    with pytest.raises(ValueError, match="NaN or inf"):
        f(a.data * np.nan, p, 2)
    with pytest.raises(ValueError, match="the matrix is zero"):
        f(0.0 * a.data, p, 2)
    with pytest.raises(ValueError, match=r"dense must have shape \(12,\) or \(12, p\), got \(3, 2\)"):
        sparse.matmul(a.data, p, np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"left must have shape \(12, p\), got \(12,\)"):
        sparse.sampled_matmul(np.ones(12), np.ones(12), p)
    with pytest.raises(ValueError, match="differ in their columns"):
        sparse.sampled_matmul(np.ones((12, 2)), np.ones((12, 1)), p)


def test_no_convergence():
    a = laplacian(grid(30, 30))
    p = sparse.Pattern(a)
    with pytest.raises(ValueError, match=r"sparse.eigsh: ARPACK failed .*raise maxiter \(50\) or tol"):
        sparse.eigsh(a.data, p, 4, which="SA", maxiter=50)
    with pytest.raises(ValueError, match="method 'lobpcg' did not converge: the residual"):
        sparse.eigsh(a.data, p, 4, which="SA", method="lobpcg", maxiter=5)


def test_without_scipy(monkeypatch):
    a = grid(3, 4)
    p = sparse.Pattern(a)
    for name in ("scipy.sparse", "scipy.sparse.linalg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'arrmb\[scipy\]'"):
        sparse.matmul(a.data, p, np.ones(12))
    with pytest.raises(ImportError, match=r"sparse.eigsh_operator: needs SciPy: pip install"):
        sparse.eigsh_operator(lambda d, x: d[:, None] * x, np.arange(8.0), 8, 2)


def test_wrong_sizes_and_starts():
    a = grid(3, 4)
    p = sparse.Pattern(a)
    with pytest.raises(ValueError, match=r"^sparse\.eigsh: v0 must not be zero"):
        sparse.eigsh(a.data, p, 2, v0=np.zeros(12))
    with pytest.raises(TypeError, match=r"^sparse\.eigsh: k must be a Python int, got bool"):
        sparse.eigsh(a.data, p, True)
    with pytest.raises(TypeError, match=r"^sparse\.eigsh: k is a constant and has no derivative: pass a Python int"):
        arrmb.grad(lambda k: sparse.eigsh(a.data, p, k)[0][0])(np.asarray(2.0))
    f, x = sparse.eigsh_operator, np.ones(8)
    with pytest.raises(ValueError, match=r"^sparse\.eigsh_operator: matvec does not take x of shape \(9, 1\), n = 9"):
        f(lambda d, v: d[:, None] * v, x, 9, 2)
    with pytest.raises(TypeError, match=r"^sparse\.eigsh_operator: dtype must be floating-point, .* got 'foo'"):
        f(lambda d, v: d[:, None] * v, x, 8, 2, dtype="foo")
