"""Principal angles and the projection distance of column spaces: distinct, tied, zero, tiny and right angles."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb.ops.subspaces import subspace_angles, subspace_distance
from arrmb.testing import Draw

SHAPES = [(7, 3, 3), (7, 4, 2), (7, 2, 4), (5, 1, 1)]
ANGLES = [1.4, 0.9, 0.6, 0.1]


def with_angles(d, m, p, q, angles):
    """A and B whose column spaces have the given angles, in bases of no special kind."""
    k = min(p, q)
    basis = d.unitary(m)
    c, s = np.cos(angles[:k]), np.sin(angles[:k])
    a, b = basis[..., :, :p], basis[..., :, :q]
    turned = basis[..., :, :k] * c + basis[..., :, max(p, q) : max(p, q) + k] * s
    if p >= q:
        b = turned
    else:
        a = turned
    mix = [0.3 * d.normal(n, n) + np.eye(n) for n in (p, q)]
    return a @ mix[0], b @ mix[1]


def scipy_angles(a, b):
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
    return np.asarray([scipy.linalg.subspace_angles(a[i], b[i]) for i in np.ndindex(*lead)]).reshape(*lead, -1)


def projectors_distance(a, b):
    pa, pb = a @ np.linalg.pinv(a), b @ np.linalg.pinv(b)
    return 0.5 * np.sum(np.abs(pa - pb) ** 2, axis=(-2, -1))


@pytest.mark.parametrize("m, p, q", SHAPES)
def test_angles(check, m, p, q):
    check(subspace_angles, lambda d: with_angles(d, m, p, q, ANGLES), reference=scipy_angles)


@pytest.mark.parametrize("m, p, q", [*SHAPES, (4, 3, 3)])
def test_distance(check, m, p, q):
    check(subspace_distance, lambda d: (d.normal(m, p), d.normal(m, q)), reference=projectors_distance)


def test_distance_from_the_whole_space_is_constant(backend):
    a, b = (backend.put(Draw(i).normal(3, n), "float64") for i, n in ((1, 3), (2, 2)))
    j, pullback = arrmb.vjp(subspace_distance, a, b)
    np.testing.assert_allclose(backend.get(j), 0.5, rtol=1e-14)
    for bar in pullback(j):
        np.testing.assert_allclose(backend.get(bar), 0.0, atol=1e-14)


def symmetric(theta):
    """Losses that are differentiable at ties, at 0, and at π/2."""
    xp = arrmb.namespace(theta)
    return tuple(xp.sum(f, axis=-1) for f in (xp.sin(theta) ** 2, xp.cos(2.0 * theta)))


TIED = {
    "small": [0.3, 0.3, 0.3],
    "large": [1.2, 1.2, 0.4],
    "at π/4, between the two formulas": [np.pi / 4] * 3,
    "nearly, around π/4": [np.pi / 4 + 1e-12, np.pi / 4, np.pi / 4 - 1e-12],
    "zeros": [0.5, 0.0, 0.0],
    "right angles": [np.pi / 2, np.pi / 2, 0.5],
    "equal spaces": [0.0, 0.0, 0.0],
    "orthogonal spaces": [np.pi / 2] * 3,
    "nearly zero": [1e-9, 1e-12, 1e-13],
    "nearly right": [np.pi / 2 - 1e-10, np.pi / 2 - 1e-12, 0.2],
}


@pytest.mark.parametrize("name", TIED)
def test_ties_and_kinks(check, name):
    def reference(a, b):
        distance = projectors_distance(a, b)
        return distance, 3.0 - 2.0 * distance  # cos 2θ = 1 - 2 sin²θ

    if check.dtype in ("float32", "complex64") and name in ("equal spaces", "orthogonal spaces", "nearly zero"):
        return  # the derivative is zero up to rounding, which has no relative error in single precision

    inputs = lambda d: with_angles(d, 7, 3, 3, TIED[name])  # noqa: E731
    check(subspace_angles, inputs, invariant=symmetric, reference=reference, order=1, batch=False)


def test_more_dimensions_than_there_are(check):
    """Two spaces of dimension 3 in 4 dimensions have two directions in common."""
    inputs = lambda d: (d.normal(4, 3), d.normal(4, 3))  # noqa: E731
    check(subspace_angles, inputs, invariant=symmetric, order=1, batch=False)


def mp_angles(a, b):
    """Angles by mpmath, in the working precision: their tangents are singular values of (I - Π_A) Qb (Π_A Qb)⁺."""

    def basis(x):
        return mpmath.qr(x, mode="skinny")[0]

    qa, qb = basis(a), basis(b)
    m = qa.H * qb
    w = mpmath.eighe(m.H * m)[0]
    return sorted([mpmath.acos(mpmath.sqrt(min(x, 1))) for x in w], reverse=True)


@pytest.mark.parametrize("angles", [[1.1, 0.4], [1e-7, 1e-10], [np.pi / 2 - 1e-8, 1e-5]])
@pytest.mark.parametrize("is_complex", [False, True])
def test_values_and_derivatives_against_mpmath(angles, is_complex):
    """Tiny angles and those near π/2, and their changes, to rounding error of the inputs."""
    d = Draw(3, is_complex)
    a, b = with_angles(d, 5, 2, 2, angles)
    da, db = d.normal(5, 2), d.normal(5, 2)
    theta, found = arrmb.jvp(subspace_angles, (a, b), (da, db))
    with mpmath.workdps(80):
        am, bm, dam, dbm = (mpmath.matrix(x.tolist()) for x in (a, b, da, db))
        h = mpmath.mpf(10) ** -25
        at = [mp_angles(am + t * dam, bm + t * dbm) for t in (-h, 0, h)]
        truth = [float(x) for x in at[1]]
        change = [float((x - y) / (2 * h)) for x, y in zip(at[2], at[0])]
    np.testing.assert_allclose(theta, truth, rtol=1e-13, atol=3e-16)
    # a direction n is known to eps/θ, and to eps/(difference of two angles)
    gap = min(angles[1], abs(angles[0] - angles[1]), np.pi / 2 - angles[0])
    assert np.linalg.norm(found - change) <= (1e-13 + 1e-15 / gap) * np.linalg.norm(change)


def test_sum_of_squares_near_zero_is_exact():
    """Σ θ² of nearly equal spaces: twice the tangent vector between them, with the accuracy of the inputs.

    A = [I; 0], B = [I; T]: tan θ are the singular values of T, and Σ θ² = ‖T‖² to the fourth order.
    """
    t = 1e-9 * Draw(1).normal(3, 3)
    a, b = np.concatenate([np.eye(3), np.zeros((3, 3))]), np.concatenate([np.eye(3), t])
    abar, bbar = arrmb.grad(lambda a, b: arrmb.namespace(a).sum(subspace_angles(a, b) ** 2), argnums=(0, 1))(a, b)
    np.testing.assert_allclose(bbar[3:], 2.0 * t, rtol=1e-6, atol=1e-22)
    np.testing.assert_allclose(abar[3:], -2.0 * t, rtol=1e-6, atol=1e-22)
    assert np.max(np.abs(bbar[:3])) <= 1e-15 and np.max(np.abs(abar[:3])) <= 1e-15
    zero = arrmb.grad(lambda b: arrmb.namespace(b).sum(subspace_angles(a, b) ** 2))(a)
    assert np.all(np.abs(zero) <= 1e-15)


def test_rotation_in_planes(backend):
    """Columns turned by θ_i in planes of their own: the angles are θ_i, and grow at unit speed."""
    theta = backend.put(np.asarray([1.5, 0.7, 1e-8]), "float64")

    def turned(theta):
        xp = arrmb.namespace(theta)
        e = backend.put(np.eye(3), "float64")
        return xp.concat([xp.cos(theta) * e, xp.sin(theta) * e], axis=-2)

    a = backend.put(np.eye(6, 3), "float64")
    found, change = arrmb.jvp(lambda t: subspace_angles(a, turned(t)), (theta,), (theta * 0.0 + 1.0,))
    np.testing.assert_allclose(backend.get(found), backend.get(theta), rtol=1e-15)
    np.testing.assert_allclose(backend.get(change), 1.0, rtol=1e-14)


def test_kinks_have_derivative_zero(backend):
    a = backend.put(np.eye(4, 2), "float64")
    for b in (np.eye(4, 2), np.eye(4)[:, 2:]):
        b = backend.put(b, "float64")
        abar, bbar = (backend.get(v) for v in arrmb.vjp(subspace_angles, a, b)[1](backend.put(np.ones(2), "float64")))
        assert not np.any(abar) and not np.any(bbar)


@pytest.mark.parametrize("is_complex", [False, True])
def test_gradient_against_torch(is_complex):
    """Away from ties and kinks, through torch's own QR and SVD."""
    torch = pytest.importorskip("torch")
    d = Draw(2, is_complex)
    a, b = with_angles(d, 7, 3, 2, [1.1, 0.4])
    ta, tb = (torch.tensor(x, requires_grad=True) for x in (a, b))
    m = torch.linalg.qr(ta)[0].mH @ torch.linalg.qr(tb)[0]
    theta = torch.flip(torch.acos(torch.linalg.svdvals(m)), dims=(-1,))
    (theta * torch.tensor([0.3, -1.2], dtype=torch.float64)).sum().backward()
    found = arrmb.vjp(subspace_angles, a, b)[1](np.asarray([0.3, -1.2]))
    for x, y in zip(found, (ta, tb)):
        np.testing.assert_allclose(x, y.grad.numpy(), rtol=1e-11, atol=1e-13)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    angles=st.lists(
        st.sampled_from([0.0, 1e-14, 1e-8, 1e-3, 0.3, 0.3 + 1e-13, np.pi / 4, 1.2, np.pi / 2 - 1e-9, np.pi / 2]),
        min_size=1,
        max_size=4,
    ),
    extra=st.integers(0, 2),
    is_complex=st.booleans(),
)
def test_any_angles(angles, extra, is_complex):
    """Values, and the gradient of Σ sin²θ, which is that of the distance."""
    angles = sorted(angles, reverse=True)
    k = len(angles)
    a, b = with_angles(Draw(k, is_complex), 2 * k + extra + 1, k + extra, k, np.asarray(angles))
    np.testing.assert_allclose(subspace_angles(a, b), angles, atol=3e-14)

    def loss(a, b):
        xp = arrmb.namespace(a)
        return xp.sum(xp.sin(subspace_angles(a, b)) ** 2)

    for found, expected in zip(arrmb.grad(loss, (0, 1))(a, b), arrmb.grad(subspace_distance, (0, 1))(a, b)):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_broadcasting(backend):
    a = backend.put(Draw(1).normal(6, 2), "float64")
    b = backend.put(Draw(2, batch=(3, 1)).normal(6, 3), "float64")
    for op in (subspace_angles, subspace_distance):
        y, pullback = arrmb.vjp(op, a, b)
        assert y.shape[:2] == (3, 1)
        abar, bbar = pullback(y)
        one = [arrmb.vjp(op, a, b[i, 0, :, :]) for i in range(3)]
        np.testing.assert_allclose(backend.get(y)[1, 0], backend.get(one[1][0]), rtol=1e-13)
        expected = sum(backend.get(pull(v)[0]) for v, pull in one)
        np.testing.assert_allclose(backend.get(abar), expected, rtol=1e-11, atol=1e-13)
        assert bbar.shape == b.shape


@pytest.mark.parametrize("angles", [[0.3, 0.3], [0.3, 0.0], [np.pi / 2, 0.3]])
def test_second_order_of_angles_raises_where_it_is_not_defined(angles):
    a, b = with_angles(Draw(1), 6, 2, 2, angles)
    with pytest.raises(NotImplementedError, match=r"subspace_angles: second derivatives .* equal, or one is 0"):
        arrmb.hvp(lambda a: arrmb.namespace(a).sum(subspace_angles(a, b) ** 2), (a,), (a,))
    a, b = with_angles(Draw(1), 6, 2, 2, [0.7, 0.3])
    arrmb.hvp(lambda a: arrmb.namespace(a).sum(subspace_angles(a, b) ** 2), (a,), (a,))
    with pytest.raises(NotImplementedError, match=r"2 of them are always 0, since 3 \+ 3 > 4"):
        a, b = Draw(1).normal(4, 3), Draw(2).normal(4, 3)
        arrmb.hvp(lambda a: arrmb.namespace(a).sum(subspace_angles(a, b) ** 2), (a,), (a,))
