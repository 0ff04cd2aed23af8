"""The top singular triplets: exact to second order at ties and zeros of the rest."""

import mpmath
import numpy as np
import pytest

import arrmb
from arrmb._xp import H
from arrmb.ops.svd import svd
from arrmb.ops.svd_top import svd_top
from arrmb.testing import Draw

SHAPES = [(4, 4), (5, 3), (3, 5)]
RESTS = [[1.0, 1.0], [0.0, 0.0], [1e-9, 0.0], [1.0, 1.0 - 1e-12], [1e-14, 1e-15], [1.0, 1.0 - 1e-5]]


def with_values(m, n, values):
    return lambda d: (d.with_singular_values(m, n, values[: min(m, n)]),)


def cube(u, s, vh):
    """What does not depend on the phases of the pairs of vectors."""
    c = (s * s * s)[..., None, :]
    return s, (u * c) @ vh, (u * c) @ H(u), (H(vh) * c) @ vh


@pytest.mark.parametrize("m, n", SHAPES)
@pytest.mark.parametrize("k", [0, 1, 3])
def test_svd_top(check, m, n, k):
    def reference(x):
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        return cube(u[:, :k], s[:k], vh[:k])

    check(svd_top, with_values(m, n, [3.0, 2.0, 1.0, 0.4]), params={"k": k}, invariant=cube, reference=reference)


@pytest.mark.parametrize("m, n", SHAPES)
def test_ties_and_zeros_of_the_rest(check, m, n):
    at = [with_values(m, n, [3.0, 2.0, *rest]) for rest in RESTS]
    check(svd_top, at[0], params={"k": 2}, invariant=cube, at=at[1:])


def test_ties_of_the_top_to_first_order(check):
    def pair(u, s, vh):
        return arrmb.namespace(s).exp(s[..., 0]) + arrmb.namespace(s).exp(s[..., 1]), u @ vh, u @ H(u), H(vh) @ vh

    at = [with_values(5, 4, [2.0, 2.0, 0.0, 0.0])]
    check(svd_top, with_values(5, 4, [2.0, 2.0, 1.0, 1.0]), params={"k": 2}, invariant=pair, at=at, order=1)


@pytest.mark.parametrize("complex", [False, True])
def test_as_svd_where_all_are_distinct(complex):
    d = Draw(3, complex)
    x, e, f = d.with_singular_values(5, 4, [4.0, 3.0, 2.0, 1.0]), d.normal(5, 4), d.normal(5, 4)
    g = d.normal(5, 4)

    def loss(decompose):
        def function(x):
            u, s, vh = decompose(x)
            y = (u[..., :2] * s[..., :2] ** 3) @ vh[..., :2, :]
            return arrmb.namespace(x).sum(arrmb.namespace(x).real(np.conj(g) * y))

        return function

    def third(f_, x):
        slope = lambda x: arrmb.jvp(f_, (x,), (e,))[1]  # noqa: E731
        return arrmb.jvp(lambda x: arrmb.jvp(slope, (x,), (f,))[1], (x,), (e,))[1]

    ours, theirs = loss(lambda x: svd_top(x, k=2)), loss(svd)
    np.testing.assert_allclose(arrmb.grad(ours)(x), arrmb.grad(theirs)(x), rtol=1e-12, atol=1e-12)
    first, second = (arrmb.hvp(f_, (x,), (e,))[0] for f_ in (ours, theirs))
    assert np.linalg.norm(first - second) <= 1e-12 * np.linalg.norm(second)
    assert abs(third(ours, x) - third(theirs, x)) <= 1e-11 * abs(third(theirs, x))


