"""Square roots without an eigendecomposition: one argument to switch, and errors where they do not converge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads

METHODS = ["newton-schulz", "sign", "pade"]
X = Draw(0).hermitian((0.5, 0.5, 1.5, 3.0))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_values_and_gradients_are_those_of_eigh(backend, method, dtype):
    x = backend.put(Draw(1, dtype.startswith("complex"), (2, 3)).hermitian((0.5, 0.5, 1.5, 3.0)), dtype)
    tolerance = 200 * np.finfo(dtype).eps
    found = linalg.square_roots(x, method=method)
    for name, value in zip(("sqrtmh", "invsqrtmh"), found):
        function = getattr(linalg, name)
        (y, pull), (expected, expected_pull) = (
            arrmb.vjp(lambda x, f=function: f(x, method=method), x),
            arrmb.vjp(function, x),
        )
        assert y.dtype == x.dtype and type(y) is type(x)
        g = backend.put(Draw(2, dtype.startswith("complex"), (2, 3)).normal(4, 4), dtype)
        np.testing.assert_allclose(backend.get(y), backend.get(expected), rtol=0.0, atol=tolerance)
        np.testing.assert_array_equal(backend.get(y), backend.get(value))
        gradient, truth = backend.get(pull(g)[0]), backend.get(expected_pull(g)[0])
        np.testing.assert_allclose(gradient, truth, rtol=0.0, atol=10 * tolerance)
        np.testing.assert_array_equal(gradient, np.conj(np.swapaxes(gradient, -1, -2)))


@pytest.mark.parametrize("method", METHODS)
def test_derivatives_of_both_at_once(method):
    """A loss of root and inverse root; third order too, which the eigendecomposition does not have."""
    g, h, e = Draw(1).normal(4, 4), Draw(2).normal(4, 4), Draw(3).normal(4, 4)

    def loss(x):
        root, inverse = linalg.square_roots(x, method=method, iterations=9)
        return arrmb.namespace(x).sum(g * root + h * inverse @ root @ inverse)

    check_grads(loss, (X,))

    def along(x, order):
        return loss(x) if order == 0 else arrmb.jvp(lambda x: along(x, order - 1), (x,), (e,))[1]

    step = 1e-3  # fourth-order differences of the second derivative
    d2 = [along(X + k * step * e, 2) for k in (-2, -1, 1, 2)]
    expected = (d2[0] - 8 * d2[1] + 8 * d2[2] - d2[3]) / (12 * step)
    assert abs(along(X, 3) - expected) <= 1e-8 * abs(expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("function", [linalg.sqrtmh, linalg.invsqrtmh])
def test_ill_conditioned(method, function):
    """Condition number 1e6: both orders of derivative agree with eigh to about eps κ, and the rules are transposes."""
    x, g, e = Draw(1).hermitian(np.geomspace(1.0, 1e-6, 8)), Draw(2).normal(8, 8), Draw(3).normal(8, 8)

    def derivatives(f):
        def loss(x):
            return arrmb.namespace(x).sum(g * f(x))

        return arrmb.jvp(f, (x,), (e,))[1], arrmb.grad(loss)(x), arrmb.hvp(loss, (x,), (0.5 * (e + e.T),))[0]

    found, expected = derivatives(lambda x: function(x, method=method)), derivatives(function)
    for a, b in zip(found, expected):
        assert np.linalg.norm(a - b) <= 2e-10 * np.linalg.norm(b)
    dy, xbar, _ = found
    size = max(np.linalg.norm(g) * np.linalg.norm(dy), np.linalg.norm(xbar) * np.linalg.norm(e))
    assert abs(np.sum(g * dy) - np.sum(xbar * e)) <= 2e-12 * size


def test_few_steps_of_newton_schulz_are_a_map_of_their_own():
    """It does not raise, it is not the square root, and its derivatives are its own."""
    x = Draw(4).hermitian((1e-4, 0.5, 1.5, 3.0))
    y = linalg.sqrtmh(x, method="newton-schulz", iterations=3)
    assert np.linalg.norm(y @ y - x) > 0.01
    check_grads(lambda x: linalg.sqrtmh(x, method="newton-schulz", iterations=3), (x,))
    check_grads(lambda x: linalg.invsqrtmh(x, method="newton-schulz", iterations=3), (x,))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_default_iterations_resolve_what_the_dtype_can(method, dtype):
    """√n κ up to 1e9 in double precision; in single precision the check leaves what rounding allows."""
    condition = 1e9 if dtype == "float64" else 1e6
    q = Draw(5).unitary(2)
    x = ((q * [1.0, 1.0 / condition]) @ q.T).astype(dtype)
    root, inverse = linalg.square_roots(x, method=method)
    w, v = np.linalg.eigh(x.astype("float64"))
    # rounding of X, relative to its smallest eigenvalue
    tolerance = 20 * np.finfo(dtype).eps * condition
    np.testing.assert_allclose(root, (v * np.sqrt(w)) @ v.T, atol=tolerance / np.sqrt(condition))
    assert np.linalg.norm(inverse - (v / np.sqrt(w)) @ v.T) <= tolerance * np.linalg.norm(inverse)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("w", [(1.0, 1e-14), (1.0, 0.0), (1.0, -0.3), (-1.0, -1.0), (0.0, 0.0), (1.0, np.nan)])
def test_no_convergence_is_an_error(method, w):
    x = np.stack([np.eye(2), np.diag(w)])
    if method == "newton-schulz" and np.isnan(w[1]):
        x[1] = np.nan
    with pytest.raises(
        ValueError, match=r"^sqrtmh: (argument x must be positive definite[,:] .* iterations|x has NaN)"
    ):
        arrmb.grad(lambda x: linalg.trace(linalg.sqrtmh(x, method=method)[1]))(x)


@pytest.mark.parametrize("method", ["sign", "pade"])
def test_too_few_iterations_are_an_error_where_the_derivative_is_the_exact_one(method):
    with pytest.raises(ValueError, match=f'^invsqrtmh: .* 2 iterations of "{method}" resolve'):
        linalg.invsqrtmh(np.diag([1.0, 1e-3]), method=method, iterations=2)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    method=st.sampled_from(METHODS),
    exponents=st.lists(st.floats(-4.0, 0.0), min_size=1, max_size=5),
    gap=st.sampled_from([0.0, 1e-16, 1e-9, 1e-3]),
    scale=st.sampled_from([1e-150, 1e-12, 1.0, 1e12, 1e150]),
    is_complex=st.booleans(),
)
def test_any_positive_definite_matrix(method, exponents, gap, scale, is_complex):
    """Spread, tied and nearly tied spectra of any scale: S W = I, S² = X, and a gradient that is that of eigh."""
    w = 10.0 ** np.asarray(exponents)
    w = np.concatenate([w, w[:1] * (1.0 + gap)])
    n, condition = len(w), float(w.max() / w.min())
    unit = Draw(n, is_complex).hermitian(w)
    x = scale * unit
    root, inverse = linalg.square_roots(x, method=method)
    eps = np.finfo(float).eps
    assert np.linalg.norm(root @ root / scale - unit) <= 50 * n * eps * np.sqrt(condition) * np.linalg.norm(unit)
    assert np.linalg.norm(root @ inverse - np.eye(n)) <= 50 * n * eps * condition
    g = Draw(1, is_complex).normal(n, n)

    def gradient(**options):
        return arrmb.vjp(lambda x: linalg.sqrtmh(x, **options), x)[1](g)[0]

    found, expected = gradient(method=method), gradient()
    assert np.linalg.norm(found - expected) <= 200 * n * eps * condition * np.linalg.norm(expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 3, 3), (2, 0, 0), (1, 1)])
def test_empty_and_smallest(backend, method, shape):
    x = backend.put(np.full(shape, 4.0), "float64") if shape == (1, 1) else backend.put(np.zeros(shape), "float64")
    y, pullback = arrmb.vjp(lambda x: linalg.sqrtmh(x, method=method), x)
    assert y.shape == x.shape == pullback(x)[0].shape
    if shape == (1, 1):
        np.testing.assert_allclose(backend.get(y), 2.0, rtol=1e-15)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (
            lambda: linalg.sqrtmh(X, method="newton"),
            ValueError,
            'sqrtmh: method must be one of .*"pade", or "eigh", got',
        ),
        (
            lambda: linalg.square_roots(X, method="eigh"),
            ValueError,
            "square_roots: method must be one of .*, got 'eigh'",
        ),
        (lambda: linalg.sqrtmh(X, iterations=5), ValueError, "sqrtmh: iterations is an option of the other methods"),
        (lambda: linalg.sqrtmh(X, method="sign", iterations=0), ValueError, "sqrtmh: iterations must be at least 1"),
        (
            lambda: linalg.sqrtmh(X, method="sign", iterations=2.0),
            TypeError,
            "iterations must be a Python int, got float",
        ),
        (
            lambda: linalg.sqrtmh(X, method="sign", iterations=True),
            TypeError,
            "iterations must be a Python int, got bool",
        ),
        (lambda: linalg.square_roots(np.ones((2, 3))), ValueError, r"square_roots: x must have shape \(..., n, n\)"),
        (lambda: linalg.invsqrtmh(np.eye(2, dtype=int), method="pade"), TypeError, "invsqrtmh: x has dtype int64"),
    ],
)
def test_wrong_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
