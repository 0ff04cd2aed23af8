"""Thin singular value decomposition: distinct, tied and zero singular values, and extreme scales."""

import numpy as np
import pytest

import arrmb
from arrmb._xp import H
from arrmb.ops.svd import svd, svdvals

SHAPES = [(4, 4), (5, 3), (3, 5)]


def with_values(m, n, values):
    return lambda d: (d.with_singular_values(m, n, values[: min(m, n)]),)


def cube(u, s, vh):
    """What does not depend on the phases of the pairs of vectors, nor on the bases of the complements."""
    k = s.shape[-1]
    c = (s * s * s)[..., None, :]
    if u.shape[-1] > k or vh.shape[-2] > k:
        u2, v2 = u[..., k:], H(vh)[..., k:]
        return *cube(u[..., :k], s, vh[..., :k, :]), u2 @ H(u2), v2 @ H(v2)
    return s, (u * c) @ vh, (u * c) @ H(u), (H(vh) * c) @ vh


def pair(u, s, vh):
    """What svd is exact for when the first two singular values are tied, and the last one may be zero."""
    xp = arrmb.namespace(s)
    u, v = u[..., :, :2], H(vh)[..., :, :2]
    return xp.sum(xp.exp(s[..., :2]), axis=-1), u @ H(v), u @ H(u), v @ H(v)


@pytest.mark.parametrize("m, n", SHAPES)
def test_svd(check, m, n):
    def reference(x):
        gram, other = x @ np.conj(x.T), np.conj(x.T) @ x
        left, right = np.linalg.eigh(gram), np.linalg.eigh(other)
        roots = [(v * np.maximum(w, 0.0) ** 1.5) @ np.conj(v.T) for w, v in (left, right)]
        return np.linalg.svd(x)[1], gram @ x, *roots

    check(svd, with_values(m, n, [3.0, 2.0, 1.0, 0.4]), invariant=cube, reference=reference)


@pytest.mark.parametrize("m, n", [(5, 3), (3, 5), (4, 4), (4, 1), (1, 4)])
def test_full_matrices(check, m, n):
    values = [3.0, 2.0, 1.0, 0.4][: min(m, n)]
    check(svd, with_values(m, n, values), invariant=cube, params={"full_matrices": True})


@pytest.mark.parametrize("m, n", [(5, 3), (3, 5), (4, 4)])
def test_full_matrices_of_a_rank_deficient_matrix(check, m, n):
    """The null spaces are those of zero singular values and of the complements together."""

    def invariant(u, s, vh):
        left, right = u[..., 2:], H(vh)[..., 2:]
        return *pair(u, s, vh), left @ H(left), right @ H(right)

    at = [with_values(m, n, [2.0, 1.0, 0.0, 0.0])]
    params = {"full_matrices": True}
    check(svd, with_values(m, n, [2.0, 2.0, 0.0, 0.0]), invariant=invariant, params=params, at=at, order=1)


@pytest.mark.parametrize("m, n", SHAPES)
def test_svd_at_ties(check, m, n):
    near = with_values(m, n, [2.0, 2.0 - 1e-5, 1.0, 0.4])
    at = [with_values(m, n, [2.0, 2.0, 0.5, 0.5])]
    if check.dtype in ("float64", "complex128"):  # eps/gap is 1e-2 in single precision
        at.append(near)
    check(svd, with_values(m, n, [2.0, 2.0, 1.0, 0.4]), invariant=pair, at=at, order=1)


@pytest.mark.parametrize("m, n", [*SHAPES, (6, 4), (4, 6)])
def test_svd_of_a_rank_deficient_matrix(check, m, n):
    deficient = [with_values(m, n, [3.0, 1.5, 0.0, 0.0]), with_values(m, n, [2.0, 2.0, 0.0, 0.0])]
    check(svd, deficient[0], invariant=pair, at=deficient[1:], order=1)


@pytest.mark.parametrize("m, n", [(4, 1), (1, 4)])
def test_svd_of_one_vector(check, m, n):
    check(svd, lambda d: (d.normal(m, n),), invariant=cube)


@pytest.mark.parametrize("m, n", SHAPES)
def test_svdvals(check, m, n):
    def reference(x):
        return np.linalg.svd(x)[1]

    check(svdvals, with_values(m, n, [3.0, 2.0, 1.0, 0.4]), reference=reference)


