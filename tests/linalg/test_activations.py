"""Activation functions of Hermitian matrices: values, gradients at ties, overflow, and wrong input."""

import mpmath
import numpy as np
import pytest
import scipy.linalg
import scipy.special

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads

SPECTRA = [(-1.2, -0.3, 0.5, 2.0), (0.5, 0.5, 2.0, 2.0), (-1.0, -1.0, -1.0 + 1e-9, 3.0), (2.0, 2.0, 2.0, 2.0)]


def by_eigh(f):
    def reference(x):
        w, v = np.linalg.eigh(x)
        return (v * f(w)[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2))

    return reference


FUNCTIONS = {
    "softplusmh": by_eigh(lambda w: np.logaddexp(w, 0.0)),
    "tanhmh": scipy.linalg.tanhm,
    "absmh": by_eigh(np.abs),
    "signmh": scipy.linalg.signm,
    "softmaxmh": lambda x: scipy.linalg.expm(x) / np.trace(scipy.linalg.expm(x)),
    "logsumexpmh": lambda x: np.log(np.trace(scipy.linalg.expm(x)).real),
}


@pytest.mark.parametrize("spectrum, is_complex", [*zip(SPECTRA, (False, True, False, True)), (SPECTRA[2], True)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients(backend, name, spectrum, is_complex):
    function = getattr(linalg, name)
    x = Draw(0, is_complex).hermitian(spectrum)
    on_backend = backend.put(x, "complex128" if is_complex else "float64")
    y = backend.get(function(on_backend))
    np.testing.assert_allclose(y, FUNCTIONS[name](x), rtol=1e-12, atol=1e-13)
    check_grads(function, (on_backend,))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_batches_dtypes_and_empty_batches(backend, name):
    function = getattr(linalg, name)
    for dtype in ("float32", "complex64"):
        x = np.stack([Draw(i, dtype == "complex64").hermitian((-1.0, 0.5, 0.5)) for i in range(4)]).reshape(2, 2, 3, 3)
        y = function(backend.put(x, dtype))
        alone = np.stack([backend.get(function(backend.put(a, dtype))) for a in x.reshape(4, 3, 3)])
        assert str(backend.get(y).dtype) == ("float32" if name == "logsumexpmh" else dtype)
        np.testing.assert_allclose(backend.get(y).reshape(alone.shape), alone, atol=1e-6)
        empty = function(backend.put(np.zeros((0, 3, 3)), dtype))
        assert tuple(empty.shape) == ((0,) if name == "logsumexpmh" else (0, 3, 3))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_large_eigenvalues_do_not_overflow(dtype):
    w = np.asarray([-1e6, -1.0, 0.0, 1e6], dtype=dtype)
    x = np.diag(w)
    np.testing.assert_array_equal(linalg.softmaxmh(x), np.diag([0.0, 0.0, 0.0, 1.0]))
    assert linalg.logsumexpmh(x) == 1e6
    assert linalg.logsumexpmh(-x) == 1e6
    y = linalg.softplusmh(x)
    np.testing.assert_allclose(np.diagonal(y), np.logaddexp(w, 0.0), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(np.diagonal(linalg.tanhmh(x)), np.tanh(w))
    for function in (linalg.logsumexpmh, lambda x: linalg.trace(linalg.softplusmh(x) @ linalg.tanhmh(x))):
        gradient, change = arrmb.grad(function)(x), arrmb.hvp(function, (x,), (np.ones_like(x),))[0]
        assert gradient.dtype == change.dtype == dtype
        assert np.all(np.isfinite(gradient)) and np.all(np.isfinite(change))


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("is_complex", [False, True])
def test_softmax_is_the_gradient_of_logsumexp(shift, is_complex):
    x = Draw(1, is_complex).hermitian((-1.0, 0.5, 0.5, 1.0)) + shift * np.eye(4)
    y = linalg.softmaxmh(x)
    assert abs(np.trace(y) - 1.0) < 1e-15
    np.testing.assert_allclose(arrmb.grad(linalg.logsumexpmh)(x), y, atol=1e-15)
    e = Draw(2, is_complex).normal(4, 4)
    e = e + e.conj().T
    change = arrmb.jvp(linalg.softmaxmh, (x,), (e,))[1]
    np.testing.assert_allclose(arrmb.hvp(linalg.logsumexpmh, (x,), (e,))[0], change, atol=1e-14)
    assert abs(np.trace(change)) < 1e-15


@pytest.mark.parametrize("gap", [0.0, 1e-16, 1e-12, 1e-8, 1e-4, 1.0])
def test_softmax_of_diagonal_matrices_against_60_digits(gap):
    w = np.asarray([0.3, 0.3 + gap, -1.0])
    e = Draw(3).normal(3, 3)
    e = e + e.T
    with mpmath.workdps(60):
        p = [mpmath.mpf(float(v)) for v in w]
        z = sum(mpmath.exp(v) for v in p)
        mean = sum(mpmath.exp(v) * float(e[i, i]) for i, v in enumerate(p)) / z
        expected = np.zeros((3, 3))
        for i in range(3):
            for j in range(3):
                a, b = p[i], p[j]
                difference = mpmath.exp(a) if a == b else (mpmath.exp(a) - mpmath.exp(b)) / (a - b)
                expected[i, j] = float(difference * float(e[i, j]) / z - (i == j) * mpmath.exp(a) / z * mean)
    change = arrmb.jvp(linalg.softmaxmh, (np.diag(w),), (e,))[1]
    assert np.linalg.norm(change - expected) <= 1e-14 * np.linalg.norm(expected)


def test_absolute_value_and_sign_agree_with_the_square_root():
    """|X| = (X²)^(1/2) and sign(X) = X |X|^-1, also in their derivatives."""
    x = Draw(4).hermitian((-1.0, -1.0, 0.5, 0.5, 2.0))
    g, e = Draw(5).normal(5, 5), Draw(6).normal(5, 5)
    pairs = (
        (linalg.absmh, lambda x: linalg.sqrtmh(x @ x)),
        (linalg.signmh, lambda x: x @ linalg.invsqrtmh(x @ x)),
        (linalg.invh, linalg.inv),
    )
    for function, other in pairs:
        results = []
        for f in (function, other):

            def loss(x, f=f):
                return linalg.trace(g @ f(0.5 * (x + arrmb.namespace(x).matrix_transpose(x))))

            results.append((f(x), arrmb.grad(loss)(x), arrmb.hvp(loss, (x,), (e,))[0]))
        for a, b in zip(*results):
            assert np.linalg.norm(a - b) <= 1e-12 * np.linalg.norm(b)


def test_absolute_value_at_zero():
    """A rank deficient matrix, in any basis: 0 between zero eigenvalues, the mean of the two sides."""
    x = Draw(7).hermitian((0.0, 0.0, 1.0, -2.0))
    v = np.linalg.eigh(x)[1]  # -2, 0, 0, 1
    gradient = v.T @ arrmb.grad(lambda x: linalg.trace(linalg.absmh(x)))(x) @ v
    np.testing.assert_allclose(gradient, np.diag([-1.0, 0.0, 0.0, 1.0]), atol=1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wrong_input(name):
    function = getattr(linalg, name)
    with pytest.raises(ValueError, match=rf"^{name}: x must have shape \(..., n, n\), got \(2, 3\)"):
        function(np.ones((2, 3)))
    with pytest.raises(TypeError, match=f"^{name}: x must be a floating-point array, got list"):
        function([[1.0]])
    with pytest.raises(TypeError, match=f"^{name}: x has dtype int64"):
        function(np.eye(3, dtype=np.int64))


@pytest.mark.parametrize("name", ["softmaxmh", "logsumexpmh"])
def test_softmax_of_nothing(name):
    with pytest.raises(ValueError, match=f"^{name}: x must have at least one row and one column"):
        getattr(linalg, name)(np.zeros((2, 0, 0)))


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("softmaxmh", "logsumexpmh")])
def test_empty_matrices(name):
    assert getattr(linalg, name)(np.zeros((2, 0, 0))).shape == (2, 0, 0)


def test_third_order_is_refused():
    x = np.diag([1.0, 2.0, 3.0])
    with pytest.raises(NotImplementedError, match="tanhmh: third derivatives"):
        arrmb.grad(lambda x: linalg.trace(arrmb.hvp(lambda x: linalg.trace(linalg.tanhmh(x)), (x,), (x,))[0]))(x)
