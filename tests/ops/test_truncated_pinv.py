"""Truncated pseudo-inverse: what is left out is not zero, and takes part in the derivatives."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb import linalg
from arrmb.ops.pinv import pinv
from arrmb.ops.truncated_pinv import truncated_pinv
from arrmb.testing import Draw

SHAPES = [(6, 4), (4, 6), (4, 4)]
VALUES = (3.0, 2.0, 0.2, 0.1)


def with_values(m, n, values):
    return lambda d: (d.with_singular_values(m, n, values),)


@pytest.mark.parametrize("m, n", SHAPES)
def test_truncated_pinv(check, m, n):
    spectra = [(2, 2, 0.1, 0.1), (2, 2 - 1e-12, 0.1, 0.1), (2, 1, 0, 0), (1, 1, 1, 1), (2, 0.3, 0.1, 0)]
    check(
        truncated_pinv,
        with_values(m, n, VALUES),
        params={"rtol": 0.11},
        reference=lambda x: np.linalg.pinv(x, 0.11),
        at=[with_values(m, n, s) for s in spectra],
    )


def exact(x, keep, e, f, g):
    """<g, Y>, its slope along e, and second derivative along e and f, from projectors that Newton's iteration makes.

    With Z the sign of X^T X - c I, c in the gap, (I + Z)/2 is the projector on the right vectors that are kept, and
    Y = (X P)⁺ = (P X^T X P + I - P)^-1 P X^T: no decomposition, 60 digits, differences in steps of 1e-15.
    """
    with mpmath.workdps(80):
        x, e, f, g = (mpmath.matrix(np.asarray(v).tolist()) for v in (x, e, f, g))
        n = x.cols
        values = sorted(mpmath.svd_r(x, compute_uv=False), reverse=True)
        c = (values[keep - 1] ** 2 + values[keep] ** 2) / 2

        def loss(t, r):
            a = x + t * e + r * f
            z = a.T * a - c * mpmath.eye(n)
            for _ in range(30):
                z = (z + z**-1) / 2
            p = (mpmath.eye(n) + z) / 2
            y = (p * a.T * a * p + mpmath.eye(n) - p) ** -1 * p * a.T
            return mpmath.fsum(y[i, j] * g[i, j] for i in range(n) for j in range(x.rows))

        h = mpmath.mpf(10) ** -15
        slope = (loss(h, 0) - loss(-h, 0)) / (2 * h)
        curvature = (loss(h, h) - loss(h, -h) - loss(-h, h) + loss(-h, -h)) / (4 * h * h)
        return float(loss(0, 0)), float(slope), float(curvature)


@pytest.mark.parametrize("m", [3, 4])
@pytest.mark.parametrize("values, keep", [((1, 0.5, 0.05), 2), ((1, 1, 0.05), 2), ((1, 0.05, 0.05), 1), ((3, 2, 0), 2)])
def test_against_sixty_digits(m, values, keep):
    d = Draw(m)
    x, e, f, g = d.with_singular_values(m, 3, values), d.normal(m, 3), d.normal(m, 3), d.normal(3, m)
    if 0 in values:  # an exact zero, in the numbers as they are
        x = np.concatenate([d.with_singular_values(m, 2, values[:2]), np.zeros((m, 1))], axis=1)
    value, slope, curvature = exact(x, keep, e, f, g)

    def loss(x):
        return arrmb.namespace(x).sum(linalg.pinv(x, rtol=0.1) * g)

    gradient = arrmb.grad(loss)(x)
    assert abs(loss(x) - value) <= 1e-14 * np.linalg.norm(g) / min(v for v in values if v > 0.1)
    assert abs(np.sum(gradient * e) - slope) <= 1e-13 * np.linalg.norm(gradient) * np.linalg.norm(e)
    assert abs(arrmb.jvp(loss, (x,), (e,))[1] - slope) <= 1e-13 * np.linalg.norm(gradient) * np.linalg.norm(e)
    hessian = arrmb.hvp(loss, (x,), (e,))[0]
    assert abs(np.sum(hessian * f) - curvature) <= 1e-12 * np.linalg.norm(hessian) * np.linalg.norm(f)
    # the nesting orders agree
    forward = arrmb.jvp(lambda x: arrmb.jvp(loss, (x,), (e,))[1], (x,), (f,))[1]
    reverse = np.sum(arrmb.grad(lambda x: arrmb.namespace(x).sum(arrmb.grad(loss)(x) * e))(x) * f)
    for other in (forward, reverse):
        assert abs(other - curvature) <= 1e-12 * np.linalg.norm(hessian) * np.linalg.norm(f)


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("m, n", SHAPES)
def test_where_only_zeros_are_left_out_it_is_the_pseudo_inverse(backend, m, n, complex):
    d, dtype = Draw(1, complex), "complex128" if complex else "float64"
    x = backend.put(d.with_singular_values(m, n, [3.0, 1.0, 0.0, 0.0]), dtype)
    e, ybar = backend.put(d.normal(m, n), dtype), backend.put(d.normal(n, m), dtype)
    for rtol in (1e-15, 1e-3):
        ours, theirs = (
            (y, dy, arrmb.vjp(op, x)[1](ybar)[0])
            for op in (lambda x, rtol=rtol: truncated_pinv(x, rtol=rtol), pinv)
            for y, dy in [arrmb.jvp(op, (x,), (e,))]
        )
        for u, v in zip(ours, theirs):
            assert np.linalg.norm(backend.get(u) - backend.get(v)) <= 1e-13 * np.linalg.norm(backend.get(v))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from([(1, 1), (2, 3), (3, 2), (5, 5), (6, 4), (4, 6)]),
    keep=st.integers(0, 5),
    ties=st.sampled_from([0.0, 1e-16, 1e-12, 1e-6, 0.1]),
    below=st.sampled_from([0.0, 1e-12, 1e-3, 0.3]),
    size=st.integers(-12, 12),
    complex=st.booleans(),
)
def test_first_and_second_order_are_transposes_and_differences(shape, keep, ties, below, size, complex):
    k = min(shape)
    values = [10.0**size * (1.0 if i < keep or i == 0 else below) * (1.0 - i * ties) for i in range(k)]
    d = Draw(7, complex)
    x, e, ybar = d.with_singular_values(*shape, values), d.normal(*shape), d.normal(*shape[::-1])
    f = lambda x: linalg.pinv(x, rtol=0.4)  # noqa: E731
    inner = lambda u, v: np.sum(np.real(np.conj(u) * v))  # noqa: E731
    dy = arrmb.jvp(f, (x,), (e,))[1]
    xbar = arrmb.vjp(f, x)[1](ybar)[0]
    assert abs(inner(ybar, dy) - inner(xbar, e)) <= 1e-12 * np.linalg.norm(ybar) * np.linalg.norm(dy)
    h = 1e-5 * 10.0**size
    slope = (f(x + h * e) - f(x - h * e)) / (2.0 * h)
    assert np.linalg.norm(slope - dy) <= 1e-6 * np.linalg.norm(dy) * np.linalg.norm(e) ** 2
    second = arrmb.jvp(lambda x: arrmb.jvp(f, (x,), (e,))[1], (x,), (e,))[1]
    change = (arrmb.jvp(f, (x + h * e,), (e,))[1] - arrmb.jvp(f, (x - h * e,), (e,))[1]) / (2.0 * h)
    assert np.linalg.norm(change - second) <= 1e-6 * np.linalg.norm(dy) / 10.0**size * np.linalg.norm(e) ** 3


def test_least_squares_is_the_product(backend):
    d = Draw(3)
    a, b = d.with_singular_values(5, 3, [3.0, 2.0, 0.1]), d.normal(5, 2)
    args = backend.put(a, "float64"), backend.put(b, "float64")
    tangents = backend.put(d.normal(5, 3), "float64"), backend.put(d.normal(5, 2), "float64")
    product = lambda a, b: arrmb.namespace(a, b).matmul(linalg.pinv(a, rtol=0.1), b)  # noqa: E731
    f = lambda a, b: linalg.lstsq(a, b, rtol=0.1)  # noqa: E731
    np.testing.assert_allclose(backend.get(f(*args)), np.linalg.lstsq(a, b, rcond=0.1)[0], atol=1e-14)
    second = lambda f: arrmb.jvp(lambda *v: arrmb.jvp(f, v, tangents)[1], args, tangents)[1]  # noqa: E731
    for ours, theirs in (
        (arrmb.jvp(f, args, tangents)[1], arrmb.jvp(product, args, tangents)[1]),
        (second(f), second(product)),
    ):
        np.testing.assert_allclose(backend.get(ours), backend.get(theirs), rtol=1e-12)
    vector = arrmb.grad(lambda a: arrmb.namespace(a).sum(linalg.lstsq(a, args[1][:, 0], rtol=0.1)))(args[0])
    assert vector.shape == (5, 3)


@pytest.mark.parametrize("rtol", [0.1, "array"])
def test_on_the_cut(backend, rtol):
    """The value is there, as that of the standard function; a derivative is not."""
    x = backend.put(np.stack([np.diag([1.0, 0.5, 0.1 * (1 + 1e-16)]), np.eye(3)]), "float64")
    rtol = backend.put(np.array([0.1, 0.2]), "float64") if rtol == "array" else rtol
    b = backend.put(np.ones((3, 1)), "float64")
    for f in (lambda x: linalg.pinv(x, rtol=rtol), lambda x: linalg.lstsq(x, b, rtol=rtol)):
        assert np.all(np.isfinite(backend.get(f(x))))
        loss = lambda x, f=f: arrmb.namespace(x).sum(f(x))  # noqa: E731
        for derivative in (arrmb.grad(loss), lambda x, loss=loss: arrmb.hvp(loss, (x,), (x,))):
            if backend.name == "cupy":
                continue
            with pytest.raises(ValueError, match="pinv: a singular value lies on rtol times the largest one"):
                derivative(x)


def test_on_the_cut_where_values_cannot_be_looked_at(monkeypatch):
    monkeypatch.setattr("arrmb.ops.groups.on_host", lambda x: False)
    monkeypatch.setattr("arrmb.ops.spectral.on_host", lambda x: False)
    x = np.stack([np.diag([1.0, 0.5, 0.1]), np.diag([1.0, 0.5, 0.05])])
    loss = lambda x: arrmb.namespace(x).sum(linalg.pinv(x, rtol=0.1))  # noqa: E731
    for y in (arrmb.grad(loss)(x), arrmb.hvp(loss, (x,), (x,))[0]):
        assert np.all(np.isnan(y[0])) and np.all(np.isfinite(y[1]))


def test_third_order_is_refused():
    x = Draw(0).with_singular_values(3, 3, [2.0, 1.0, 0.1])
    loss = lambda x: arrmb.namespace(x).sum(linalg.pinv(x, rtol=0.1) ** 3)  # noqa: E731
    with pytest.raises(NotImplementedError, match="pinv: third derivatives"):
        arrmb.grad(lambda x: arrmb.namespace(x).sum(arrmb.hvp(loss, (x,), (np.eye(3),))[0]))(x)


def test_the_cotangent_may_be_traced(backend):
    """At a fixed matrix the adjoint is linear in the cotangent, and is differentiated with respect to it."""
    d = Draw(2)
    x, g = backend.put(d.with_singular_values(4, 3, [2.0, 1.0, 0.1]), "float64"), backend.put(d.normal(4, 3), "float64")
    ybar = backend.put(d.normal(3, 4), "float64")
    pull = lambda ybar: arrmb.vjp(lambda x: linalg.pinv(x, rtol=0.1), x)[1](ybar)[0]  # noqa: E731
    found = arrmb.grad(lambda ybar: arrmb.namespace(ybar).sum(pull(ybar) * g))(ybar)
    expected = arrmb.jvp(lambda x: linalg.pinv(x, rtol=0.1), (x,), (g,))[1]
    np.testing.assert_allclose(backend.get(found), backend.get(expected), atol=1e-13)