def test_svdvals_at_ties(check):
    def symmetric(s):
        return (arrmb.namespace(s).sum(s * s * s * s, axis=-1),)

    def reference(x):
        gram = x @ np.conj(x.T)
        return np.trace(gram @ gram).real

    tied = [with_values(5, 4, values) for values in ([2.0, 2.0, 1.0, 1.0], [1.0] * 4, [1.0, 0.0, 0.0, 0.0])]
    check(svdvals, tied[0], invariant=symmetric, reference=reference, at=tied[1:], order=1)


@pytest.mark.parametrize("m, n", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
@pytest.mark.parametrize("last", [0.4, 0.0])
def test_extreme_scales_in_single_precision(backend, dtype, scale, last, m, n):
    """U V^H and the projectors are of degree 0 in X, so gradients are of degree -1. Squares would leave the range."""

    def invariants(x):
        u, s, vh = svd(x, full_matrices=True, gauge="raise")
        u, v, u0, v0 = u[:, :2], H(vh)[:, :2], u[:, 2:], H(vh)[:, 2:]
        return u @ H(v), u @ H(u), v @ H(v), u0 @ H(u0), v0 @ H(v0), s / arrmb.namespace(s).sum(s)

    d = arrmb.testing.Draw(1, complex=dtype == "complex64")
    values = [3.0, 2.0, last, 0.5 * last][: min(m, n)]
    (x,), dx = with_values(m, n, values)(d), d.normal(m, n)
    if last == 0.0:  # a direction in which no zero moves
        x0 = np.linalg.svd(x)
        dx = dx - x0[0][:, 2:] @ (np.conj(x0[0][:, 2:].T) @ dx @ np.conj(x0[2][2:].T)) @ x0[2][2:]
    results = []
    for c in (1.0, scale):
        xs, dxs = backend.put(c * x, dtype), backend.put(dx, dtype)
        y, dy = arrmb.jvp(invariants, (xs,), (dxs,))
        _, pullback = arrmb.vjp(invariants, xs)
        bars = tuple(backend.put(np.ones(v.shape), dtype) for v in y)
        results.append([c * backend.get(v).astype("complex128") for v in (*dy, *pullback(bars))])
    for at_one, at_scale in zip(*results):
        # the derivative of s / sum(s) is a difference of terms of order 0.1
        assert np.linalg.norm(at_scale - at_one) <= 2e-5 * max(np.linalg.norm(at_one), 0.1)


def test_reconstruction_at_a_tie_is_beyond_any_rule_of_svd():
    """<G, U diag(s) V^T> is <G, X>, with gradient G: exact where the singular values are distinct, and not at a tie."""
    weights = np.random.default_rng(6).standard_normal((4, 4))

    def loss(x):
        u, s, vh = svd(x)
        return arrmb.namespace(x).sum(((u * s) @ vh) * weights)

    def error(values):
        x = arrmb.testing.Draw(5).with_singular_values(4, 4, values)
        return np.linalg.norm(arrmb.grad(loss)(x) - weights) / np.linalg.norm(weights)

    assert error([3.0, 2.0, 1.0, 0.4]) <= 1e-13
    assert error([1.0, 1.0, 1.0, 1.0]) > 0.2


def test_a_tie_is_relative_to_its_own_matrix():
    """A gap of 1e-6 is none: its vectors are told apart, in a batch with matrices of quite other scales.

    U's first column is an eigenvector of X X^T, of which the gradient is known: Xbar = 2 Cbar X for C = X X^T.
    """
    weights = np.random.default_rng(6).standard_normal((4, 4))
    x = arrmb.testing.Draw(5).with_singular_values(4, 4, [2.0 + 1e-6, 2.0, 1.0, 0.4])
    scales = np.array([1.0, 1e12, 1e-12])

    def loss(x):
        u = svd(x)[0][..., :1]
        return arrmb.namespace(x).sum((u @ u.mT) * weights)

    u, s, _ = np.linalg.svd(x)
    between = np.zeros((4, 4))
    between[0, 1:] = 1.0 / (s[0] ** 2 - s[1:] ** 2)
    expected = 2.0 * u @ ((between + between.T) * (u.T @ (0.5 * (weights + weights.T)) @ u)) @ u.T @ x
    for c, gradient in zip(scales, arrmb.grad(loss)(scales[:, None, None] * x)):
        error = np.linalg.norm(c * gradient - expected) / np.linalg.norm(expected)
        assert error <= 1e-8  # eps s_max / gap is 5e-10


def test_gradients_are_finite_anywhere(check):
    d = arrmb.testing.Draw(0, complex=check.dtype.startswith("complex"))
    for values in ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1e-12, 0.0]):
        for m, n in ((3, 3), (5, 3), (3, 5)):
            x = check.backend.put(d.with_singular_values(m, n, values), check.dtype)
            y, pullback = arrmb.vjp(svd, x)
            bars = tuple(check.backend.put(np.ones(v.shape), check.dtype) for v in y)
            assert np.all(np.isfinite(check.backend.get(pullback(bars)[0])))


