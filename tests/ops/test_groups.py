"""Functions that are constant on groups of eigenvalues: ties inside groups, gaps between them, and refusals."""

import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb.ops import groups
from arrmb.ops.groups import TopGroup, Window, sign
from arrmb.ops.spectral import spectral
from arrmb.testing import Draw


def hermitian(spectrum):
    return lambda d: (d.hermitian(spectrum),)


def by_eigh(f):
    def reference(x):
        w, v = np.linalg.eigh(x)
        return (v * f(w)[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2))

    return reference


@pytest.mark.parametrize("k", [0, 1, 2, 4])
def test_top_group(check, k):
    ties = [(0.5, 0.5, 2, 2), (-1, 0, 3, 3 + 1e-10)] if k in (0, 2, 4) else [(0.2, 0.2, 0.2, 1)]
    check(
        spectral,
        hermitian((0.1, 0.5, 1.4, 2)),
        params={"kernel": TopGroup(k)},
        reference=by_eigh(lambda w: np.broadcast_to([0.0] * (4 - k) + [1.0] * k, w.shape)),
        at=[hermitian(s) for s in ties],
    )


@pytest.mark.parametrize("low, high", [(0.8, 1.7), (-np.inf, 1.2), (1.2, np.inf), (5.0, 6.0)])
def test_window(check, low, high):
    ties = [(0.5, 0.5, 2, 2), (-1, 1, 1, 1 + 1e-10), (1, 1, 1, 1), (0.5, 1, 1 + 1e-14, 3)]
    check(
        spectral,
        hermitian((0.1, 0.5, 1.4, 2)),
        params={"kernel": Window(low, high)},
        reference=by_eigh(lambda w: ((w > low) & (w < high)).astype(float)),
        at=[hermitian(s) for s in ties],
    )


def test_sign(check):
    ties = [(-1, -1, 2, 2), (1, 1, 1, 2), (-1, -1 + 1e-10, 0.1, 3), (-2, 0.5, 0.5, 0.5 + 1e-14)]
    check(
        spectral,
        hermitian((-0.6, -0.2, 0.4, 1.3)),
        params={"kernel": sign},
        reference=by_eigh(np.sign),
        at=[hermitian(s) for s in ties],
    )


def differences(kernel, w):
    w = np.asarray(w, dtype=float)
    return kernel.first(w), np.stack(list(kernel.second(w)), axis=1)


def test_differences_in_closed_form():
    """Of a step of 2 at 0: 2/(b - a) between the sides, and -2/((b-a)(b-c)) where two are on one side."""
    a, b, c = -3.0, 0.5, 0.5 + 1e-13
    first, second = differences(sign, [a, b, c])
    assert first[0, 1] == 2.0 / 3.5 and first[1, 2] == first[0, 0] == 0.0
    np.testing.assert_allclose(second[0, 1, 2], -2.0 / (b - a) / (c - a), rtol=1e-15)
    np.testing.assert_allclose(second[1, 0, 2], second[0, 1, 2], rtol=1e-15)
    np.testing.assert_allclose(second[0, 0, 1], 2.0 / (b - a) ** 2, rtol=1e-15)
    assert second[1, 1, 2] == second[0, 0, 0] == 0.0
    # three groups, the sides equal: below, inside, above
    first, second = differences(Window(0.0, 1.0), [-1.0, 0.5, 3.0])
    assert first[0, 2] == 0.0
    np.testing.assert_allclose(second[0, 1, 2], (1 / 1.5 + 1 / 2.5) / -4.0, rtol=1e-15)


def test_zero_is_a_group_of_sign():
    """Along directions that keep the rank: X = A D A^T has the sign of D's signs on range A, and 0 beside it."""
    a = Draw(0).normal(4, 2)
    core = np.diag([2.0, -1.0])

    def of_factor(a):
        q, r = arrmb.linalg.qr(a)
        return (
            q
            @ linalg.signmh(r @ core @ arrmb.namespace(a).matrix_transpose(r))
            @ arrmb.namespace(a).matrix_transpose(q)
        )

    def of_matrix(a):
        return linalg.signmh(a @ core @ arrmb.namespace(a).matrix_transpose(a))

    da = Draw(1).normal(4, 2)
    expected, change = arrmb.jvp(of_factor, (a,), (da,))
    y, dy = arrmb.jvp(of_matrix, (a,), (da,))
    np.testing.assert_allclose(y, expected, atol=1e-13)
    np.testing.assert_allclose(dy, change, atol=1e-12)
    assert np.linalg.matrix_rank(y) == 2
    assert not np.any(linalg.signmh(np.zeros((3, 3))))
    np.testing.assert_array_equal(linalg.signmh(np.diag([0.0, -1e-300])), np.diag([0.0, -1.0]))


@pytest.mark.parametrize("dtype, offset", [("float64", 1e-16), ("float32", 1e-8)])
def test_eigenvalue_on_a_bound(backend, dtype, offset):
    x = backend.put(np.stack([np.eye(3), np.diag([1.0, 2.0 + offset, 3.0])]), dtype)
    if backend.name == "cupy":  # which looks at no values
        y = backend.get(linalg.window_projector(x, 0.5, 2.0))
        assert np.all(y[0] == np.eye(3)) and np.all(np.isnan(y[1]))
        return
    with pytest.raises(ValueError, match=r"window_projector: an eigenvalue lies on a bound, 0\.5 or 2, to rounding"):
        linalg.window_projector(x, 0.5, 2.0)
    x = backend.put(np.zeros((2, 2)), dtype)
    with pytest.raises(ValueError, match="window_projector: an eigenvalue lies on a bound"):
        linalg.window_projector(x, 0.0, 2.0)
    assert not np.any(backend.get(linalg.window_projector(x, 1e-30, 2.0)))


def test_nan_where_values_cannot_be_looked_at(monkeypatch):
    monkeypatch.setattr(groups, "on_host", lambda x: False)
    x = np.stack([np.diag([1.0, 1.0, 3.0]), np.diag([0.0, 1.5, 3.0])])
    y = linalg.top_projector(x, 2)
    assert np.all(np.isnan(y[0])) and np.all(y[1] == np.diag([0.0, 1.0, 1.0]))
    y = linalg.window_projector(x, 1.0, 2.0)
    assert np.all(np.isnan(y[0])) and np.all(y[1] == np.diag([0.0, 1.0, 0.0]))


def test_empty_and_one_by_one():
    for function in (
        linalg.signmh,
        lambda x: linalg.window_projector(x, 0.0, 1.0),
        lambda x: linalg.top_projector(x, 0),
    ):
        for shape in ((0, 0), (0, 3, 3), (2, 0, 0)):
            assert function(np.zeros(shape)).shape == shape
    np.testing.assert_array_equal(linalg.window_projector(np.asarray([[0.5]]), 0.0, 1.0), [[1.0]])
    np.testing.assert_array_equal(linalg.signmh(np.asarray([[-0.5]])), [[-1.0]])


def test_wrong_bounds():
    x = np.eye(2)
    with pytest.raises(TypeError, match="window_projector: low must be a Python number, got None"):
        linalg.window_projector(x, None, 1.0)
    with pytest.raises(TypeError, match="window_projector: high must be a Python number, got nan"):
        linalg.window_projector(x, 0.0, float("nan"))
    with pytest.raises(ValueError, match=r"window_projector: low must be below high, got 2.0 and 1.0"):
        linalg.window_projector(x, 2.0, 1.0)
    with pytest.raises(ValueError, match=r"window_projector: x must have shape \(..., n, n\)"):
        linalg.window_projector(np.ones((2, 3)), 0.0, 1.0)