@pytest.mark.parametrize("rest", RESTS)
def test_against_fifty_digits(rest):
    """Gradient and Hessian product of u_1^T G v_1 and s_1² at ties of the rest: X + t E + r F by mpmath, in r and t.

    The dominant triplet of a matrix a little away is found by power iteration from the one at hand.
    """
    d = Draw(1)
    x, e, f, g = d.with_singular_values(4, 3, [3.0, *rest]), d.normal(4, 3), d.normal(4, 3), d.normal(4, 3)

    def loss(x):
        u, s, vh = svd_top(x, k=1)
        return arrmb.namespace(x).sum((u @ vh) * g) + s[0] ** 2

    with mpmath.workdps(50):
        xm, em, fm, gm = (mpmath.matrix(v.tolist()) for v in (x, e, f, g))
        v0 = mpmath.matrix(np.linalg.svd(x)[2][0].tolist())

        def exact(t, r):
            a = xm + t * em + r * fm
            b, v = a.T * a, v0
            for _ in range(7):  # squares of the matrix: 128 steps and more of the power iteration
                b = b * b / mpmath.norm(b)
            v = b * v
            v = v / mpmath.norm(v)
            u = a * v
            s = mpmath.norm(u)
            return (u.T * gm * v)[0] / s + s**2

        h = mpmath.mpf(10) ** -10
        slope = (exact(h, 0) - exact(-h, 0)) / (2 * h)
        curvature = (exact(h, h) - exact(h, -h) - exact(-h, h) + exact(-h, -h)) / (4 * h * h)
    assert abs(np.sum(arrmb.grad(loss)(x) * e) - float(slope)) <= 1e-12 * abs(float(slope))
    assert abs(np.sum(arrmb.hvp(loss, (x,), (e,))[0] * f) - float(curvature)) <= 1e-11 * abs(float(curvature))


def test_a_split_of_a_tie_is_an_error(backend):
    d = Draw(0)
    cases = [([2.0, 1.0, 1.0], 2, 4), ([2.0, 1.0, 0.0], 3, 4), ([2.0, 1.0, 0.0], 3, 3), ([0.0, 0.0, 0.0], 1, 3)]
    for values, k, m in cases:
        x = backend.put(d.with_singular_values(m, 3, values), "float64")
        if backend.name == "cupy":
            continue
        with pytest.raises(ValueError, match=rf"svd_top: k={k} splits a group of equal singular values, or takes in a"):
            svd_top(x, k=k)
        with pytest.raises(ValueError, match=rf"svd_top: k={k} splits"):
            arrmb.grad(lambda x, k=k: arrmb.namespace(x).sum(svd_top(x, k=k)[1]))(x)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_extreme_scales_in_single_precision(backend, dtype, scale):
    d = Draw(1, complex=dtype == "complex64")
    x, dx = d.with_singular_values(5, 4, [3.0, 2.0, 0.5, 0.0]), d.normal(5, 4)

    def invariants(x):
        u, s, vh = svd_top(x, k=2, gauge="raise")
        return u @ vh, u @ H(u), s / arrmb.namespace(s).sum(s)

    results = []
    for c in (1.0, scale):
        xs, dxs = backend.put(c * x, dtype), backend.put(dx, dtype)
        y, dy = arrmb.jvp(invariants, (xs,), (dxs,))
        bars = tuple(backend.put(np.ones(v.shape), dtype) for v in y)
        pulled = arrmb.vjp(invariants, xs)[1](bars)
        results.append([c * backend.get(v).astype("complex128") for v in (*dy, *pulled)])
    for at_one, at_scale in zip(*results):
        assert np.linalg.norm(at_scale - at_one) <= 2e-5 * np.linalg.norm(results[0][0])


def test_gauge(backend):
    d = Draw(2)
    tied = backend.put(d.with_singular_values(5, 4, [2.0, 2.0, 1.0, 1.0]), "float64")
    apart = backend.put(d.with_singular_values(5, 4, [3.0, 2.0, 1.0, 1.0]), "float64")

    def one(x, gauge="raise"):
        u = svd_top(x, k=2, gauge=gauge)[0][:, :1]
        return arrmb.namespace(x).sum((u @ H(u))[0, :])

    def both(x):
        u = svd_top(x, k=2, gauge="raise")[0]
        return arrmb.namespace(x).sum((u @ H(u))[0, :])

    with pytest.raises(
        ValueError, match=r"svd_top: singular values [01] and [01] \(2 and 2, gap .*the loss depends on"
    ):
        arrmb.grad(one)(tied)
    assert np.all(np.isfinite(backend.get(arrmb.grad(lambda x: one(x, "drop"))(tied))))
    with pytest.raises(ValueError, match=r"svd_top: singular values [01] and [01] .* the direction splits the pair"):
        arrmb.jvp(one, (tied,), (backend.put(d.normal(5, 4), "float64"),))
    for loss, x in ((both, tied), (both, apart), (one, apart)):
        assert np.all(np.isfinite(backend.get(arrmb.grad(loss)(x))))
    with pytest.raises(ValueError, match=r"svd_top: singular values [01] and [01]"):
        arrmb.hvp(one, (tied,), (tied,))
    assert np.all(np.isfinite(backend.get(arrmb.hvp(one, (apart,), (tied,))[0])))