# ------------------------------------------------------------------------------------------------------------- gauge


def checked(backend, dtype, x, loss, full_matrices=False):
    """The gradient of ``loss(u, s, vh)`` with gauge="raise"."""
    return arrmb.grad(lambda x: loss(*svd(x, full_matrices=full_matrices, gauge="raise")))(backend.put(x, dtype))


def weighted(a, seed=3):
    """Re<G, A> for a fixed random G, of both parts of A."""
    xp = arrmb.namespace(a)
    g = np.random.default_rng(seed).standard_normal((*a.shape[-2:], 2))
    parts = [xp.real(a), xp.imag(a)] if arrmb._xp.is_complex(a) else [a]
    constants = [xp.asarray(g[..., i].tolist(), dtype=p.dtype, device=arrmb._xp.device(a)) for i, p in enumerate(parts)]
    return sum(xp.sum(c * p) for c, p in zip(constants, parts))


SPECTRA = {
    "distinct": [3.0, 2.0, 1.0, 0.5],
    "tied": [2.0, 2.0, 1.0, 1.0],
    "nearly tied": [2.0, 2.0 - 1e-14, 1.0, 1.0 - 1e-9],
    "apart": [2.0, 2.0 - 1e-5, 1.0, 1.0 - 1e-3],
    "deficient": [2.0, 2.0, 0.0, 0.0],
    "nearly deficient": [2.0, 2.0, 1e-14, 1e-9],
}


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32", "complex64"])
@pytest.mark.parametrize("m, n", [(4, 4), (6, 4), (4, 6)])
@pytest.mark.parametrize("name", SPECTRA)
def test_losses_that_see_no_choice_pass(backend, dtype, m, n, name):
    d = arrmb.testing.Draw(2, complex=dtype.startswith("complex"))
    x = d.with_singular_values(m, n, SPECTRA[name])

    def loss(u, s, vh):
        v = H(vh)
        u1, v1, u2, v2 = u[..., :2], v[..., :2], u[..., 2:], v[..., 2:]
        xp = arrmb.namespace(s)
        total = weighted(u1 @ H(v1)) + weighted(u1 @ H(u1)) + weighted(v1 @ H(v1)) + xp.sum(xp.exp(s[..., :2]))
        if full or (m == n and "deficient" not in name):
            total = total + weighted(u2 @ H(u2)) + weighted(v2 @ H(v2))
        return total

    for full in (False, True):
        gradient = checked(backend, dtype, x, loss, full)
        assert np.all(np.isfinite(backend.get(gradient)))


def first_vector(u, s, vh):
    return weighted(u[..., :1] @ H(u[..., :1]))


def test_losses_that_see_a_choice_are_named(backend):
    d = arrmb.testing.Draw(2)
    tied, deficient = d.with_singular_values(5, 3, [3.0, 2.0, 2.0]), d.with_singular_values(5, 4, [3.0, 2.0, 0.0, 0.0])
    cases = [
        (
            tied,
            lambda u, s, vh: weighted(u[:, 1:2] @ H(u[:, 1:2])),
            False,
            r"singular values [12] and [12] \(2 and 2, gap",
        ),
        (tied, lambda u, s, vh: s[1] + 2.0 * s[2], False, r"singular values [12] and [12] .* not symmetric in them"),
        (tied, lambda u, s, vh: weighted(u[:, 3:4] @ H(u[:, 3:4])), True, r"singular values [34] and [34] \(0 and 0"),
        (deficient, lambda u, s, vh: weighted(u[:, 2:4] @ H(u[:, 2:4])), False, r"and 4 \(.*e-\d+ and 0"),
        (deficient, lambda u, s, vh: weighted(u[:, 4:] @ H(u[:, 4:])), True, r"and 4 \(.*e-\d+ and 0"),
        (deficient, lambda u, s, vh: weighted(H(vh)[:, 2:3] @ vh[2:3, :]), False, r"singular values [23] and [23]"),
    ]
    for x, loss, full, match in cases:
        with pytest.raises(ValueError, match=rf"^svd: .*{match}"):
            checked(backend, "float64", x, loss, full)
    z = arrmb.testing.Draw(2, complex=True).with_singular_values(3, 3, [3.0, 2.0, 1.0])
    with pytest.raises(ValueError, match=r"^svd: singular value [012] \([123]\): the loss depends on the choice"):
        checked(backend, "complex128", z, lambda u, s, vh: weighted(u))
    with pytest.raises(ValueError, match=r"^svd: singular values 2 and [34] .* of matrix 1 of the batch"):
        x = np.stack(
            [d.with_singular_values(5, 4, [4.0, 3.0, 2.0, 1.0]), d.with_singular_values(5, 4, [3.0, 2.0, 0, 0])]
        )
        checked(backend, "float64", x, lambda u, s, vh: weighted(u[..., 2:3] @ H(u[..., 2:3])))


