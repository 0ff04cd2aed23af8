"""gauge="raise": valid losses pass, at exact and near ties; all others raise, with the pair and the size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb import linalg
from arrmb._xp import H, conj, eye_like, real
from arrmb.ops import gauge
from arrmb.testing import Draw

SPECTRA = {
    "exact tie": [1.0, 1.0, 1.0, 3.0, 4.5],
    "tie by rounding": [1.0, 1.0 + 1e-15, 1.0 + 2e-15, 3.0, 4.5],
    "zero tie": [0.0, 0.0, 0.0, 1.0, 2.0],
    "distinct": [-2.0, -1.0, 0.5, 1.7, 3.0],
}
DTYPES = ["float64", "complex128", "float32", "complex64"]


def weights(complex=False):
    return Draw(6, complex=complex).hermitian([-1.0, 0.3, 0.8, 2.0, 3.0])


def total(x):
    return arrmb.namespace(x).sum(real(x))


def valid_losses(g, gauge):
    """Losses that depend on the first three eigenvectors through their projector, and are symmetric in the values."""

    def projector(x):
        v = linalg.eigh(x, gauge=gauge).eigenvectors[:, :3]
        return total((v @ H(v)) * conj(g))

    def symmetric(x):
        xp = arrmb.namespace(x)
        w, v = linalg.eigh(x, gauge=gauge)
        others = v[:, 4:]
        return xp.sum(xp.exp(w)) + 2.0 * total((others @ H(others)) * conj(g))

    def values(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.exp(linalg.eigvalsh(x, gauge=gauge)))

    def at_its_minimum(x):
        w = linalg.eigvalsh(x, gauge=gauge)
        return arrmb.namespace(w).sum((w[:3] - 1.0) ** 2) + w[4]

    return [projector, symmetric, values, at_its_minimum]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_valid_losses_pass(backend, spectrum, dtype):
    """And have the gradient that they have with "drop"."""
    complex = dtype.startswith("complex")
    x = backend.put(Draw(5, complex=complex).hermitian(SPECTRA[spectrum]), dtype)
    g = backend.put(weights(complex), dtype)
    tolerance = 1e-12 if dtype in ("float64", "complex128") else 1e-4
    for checked, unchecked in zip(valid_losses(g, "raise"), valid_losses(g, "drop")):
        found, expected = backend.get(arrmb.grad(checked)(x)), backend.get(arrmb.grad(unchecked)(x))
        assert found.dtype == expected.dtype
        assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_near_ties_that_are_told_apart_pass(backend, dtype):
    complex = dtype.startswith("complex")
    gap = 1e-9 if dtype in ("float64", "complex128") else 1e-3
    x = backend.put(Draw(5, complex=complex).hermitian([1.0, 1.0 + gap, 1.0 + 3 * gap, 3.0, 4.5]), dtype)
    for loss in valid_losses(backend.put(weights(complex), dtype), "raise"):
        assert np.all(np.isfinite(backend.get(arrmb.grad(loss)(x))))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(DTYPES), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_valid_losses_pass_whatever_the_spectrum(dtype, sizes, data):
    """Groups of tied eigenvalues, zero among them, at any scale: the projector on one, symmetric functions, minima."""
    near = data.draw(st.sampled_from([0.0, 1e-16, 3e-16]))
    scale = 10.0 ** data.draw(st.integers(-12, 12))
    spectrum = np.concatenate([k * (1.0 + near * np.arange(size)) for k, size in enumerate(sizes)])
    n, chosen = len(spectrum), data.draw(st.integers(0, len(sizes) - 1))
    group = slice(sum(sizes[:chosen]), sum(sizes[: chosen + 1]))
    d = Draw(data.draw(st.integers(0, 99)), complex=dtype.startswith("complex"))
    x, g = (scale * d.hermitian(spectrum)).astype(dtype), d.hermitian(np.linspace(-1.0, 2.0, n)).astype(dtype)

    def projector(x):
        v = linalg.eigh(x, gauge="raise").eigenvectors[:, group]
        return total((v @ H(v)) * conj(g))

    def symmetric(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.exp(linalg.eigvalsh(x, gauge="raise") / scale))

    def projector_at_its_minimum(x):
        v = linalg.eigh(x, gauge="raise").eigenvectors[:, group]
        p = v @ H(v)
        off = p - arrmb._xp.raw(p)
        return total(off * conj(off))

    def values_at_their_minimum(x):
        w = linalg.eigvalsh(x / scale, gauge="raise")
        return arrmb.namespace(w).sum((w[group] - float(chosen)) ** 2)

    for loss in (projector, symmetric, projector_at_its_minimum, values_at_their_minimum):
        assert np.all(np.isfinite(arrmb.grad(loss)(x)))


@pytest.mark.parametrize("complex", [False, True])
def test_the_true_gradient_at_a_tie(complex):
    """With the turned basis of gauge="raise" too: divided differences of the indicator of the tied group."""
    x, g = Draw(5, complex=complex).hermitian(SPECTRA["exact tie"]), weights(complex)
    w, v = np.linalg.eigh(x)
    between = np.zeros((5, 5))
    between[:3, 3:] = 1.0 / (w[:3, None] - w[None, 3:])
    expected = v @ ((between + between.T) * (np.conj(v.T) @ g @ v)) @ np.conj(v.T)
    found = arrmb.grad(valid_losses(g, "raise")[0])(x)
    assert np.linalg.norm(found - expected) <= 1e-13 * np.linalg.norm(expected)


# ----------------------------------------------------------------------------------------------------- what raises


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vector_of_a_tied_group(backend, dtype):
    complex = dtype.startswith("complex")
    x = backend.put(Draw(5, complex=complex).hermitian(SPECTRA["exact tie"]), dtype)
    g = backend.put(weights(complex), dtype)

    def loss(x):
        v = linalg.eigh(x, gauge="raise").eigenvectors[:, :1]
        return total((v @ H(v)) * conj(g))

    with pytest.raises(
        ValueError,
        match=r"eigh: eigenvalues 0 and \d \(1 and 1, gap .*the loss depends on the choice of eigenvectors.*"
        r"must vanish is \d.*; write the loss with a function of the matrix .* or a projector",
    ):
        arrmb.grad(loss)(x)


@pytest.mark.parametrize("name", ["eigh", "eigvalsh"])
def test_a_loss_that_is_not_symmetric_in_tied_values(backend, name):
    x = backend.put(Draw(5).hermitian(SPECTRA["exact tie"]), "float64")

    def loss(x):
        w = linalg.eigh(x, gauge="raise")[0] if name == "eigh" else linalg.eigvalsh(x, gauge="raise")
        return 2.0 * w[0] + w[1]

    with pytest.raises(ValueError, match=rf"{name}: eigenvalues 0 and 2 .*not symmetric in them: .* is 2; write"):
        arrmb.grad(loss)(x)
    assert arrmb.grad(loss)(backend.put(np.diag([1.0, 2.0, 3.0]), "float64")).shape == (3, 3)


def test_a_phase(backend):
    x = backend.put(Draw(5, complex=True).hermitian(SPECTRA["distinct"]), "complex128")

    def phase(x):
        return arrmb.namespace(x).real(linalg.eigh(x, gauge="raise").eigenvectors[0, 2] * (1.0 + 2.0j))

    with pytest.raises(ValueError, match=r"eigh: eigenvalue 2 \(0.5\): the loss depends on the choice of eigenvectors"):
        arrmb.grad(phase)(x)


def test_the_matrix_of_a_batch_is_named():
    x = np.stack([np.diag([1.0, 2.0]), np.eye(2)])
    with pytest.raises(ValueError, match=r"eigenvalues 0 and 1 .* of matrix 1 of the batch"):
        arrmb.grad(lambda x: arrmb.namespace(x).sum(linalg.eigvalsh(x, gauge="raise")[..., 0]))(x)


@pytest.mark.parametrize("complex", [False, True])
def test_accidents_of_a_special_basis_are_caught(backend, complex):
    """<G, V diag(w) V^H> at a diagonal matrix, G zero on the diagonal: invisible to a rule at V = I."""
    dtype = "complex128" if complex else "float64"
    g = weights(complex)
    g = backend.put(g - np.diag(np.diagonal(g)), dtype)

    def loss(gauge):
        def of(x):
            w, v = linalg.eigh(x, gauge=gauge)
            return total(((v * w[None, :]) @ H(v)) * conj(g))

        return of

    for spectrum in ([1.0] * 5, [1.0, 1.0, 3.0, 3.0, 4.5]):
        x = backend.put(np.diag(spectrum).astype(dtype), dtype)
        assert np.all(np.isfinite(backend.get(arrmb.grad(loss("drop"))(x))))
        with pytest.raises(ValueError, match="not symmetric in them"):
            arrmb.grad(loss("raise"))(x)


def test_generic_bases_are_eigenvectors(backend):
    for dtype in DTYPES:
        draw = Draw(3, complex=dtype.startswith("complex"), batch=(2,))
        x = backend.put(draw.hermitian([1.0, 1.0, 2.0, 3.0, 3.0, 3.0]), dtype)
        w, v = backend.xp.linalg.eigh(x)
        turned = gauge.generic(w, v)
        w, v, x = backend.get(w), backend.get(turned), backend.get(x)
        assert turned.dtype == backend.put(x, dtype).dtype
        tolerance = 40 * np.finfo(dtype).eps
        vh = np.conj(np.swapaxes(v, -1, -2))
        assert np.max(np.abs(x @ v - v * w[..., None, :])) <= tolerance
        assert np.max(np.abs(vh @ v - np.eye(6))) <= tolerance
    w, v = np.linalg.eigh(Draw(3).hermitian([1.0, 2.0, 3.0]))
    assert gauge.generic(w, v) is v
    assert gauge.generic(np.zeros((0, 3)), np.zeros((0, 3, 3))).shape == (0, 3, 3)
    assert gauge.generic(np.zeros(0), np.zeros((0, 0))).shape == (0, 0)


# ------------------------------------------------------------------------------------------------- the other direction


def push(f, x, dx):
    return arrmb.jvp(f, (x,), (dx,))[1]


def test_directions_that_split_a_tie():
    x = np.diag([1.0, 1.0, 2.0])
    mixing = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    splitting = np.diag([1.0, 2.0, 0.0])
    turning = np.array([[0.5, 0.0, 1.0], [0.0, 0.5, 2.0], [1.0, 2.0, 0.0]])
    message = r"eigh: eigenvalues 0 and 1 \(1 and 1, gap 0\): the direction splits the pair.*; differentiate a function"

    def vectors(x):
        return linalg.eigh(x, gauge="raise").eigenvectors

    def values(x):
        return linalg.eigvalsh(x, gauge="raise")

    for direction in (mixing, splitting):
        with pytest.raises(ValueError, match=message):
            push(vectors, x, direction)
    with pytest.raises(ValueError, match=r"eigvalsh: eigenvalues 0 and 1"):
        push(values, x, mixing)
    np.testing.assert_allclose(push(values, x, splitting), [1.0, 2.0, 0.0], atol=1e-15)
    assert np.all(np.isfinite(push(vectors, x, turning)))
    np.testing.assert_allclose(push(values, x, turning), [0.5, 0.5, 0.0], atol=1e-15)


# ------------------------------------------------------------------------------------------------------- second order


@pytest.mark.parametrize("complex", [False, True])
def test_second_order_of_distinct_eigenvalues(complex):
    x, e = Draw(5, complex=complex).hermitian(SPECTRA["distinct"]), weights(complex)
    for checked, unchecked in zip(valid_losses(e, "raise"), valid_losses(e, "drop")):
        found, expected = arrmb.hvp(checked, (x,), (e,))[0], arrmb.hvp(unchecked, (x,), (e,))[0]
        assert np.linalg.norm(found - expected) <= 1e-12 * np.linalg.norm(expected)
        along = arrmb.grad(lambda x, f=checked: total(arrmb.grad(f)(x) * conj(e)))(x)
        assert np.linalg.norm(along - expected) <= 1e-12 * np.linalg.norm(expected)


@pytest.mark.parametrize("which", range(3))
def test_second_order_at_a_tie_raises(backend, which):
    x, e = backend.put(Draw(5).hermitian(SPECTRA["exact tie"]), "float64"), backend.put(weights(), "float64")
    loss = valid_losses(e, "raise")[which]
    message = r"eigenvalues 0 and 1 \(1 and 1, gap .*no rule for second derivatives at ties .* such pairs is 3; write"
    with pytest.raises(ValueError, match="the direction splits the pair"):
        arrmb.hvp(loss, (x,), (e,))
    with pytest.raises(ValueError, match=message):
        arrmb.hvp(loss, (x,), (x,))
    with pytest.raises(ValueError, match=message):
        arrmb.grad(lambda x: total(arrmb.grad(loss)(x) * e))(x)
    with pytest.raises(ValueError, match=message):
        arrmb.grad(lambda x: arrmb.jvp(loss, (x,), (x,))[1])(x)
    # A derivative with respect to something else, at a tie, is not a second derivative of eigh.
    assert arrmb.grad(lambda t: t * total(arrmb.grad(loss)(x)))(x[0, 0]).shape == ()
    # Nor is what debug does.
    assert arrmb.debug(arrmb.grad(loss))(x).shape == (5, 5)


def test_ties_are_relative_to_each_matrix():
    w = np.array([[1.0, 1.0 + 1e-15, 2.0], [1e-20, 2e-20, 3e-20], [0.0, 0.0, 0.0]])
    found = gauge.tied(w)
    assert found[0, 0, 1] and not found[0, 0, 2]
    assert np.array_equal(found[1], np.eye(3, dtype=bool))
    assert np.all(found[2])
    assert gauge.tied(np.array([1.0, 1.0 + 1e-13]), size=1000)[0, 1]
    assert gauge.tied(np.zeros((2, 0))).shape == (2, 0, 0)


# ------------------------------------------------------------------------------------------ ties as rounding makes them


@pytest.mark.parametrize("n", [3, 4, 6])
def test_ties_that_rounding_makes_are_ties(n):
    """F^T F with the two smallest singular values of F equal: the projector on the others has a finite gradient."""
    rng = np.random.default_rng(n)
    for _ in range(100):
        u, v = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
        f = (u * np.concatenate([[1.0, 1.0], 2.0 + np.arange(n - 2)])) @ v
        x, g = f.T @ f, rng.standard_normal((n, n))

        def loss(x, g=g):
            low = linalg.eigh(x).eigenvectors[:, :2]
            return total((low @ low.mT) * g)

        expected = arrmb.grad(lambda x, g=g, n=n: -total(linalg.top_projector(x, n - 2) * g))(x)
        assert np.linalg.norm(arrmb.grad(loss)(x) - expected) <= 1e-11 * np.linalg.norm(expected)
        with pytest.raises(ValueError, match="splits a group of equal eigenvalues"):
            linalg.top_projector(x, n - 1)


def test_each_matrix_of_a_batch_is_judged_by_itself():
    """A violation is not hidden by large cotangents of another matrix."""
    x = np.stack([np.eye(3), np.diag([1.0, 2.0, 3.0])])
    g = weights()[:3, :3]

    def loss(x, scale):
        w, v = linalg.eigh(x, gauge="raise")
        y = (v * w[:, None, :]) @ arrmb.namespace(x).matrix_transpose(v)
        return total(y * g * np.asarray([scale, 1.0])[:, None, None])

    for scale in (1.0, 1e-6):
        with pytest.raises(ValueError, match=r"eigenvalues . and . .* of matrix 0 of the batch"):
            arrmb.grad(lambda x, scale=scale: loss(x, scale))(x)


def test_a_violation_that_is_nan_raises():
    def loss(x):
        v = linalg.eigh(x, gauge="raise").eigenvectors
        return arrmb.namespace(x).sum(v[:, 0] * np.nan)

    with pytest.raises(ValueError, match="depends on the choice of eigenvectors"):
        arrmb.grad(loss)(np.eye(3))


# ----------------------------------------------------------------------------------------------------- second order

SECOND = {
    "eigvalsh": (lambda x: arrmb.namespace(x).sum(linalg.eigvalsh(x) ** 2), np.eye(3)),
    "eigh": (lambda x: arrmb.namespace(x).sum(linalg.eigh(x).eigenvalues ** 2), np.eye(3)),
    "eigh_top": (lambda x: arrmb.namespace(x).sum(linalg.eigh_top(x, 2).eigenvalues ** 2), np.diag([1.0, 2.0, 2.0])),
    "svdvals": (lambda x: arrmb.namespace(x).sum(linalg.svdvals(x) ** 2), np.eye(3)),
    "svd": (lambda x: arrmb.namespace(x).sum(linalg.svd(x).S ** 2), np.diag([1.0, 1.0, 3.0])),
    "svd, zeros": (lambda x: arrmb.namespace(x).sum(linalg.svd(x).S ** 2), np.diag([3.0, 1.0, 0.0])),
    "svd_top": (lambda x: arrmb.namespace(x).sum(linalg.svd_top(x, 2).S ** 2), np.diag([1.0, 2.0, 2.0])),
    "eigvals": (lambda x: total(linalg.eigvals(x) ** 2), np.eye(3)),
    "eig": (lambda x: total(linalg.eig(x).eigenvalues ** 2), np.eye(3)),
    "generalized_eigh": (
        lambda x: arrmb.namespace(x).sum(linalg.generalized_eigh(x, 2.0 * eye_like(x)).eigenvalues ** 2),
        np.eye(3),
    ),
}


@pytest.mark.parametrize("name", SECOND)
def test_second_order_at_ties_raises_and_is_never_wrong(backend, name):
    """Where values can be looked at; else the result is NaN. In every order of nesting; first order is as it was."""
    loss, x = SECOND[name]
    if backend.name == "strict" and not hasattr(backend.xp.linalg, "eig") and "eig" in (name, name[:-4]):
        pytest.skip("this array-api-strict does not have eig yet")
    x, e = backend.put(x, "float64"), backend.put(np.ones((3, 3)), "float64")
    assert np.all(np.isfinite(backend.get(arrmb.grad(loss)(x))))

    def slope(f):
        return lambda x: arrmb.jvp(f, (x,), (e,))[1]

    for second in (lambda x: arrmb.jvp(arrmb.grad(loss), (x,), (e,))[1], arrmb.grad(slope(loss)), slope(slope(loss))):
        if gauge.on_host(x):
            op = name.partition(",")[0]
            with pytest.raises(ValueError, match=rf"{op}: .*value.* no rule for second derivatives at ties"):
                second(x)
        else:
            assert np.all(np.isnan(backend.get(second(x))))


@pytest.mark.parametrize("name", SECOND)
def test_second_order_at_ties_is_nan_where_values_cannot_be_looked_at(name, monkeypatch):
    loss, x = SECOND[name]
    monkeypatch.setattr(gauge, "on_host", lambda x: False)
    e = np.ones((3, 3))
    for found in (arrmb.hvp(loss, (x,), (e,))[0], arrmb.hessian(loss)(x)):  # forward over reverse, reverse over reverse
        assert np.all(np.isnan(found))
    pair = np.stack([x, np.asarray([[1.0, 0.1, 0.0], [0.1, 2.0, 0.2], [0.0, 0.2, 4.0]])])
    if name in ("svd_top", "eigh_top"):  # of the second matrix too: the batch shares nothing
        assert np.all(np.isfinite(arrmb.hvp(loss, (pair,), (np.stack([e, e]),))[0][1]))


def test_second_order_where_values_cannot_be_looked_at(monkeypatch):
    """Away from ties it is what it is where they can be, in either mode."""
    x = np.asarray([[1.0, 0.1, 0.0], [0.1, 2.0, 0.2], [0.0, 0.2, 4.0]])
    loss = lambda x: arrmb.linalg.trace(arrmb.linalg.matrix_power(x, 2) * arrmb.linalg.eigvalsh(x))  # noqa: E731
    expected = arrmb.hessian(loss)(x)
    monkeypatch.setattr(gauge, "on_host", lambda x: False)
    np.testing.assert_allclose(arrmb.hessian(loss)(x), expected, rtol=1e-14)
