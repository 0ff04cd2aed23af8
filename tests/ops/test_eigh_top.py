"""The k largest eigenpairs: exact whatever ties the rest have, to second order."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb._xp import H, conj, real
from arrmb.ops.eigh_top import eigh_top
from arrmb.testing import Draw

TIED_REST = [0.5, 0.5, 0.5, 1.7, 3.0]


def with_spectrum(w):
    return lambda d: (d.hermitian(w),)


def each(w, v):
    """Eigenvalues, and the projector on each eigenvector: neither depends on phases."""
    return w, *[v[..., :, j : j + 1] @ H(v[..., :, j : j + 1]) for j in range(v.shape[-1])]


def dense(k):
    def reference(x):
        w, v = np.linalg.eigh(x)
        return each(w[..., -k:], v[..., -k:])

    return reference


def test_eigh_top(check):
    at = [with_spectrum(w) for w in (TIED_REST, [-1.0, 0.0, 0.0, 1.0, 2.0], [-3.0, -3.0, -3.0, -1.0, 0.0])]
    at.append(with_spectrum([0.5, 0.5, 0.5 + 1e-15, 1.7, 3.0]))
    if check.dtype in ("float64", "complex128"):
        at.append(with_spectrum([0.5, 0.5 + 1e-9, 0.5 + 2e-9, 1.7, 3.0]))
    check(
        eigh_top,
        with_spectrum([-2.0, -1.0, 0.5, 1.7, 3.0]),
        params={"k": 2},
        invariant=each,
        reference=dense(2),
        at=at,
    )


@pytest.mark.parametrize("k", [1, 5])
def test_one_and_all(check, k):
    check(
        eigh_top,
        with_spectrum([-2.0, -1.0, 0.5, 1.7, 3.0]),
        params={"k": k},
        invariant=each,
        reference=dense(k),
    )


def test_third_order():
    """Of the largest eigenvalue, along a line: against differences of the second order in 40 digits."""
    x, e = Draw(1).hermitian(TIED_REST), Draw(2).hermitian([-1.0, 0.5, 1.0, 2.0, 3.0])

    def slope(f):
        return lambda x: arrmb.jvp(f, (x,), (e,))[1]

    def largest(x):
        return eigh_top(x, k=1)[0][0]

    with mpmath.workdps(60):
        mx, me = mpmath.matrix(x.tolist()), mpmath.matrix(e.tolist())
        expected = mpmath.diff(lambda t: max(mpmath.eigsy(mx + t * me, eigvals_only=True)), 0, 3, h=mpmath.mpf("1e-12"))
    assert abs(float(slope(slope(slope(largest)))(x)) - float(expected)) <= 1e-10 * abs(float(expected))


def loss_of(g, k):
    def loss(x):
        xp = arrmb.namespace(x)
        w, v = eigh_top(x, k=k)
        c = xp.astype(xp.exp(0.3 * w), v.dtype)
        return xp.sum(real(((v * c) @ H(v)) * conj(g))) + real(g[0, 0]) * xp.sum(w * w)

    return loss


def truth(x, g, e, k):
    """Gradient and Hessian product of the loss, in 60 digits, by divided differences of the k eigenvalues' function.

    exp(0.3 w) on the top group and 0 on the rest is a function of the matrix, as w² is.
    """
    with mpmath.workdps(60):
        a, gm, em = (mpmath.matrix(np.asarray(m).tolist()) for m in (x, g, e))
        n = a.rows
        w, v = mpmath.eigsy(a)
        top = [i >= n - k for i in range(n)]

        def divided(f, df, d2f, *idx):
            idx = sorted(idx)
            tops = [i for i in idx if top[i]]
            if not tops:
                return mpmath.mpf(0)
            pts = sorted(idx, key=lambda i: (w[i], i))
            spread = abs(w[pts[-1]] - w[pts[0]])
            if len(pts) == 1:
                return f(w[pts[0]])
            if spread < mpmath.mpf(10) ** -30:
                return df(w[pts[0]]) if len(pts) == 2 else d2f(w[pts[0]]) / 2
            return (divided(f, df, d2f, *pts[1:]) - divided(f, df, d2f, *pts[:-1])) / (w[pts[-1]] - w[pts[0]])

        c = mpmath.mpf(3) / 10
        functions = [
            (lambda t: mpmath.exp(c * t), lambda t: c * mpmath.exp(c * t), lambda t: c * c * mpmath.exp(c * t)),
            (lambda t: t * t, lambda t: 2 * t, lambda t: mpmath.mpf(2)),
        ]
        eh = v.T * em * v
        first, second = mpmath.zeros(n), mpmath.zeros(n)
        for (f, df, d2f), weight in zip(functions, (gm, gm[0, 0] * mpmath.eye(n))):
            gh = v.T * weight * v
            for i in range(n):
                for j in range(n):
                    first[i, j] += divided(f, df, d2f, i, j) * gh[i, j]
                    for m in range(n):
                        second[i, j] += divided(f, df, d2f, i, m, j) * (gh[i, m] * eh[m, j] + eh[i, m] * gh[m, j])
        return [np.asarray((v * s * v.T).tolist(), dtype=float) for s in (first, second)]


@pytest.mark.parametrize(
    "spectrum", [TIED_REST, [0.0, 0.0, 0.0, 1.0, 2.5], [-2.0, -1.0, 0.5, 1.7, 3.0], [2.0, 2.0, 5.0]]
)
def test_against_sixty_digits(spectrum):
    n = len(spectrum)
    k = min(2, n - 2)
    x, d = Draw(3).hermitian(spectrum), Draw(4)
    g, e = (d.hermitian(np.linspace(-1.0, 2.0, n)) for _ in range(2))
    first, second = truth(x, g, e, k)
    assert relative(arrmb.grad(loss_of(g, k))(x), first) <= 1e-13
    assert relative(arrmb.hvp(loss_of(g, k), (x,), (e,))[0], second) <= 1e-12


def relative(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(2, 6), st.data())
def test_spectra_of_any_kind(n, data):
    """Scales from 1e-12 to 1e12, ties and near ties in the rest, rank deficiency: against `top_projector`."""
    k = data.draw(st.integers(1, n - 1))
    scale = 10.0 ** data.draw(st.integers(-12, 12))
    near = data.draw(st.sampled_from([0.0, 1e-16, 1e-12, 1e-6, 1e-3]))
    rest = [data.draw(st.sampled_from([0.0, 1.0, 1.0 + near])) for _ in range(n - k)]
    top = [2.0 + j for j in range(k)]
    x = scale * Draw(data.draw(st.integers(0, 99))).hermitian(rest + top)
    g = Draw(1).hermitian(np.linspace(-1.0, 2.0, n))
    e = scale * Draw(2).hermitian(np.linspace(-1.0, 1.0, n))

    def by_pairs(x):
        v = eigh_top(x, k=k)[1]
        return arrmb.namespace(x).sum(g * (v @ H(v)))

    def by_projector(x):
        return arrmb.namespace(x).sum(g * arrmb.linalg.top_projector(x, k))

    assert norm_of_difference(arrmb.grad(by_pairs)(x), arrmb.grad(by_projector)(x)) * scale <= 1e-12
    found, expected = (arrmb.hvp(f, (x,), (e,))[0] for f in (by_pairs, by_projector))
    assert norm_of_difference(found, expected) * scale <= 1e-11


def norm_of_difference(a, b):
    return np.linalg.norm(a - b)


def test_a_split_tie_raises(backend):
    x = backend.put(Draw(3).hermitian(TIED_REST), "float64")
    if backend.name != "cupy":
        with pytest.raises(ValueError, match=r"eigh_top: k=3 splits a group .*number 3 and 4.*choose k at a gap"):
            eigh_top(x, k=3)
    with pytest.raises(ValueError, match="splits a group"):
        eigh_top(x, k=3, gauge="raise")
    assert eigh_top(x, k=5)[0].shape == (5,)


def test_ties_within_the_top():
    """First order as eigh: exact for the projector; gauge="raise" tells the other losses, and the second order."""
    x, g = Draw(3).hermitian([-1.0, -1.0, 0.5, 2.0, 2.0]), Draw(4).hermitian([1.0, 2.0, 3.0, 4.0, 5.0])

    def projector(x):
        v = eigh_top(x, k=2, gauge="raise")[1]
        return arrmb.namespace(x).sum(g * (v @ H(v)))

    def vector(x):
        v = eigh_top(x, k=2, gauge="raise")[1][:, 1:]
        return arrmb.namespace(x).sum(g * (v @ H(v)))

    expected = arrmb.grad(lambda x: arrmb.namespace(x).sum(g * arrmb.linalg.top_projector(x, 2)))(x)
    assert relative(arrmb.grad(projector)(x), expected) <= 1e-13
    with pytest.raises(ValueError, match=r"eigh_top: eigenvalues 0 and 1 \(2 and 2, .*the loss depends on the choice"):
        arrmb.grad(vector)(x)
    with pytest.raises(ValueError, match=r"eigh_top: eigenvalues 0 and 1 .* no rule for second derivatives at ties"):
        arrmb.hvp(projector, (x,), (x,))
    with pytest.raises(ValueError, match=r"eigh_top: .*the direction splits the pair"):
        arrmb.jvp(lambda x: eigh_top(x, k=2, gauge="raise"), (x,), (g,))


def test_ties_are_judged_by_the_rounding_of_the_whole_matrix():
    """The two largest are tied, and the largest in modulus, which rounds them apart, is at the other end."""
    x = Draw(3).hermitian([-1e5, -2.0, 1.0, 1.0])
    weights = np.diag([1.0, 2.0, 3.0, 4.0])

    def loss(x):
        v = eigh_top(x, k=2)[1]
        return arrmb.namespace(x).sum((v @ H(v)) * weights)

    w, u = np.linalg.eigh(x)
    assert w[3] - w[2] > 10 * np.finfo(float).eps  # split by rounding
    between = np.zeros((4, 4))
    between[2:, :2] = 1.0 / (w[2:, None] - w[None, :2])
    expected = u @ ((between + between.T) * (u.T @ weights @ u)) @ u.T
    assert relative(arrmb.grad(loss)(x), expected) <= 1e-9  # eps ‖x‖ / gap is 1e-11