def test_directions_that_split_a_group_are_named(backend):
    d = arrmb.testing.Draw(2)

    def push(x, dx, full=False):
        x, dx = backend.put(x, "float64"), backend.put(dx, "float64")
        return arrmb.jvp(lambda x: svd(x, full_matrices=full, gauge="raise"), (x,), (dx,))[1]

    tied, deficient = d.with_singular_values(5, 3, [3.0, 2.0, 2.0]), d.with_singular_values(5, 3, [3.0, 2.0, 0.0])
    dx = d.normal(5, 3)
    with pytest.raises(
        ValueError, match=r"^svd: singular values [12] and [12] \(2 and 2.*the direction splits the pair"
    ):
        push(tied, dx)
    for full in (False, True):
        with pytest.raises(ValueError, match=r"^svd: singular values [23] and [23] \(.*the direction splits the pair"):
            push(deficient, dx, full)
    push(tied, tied)
    push(deficient, deficient, True)
    push(d.with_singular_values(5, 3, [3.0, 2.0, 1.0]), dx, True)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3)])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("gauge", ["drop", "raise"])
def test_matrices_without_entries(backend, shape, full, gauge):
    x = backend.put(np.zeros(shape), "float64")
    y, pullback = arrmb.vjp(lambda x: svd(x, full_matrices=full, gauge=gauge), x)
    assert pullback(y)[0].shape == shape
    assert [v.shape for v in arrmb.jvp(lambda x: svd(x, full_matrices=full), (x,), (x,))[1]] == [v.shape for v in y]


# ----------------------------------------------------------------------------- gauge="raise" at bases that are special


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(
    "shape, values", [((3, 3), [1, 1, 1]), ((3, 3), [2, 2, 1]), ((3, 3), [0, 0, 0]), ((4, 3), [1, 1, 1])]
)
def test_losses_that_no_rule_can_see_are_caught_at_the_identity(backend, shape, values, full, dtype):
    """<G, U S V^H> with a G that is zero on the diagonal has zero cotangents at the basis that a solver returns."""
    x = np.zeros(shape)
    x[:3, :3] = np.diag(values)
    x, g = backend.put(x, dtype), backend.put(np.ones((3, 3)) - np.eye(3), dtype)

    def loss(x):
        u, s, vh = arrmb.linalg.svd(x, full_matrices=full, gauge="raise")
        xp = arrmb.namespace(x)
        y = (u[:3, :3] * s) @ vh if any(values) else u[:3, :3] @ vh
        return xp.sum(xp.real(y @ g)) if dtype == "complex64" else xp.sum(y @ g)

    with pytest.raises(ValueError, match=r"svd: singular value"):
        arrmb.grad(loss)(x)


def test_infinite_entries_raise(backend):
    """NumPy's own svd does not return from this matrix."""
    a = np.random.default_rng(0).standard_normal((4, 4))
    a = a @ a.T + np.eye(4)
    a[0, 1] = a[1, 0] = np.inf
    x = backend.put(a, "float64")
    for f in (arrmb.linalg.svd, arrmb.linalg.polar, lambda x: arrmb.linalg.svd_top(x, 2), arrmb.linalg.pinv):
        if backend.name == "cupy":
            continue
        with pytest.raises(ValueError, match="has NaN or inf"):
            f(x)
        with pytest.raises(ValueError, match="has NaN or inf"):
            arrmb.vjp(f, x)
