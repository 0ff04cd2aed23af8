"""Public functions of Hermitian matrices: values on every backend, nesting, domains, and wrong input."""

import numpy as np
import pytest
import scipy.linalg

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads

X = Draw(0).hermitian((0.5, 0.5, 1.5, 3.0))
FUNCTIONS = {
    "invh": (linalg.invh, np.linalg.inv),
    "logmh": (linalg.logmh, scipy.linalg.logm),
    "expmh": (linalg.expmh, scipy.linalg.expm),
    "sqrtmh": (linalg.sqrtmh, scipy.linalg.sqrtm),
    "invsqrtmh": (linalg.invsqrtmh, lambda x: scipy.linalg.inv(scipy.linalg.sqrtm(x))),
    "powmh": (lambda x: linalg.powmh(x, 0.3), lambda x: scipy.linalg.fractional_matrix_power(x, 0.3)),
    "powmh, negative integer": (lambda x: linalg.powmh(x, -2), lambda x: np.linalg.matrix_power(x, -2)),
    "spectral": (lambda x: linalg.spectral(x, lambda w: arrmb.namespace(w).tanh(w)), scipy.linalg.tanhm),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_against_scipy(backend, name):
    function, reference = FUNCTIONS[name]
    y = backend.get(function(backend.put(X, "float64")))
    np.testing.assert_allclose(y, reference(X), rtol=1e-10, atol=1e-12)


def test_singular_square_root(backend):
    x = backend.put(Draw(1).hermitian((0.0, 0.0, 1.0, 4.0)), "float64")
    y = backend.get(linalg.sqrtmh(x))
    np.testing.assert_allclose(y @ y, backend.get(x), atol=1e-7)  # √ of a rounding error of 1e-16


def test_low_precision_of_a_rounded_zero():
    x = Draw(1).hermitian((0.0, 0.0, 1.0, 4.0)) - 1e-16 * np.eye(4)
    assert np.all(np.isfinite(linalg.sqrtmh(x)))


def test_gradient_is_hermitian_and_complete_for_complex():
    x = Draw(2, complex=True).hermitian((1.0, 1.0, 2.0))
    g = Draw(3, complex=True).normal(3, 3)

    def loss(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.real(np.conj(g) * linalg.logmh(x)))

    gradient = arrmb.grad(loss)(x)
    np.testing.assert_allclose(gradient, gradient.conj().T, atol=1e-14)
    check_grads(loss, (x,))


@pytest.mark.parametrize("values", [(2.0, 1.0, 0.5), (1.0, 1.0, 0.5), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 4)])
@pytest.mark.parametrize("is_complex", [False, True])
def test_svd_function(backend, values, shape, is_complex):
    x = backend.put(Draw(4, is_complex).with_singular_values(*shape, values), "complex128" if is_complex else "float64")

    def odd(s):
        return s / (2.0 + s * s)

    u, s, vh = np.linalg.svd(backend.get(x), full_matrices=False)
    np.testing.assert_allclose(backend.get(linalg.svd_function(x, odd)), (u * odd(s)) @ vh, atol=1e-13)
    check_grads(lambda x: linalg.svd_function(x, odd), (x,))


def test_user_function_with_kinks_and_given_derivatives():
    def soft(s):
        xp = arrmb.namespace(s)
        return xp.sign(s) * xp.maximum(xp.abs(s) - 0.3, 0.0)

    def step(s):
        xp = arrmb.namespace(s)
        return xp.astype(xp.abs(s) > 0.3, s.dtype)

    x = Draw(5).with_singular_values(4, 3, (1.0, 1.0, 0.1))
    check_grads(lambda x: linalg.svd_function(x, soft, df=step, ddf=lambda s: 0.0 * s), (x,))


@pytest.mark.parametrize("name", ["logmh", "expmh", "sqrtmh", "invsqrtmh", "invh"])
@pytest.mark.parametrize(
    "x, error, message",
    [
        (np.ones((2, 3)), ValueError, r"x must have shape \(..., n, n\), got \(2, 3\)"),
        (np.ones(3), ValueError, r"x must have shape"),
        (np.eye(3, dtype=int), TypeError, "x has dtype int64"),
        ([[1.0]], TypeError, "x must be a floating-point array, got list"),
        (1.0, TypeError, "x must be a floating-point array, got float"),
    ],
)
def test_wrong_input(name, x, error, message):
    with pytest.raises(error, match=f"^{name}: .*{message}"):
        getattr(linalg, name)(x)


@pytest.mark.parametrize("name", ["logmh", "sqrtmh", "invsqrtmh"])
def test_indefinite(backend, name):
    x = backend.put(np.stack([np.eye(3), np.diag([1.0, -2.0, 3.0])]), "float64")
    if backend.name == "cupy":
        assert np.any(np.isnan(backend.get(getattr(linalg, name)(x))))
        return
    with pytest.raises(ValueError, match=f"^{name}: argument x must be positive .*smallest eigenvalue is -2; add"):
        getattr(linalg, name)(x)


def test_singular_inverse():
    with pytest.raises(ValueError, match=r"^invh: argument x is singular, it has an eigenvalue 0"):
        linalg.invh(np.diag([1.0, 0.0, -1.0]))
    x = Draw(8).hermitian((-1.0, 0.5, 0.5))  # indefinite
    check_grads(linalg.invh, (x,))


# spectral, with a harsh eye: functions with kinks, poles, constants, given derivatives, single precision


def xlogx(w):
    xp = arrmb.namespace(w)
    positive = w > 0.0
    return xp.where(positive, w * xp.log(xp.where(positive, w, 1.0)), 0.0)


USER = {
    "constant": (lambda w: 2.0, None, None),
    "identity": (lambda w: w, None, None),
    "where": (xlogx, None, None),
    "df": (lambda w: w**3, lambda w: 3.0 * w * w, None),
    "ddf": (lambda w: w**3, None, lambda w: 6.0 * w),
    "df and ddf": (lambda w: w**3, lambda w: 3.0 * w * w, lambda w: 6.0 * w),
    "constant df": (lambda w: 2.0 * w + 1.0, lambda w: 2.0, None),
    "constant ddf": (lambda w: w * w, lambda w: 2.0 * w, lambda w: 2.0),
    "kink": (lambda w: arrmb.namespace(w).maximum(w, 0.7), None, None),
    "pole": (lambda w: 1.0 / (w - 1.25), None, None),
}


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("name", USER)
def test_functions_of_users(backend, name, is_complex):
    x = backend.put(Draw(9, is_complex).hermitian((0.5, 0.5, 1.5, 2.0, 2.0)), "complex128" if is_complex else "float64")
    check_grads(lambda x: linalg.spectral(x, *USER[name]), (x,))


@pytest.mark.parametrize("name", USER)
def test_functions_of_users_in_single_precision(backend, name):
    for dtype in ("float32", "complex64"):
        x = Draw(9, dtype == "complex64").hermitian((0.5, 0.5, 1.5, 2.0, 2.0))
        g, e = Draw(10).normal(5, 5), Draw(11).normal(5, 5)
        results = []
        for precision in (dtype, "complex128" if dtype == "complex64" else "float64"):
            weights, at = backend.put(g, precision), backend.put(x, precision)

            def loss(x, weights=weights):
                xp = arrmb.namespace(x)
                return xp.sum(xp.real(linalg.spectral(x, *USER[name])) * weights)

            y = linalg.spectral(at, *USER[name])
            gradient = arrmb.grad(loss)(at)
            change = arrmb.hvp(loss, (at,), (at * backend.put(e, precision),))[0]
            results.append([backend.get(v) for v in (y, gradient, change)])
        for single, double in zip(*results):
            assert single.dtype == dtype
            assert np.linalg.norm(single - double) <= 2e-5 * np.linalg.norm(double) + 1e-6


def test_function_of_a_user_that_is_not_defined():
    x = np.diag([-1.0, 2.0])
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match="spectral: f is not finite at an eigenvalue of x"),
    ):
        linalg.spectral(x, np.log)

    def root(w):
        return arrmb.namespace(w).sqrt(w)

    x = np.diag([0.0, 2.0])
    linalg.spectral(x, root)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="spectral: the derivative is not finite"):
        arrmb.grad(lambda x: linalg.trace(linalg.spectral(x, root)))(x)
    with pytest.raises(TypeError, match="of its shape and dtype, it made dtype float64"):
        linalg.spectral(x.astype(np.float32), lambda w: w.astype(np.float64))


def test_wrong_parameters():
    with pytest.raises(TypeError, match="powmh: p must be a Python number, got ndarray"):
        linalg.powmh(X, np.asarray(0.5))
    with pytest.raises(TypeError, match="clampmh: low must be a Python number, got NoneType"):
        linalg.clampmh(X, None)
    with pytest.raises(TypeError, match="spectral: f must be a function of an array, got float"):
        linalg.spectral(X, 2.0)
    with pytest.raises(TypeError, match="svd_function: df must be a function"):
        linalg.svd_function(X, lambda s: s, df=1.0)
    with pytest.raises(ValueError, match=r"top_projector: k must be an integer from 0 to n = 4, got 5"):
        linalg.top_projector(X, 5)
    with pytest.raises(ValueError, match="top_projector: k=3 splits a group of equal eigenvalues"):
        linalg.top_projector(X, 3)
    with pytest.raises(TypeError, match="depends on a traced array other than the matrix"):
        arrmb.grad(lambda p: linalg.trace(linalg.spectral(X, lambda w: w * p)))(np.asarray(2.0))
    with pytest.raises(TypeError, match="depends on a traced array other than the matrix"):
        arrmb.grad(lambda x: linalg.trace(linalg.spectral(x, lambda w: w * x[0, 0])))(X)
    with pytest.raises(ValueError, match="spectral: f must act on each eigenvalue alone"):
        linalg.spectral(X, lambda w: w / np.sum(w))
    with pytest.raises(ValueError, match=r"svd_function: f must be odd, .* write it with the sign"):
        linalg.svd_function(X, lambda s: arrmb.namespace(s).maximum(s - 0.5, 0.0))
    with pytest.raises(TypeError, match="spectral: f must map a real array to a real array"):
        linalg.spectral(X, lambda w: w * 1j)


def test_constant_function():
    np.testing.assert_allclose(linalg.spectral(X, lambda w: 2.0), 2.0 * np.eye(4), atol=1e-14)
    assert not np.any(arrmb.grad(lambda x: linalg.trace(linalg.spectral(x, lambda w: 2.0)))(X))


@pytest.mark.parametrize("p", [0, 1, 2, 3, 2.5])
def test_powers_of_a_singular_matrix(p):
    x = np.diag([0.0, 0.0, 1.0, 2.0])
    g = Draw(7).hermitian((1.0, -1.0, 2.0, 3.0))
    gradient = arrmb.grad(lambda x: linalg.trace(g @ linalg.powmh(x, p)))(x)
    if p == 0:
        assert not np.any(gradient)
    elif p == 1:
        np.testing.assert_allclose(gradient, g, atol=1e-14)
    elif isinstance(p, int):
        powers = [np.linalg.matrix_power(x, i) for i in range(p)]
        expected = sum(powers[i] @ g @ powers[p - 1 - i] for i in range(p))
        np.testing.assert_allclose(gradient, expected, atol=1e-13)
    else:
        assert np.all(np.isfinite(gradient))


ROOTS = {
    "t² - 1": (lambda t: t * t - 1.0, 2.0, 2.0),
    "sigmoid": (lambda t: 1.0 / (1.0 + arrmb.namespace(t).exp(1.0 - t)) - 0.5, 0.25, 0.0),
    "t - 1/t": (lambda t: t - 1.0 / t, 2.0, -2.0),
    "exp(t-1) - 1": (lambda t: arrmb.namespace(t).exp(t - 1.0) - 1.0, 1.0, 1.0),
    "t³ - 3t + 2": (lambda t: t * t * t - 3.0 * t + 2.0, 0.0, 6.0),
}


@pytest.mark.parametrize("name", ROOTS)
@pytest.mark.parametrize("gap", [1e-12, 1e-9, 1e-7])
def test_near_ties_at_a_root_of_the_function(name, gap):
    """The values of f are rounding errors there; its divided differences f'(1) and f''(1)/2 are not."""
    f, slope, curvature = ROOTS[name]
    x = np.diag([0.5, 1.0, 1.0 + gap, 3.0])
    g, e = np.zeros((4, 4)), np.zeros((4, 4))
    g[1:3, 1:3] = e[1:3, 1:3] = 1.0

    def loss(x):
        return linalg.trace(g @ linalg.spectral(x, f))

    size = max(abs(slope), abs(curvature), 1.0)
    assert np.max(np.abs(arrmb.grad(loss)(x)[1:3, 1:3] - slope)) <= (1e-13 + 6.0 * gap) * size
    # D²f of the all-ones 2 × 2 blocks: Σ_k f[i,k,j] (1 + 1) = 2 · 2 · f''/2
    change = arrmb.hvp(loss, (x,), (e,))[0][1:3, 1:3]
    assert np.max(np.abs(change - 2.0 * curvature)) <= (1e-12 + 30.0 * gap) * size


def test_learnable_parameters_by_the_remedies_of_the_messages():
    x, eye = Draw(12).hermitian((0.5, 0.5, 1.5, 3.0)), np.eye(4)
    g = Draw(13).normal(4, 4)
    for name, at, remedy in (
        ("powmh", 0.7, lambda p: linalg.expmh(p * linalg.logmh(x))),
        ("clampmh", 0.9, lambda low: linalg.clampmh(x - low * eye, 0.0) + low * eye),
    ):
        f = getattr(linalg, name)
        np.testing.assert_allclose(remedy(at), f(x, at), atol=1e-13)
        slope = arrmb.grad(lambda t, remedy=remedy: arrmb.namespace(t).sum(g * remedy(t)))(np.asarray(at))
        h = 1e-6
        np.testing.assert_allclose(slope, np.sum(g * (f(x, at + h) - f(x, at - h))) / (2 * h), rtol=1e-7)
        for text in ("is a constant and has no derivative: for a learnable",):
            with pytest.raises(TypeError, match=f"^{name}: .* {text}"):
                arrmb.grad(lambda t, f=f: linalg.trace(f(x, t)))(np.asarray(at))
    with pytest.raises(TypeError, match=r"write expmh\(p \* logmh\(x\)\)"):
        arrmb.grad(lambda p: linalg.trace(linalg.powmh(x, p)))(np.asarray(2.0))
    with pytest.raises(TypeError, match=r"write clampmh\(x - low \* I, 0\.0\) \+ low \* I"):
        arrmb.grad(lambda p: linalg.trace(linalg.clampmh(x, p)))(np.asarray(2.0))


@pytest.mark.parametrize("name", ["powmh", "clampmh"])
def test_numbers_that_are_none(name):
    f = getattr(linalg, name)
    for wrong in (True, "a", 1j, None):
        with pytest.raises(TypeError, match=rf"^{name}: \w+ must be a Python number, got {type(wrong).__name__}"):
            f(X, wrong)
    with pytest.raises(ValueError, match=rf"^{name}: \w+ must be a Python number, got NaN"):
        f(X, float("nan"))
    with pytest.raises(ValueError, match=rf"^{name}: \w+ must be finite, got -inf"):
        f(X, float("-inf"))
    np.testing.assert_array_equal(f(X, np.float32(0.5)), f(X, 0.5))
    np.testing.assert_array_equal(f(X, np.int64(1)), f(X, 1.0))


def test_integer_powers_of_indefinite_matrices_have_another_function():
    x = np.diag([1.0, -2.0])
    with pytest.raises(ValueError, match=r"with clampmh; for integer powers matrix_power$"):
        linalg.powmh(x, 3)
    with pytest.raises(ValueError, match=r"with clampmh$"):
        linalg.powmh(x, 0.5)


def test_what_functions_of_users_must_not_do(backend):
    x = backend.put(np.diag([1.0, 2.0]), "float64")
    xp = backend.xp
    with pytest.raises(TypeError, match=r"^spectral: f must map .* it made dtype .*float32"):
        linalg.spectral(x, lambda w: arrmb.namespace(w).astype(w, xp.float32))
    with pytest.raises(TypeError, match=r"^spectral: f must map .* it made dtype .*bool"):
        linalg.spectral(x, lambda w: w > 1.0)
    with pytest.raises(TypeError, match=r"^svd_function: f must map .* it made a list"):
        linalg.svd_function(x, lambda w: [1.0, 2.0])
    with pytest.raises(TypeError, match=r"^spectral: df must map .* it made a NoneType"):
        arrmb.grad(lambda x: linalg.trace(linalg.spectral(x, lambda w: w, df=lambda w: None)))(x)
    message = (
        r"^spectral: f uses a function of NumPy, which a derivative cannot follow: xp = arrmb.namespace\(w\), xp.exp"
    )
    for f in (np.exp, np.cumsum) if backend.name == "numpy" else ():
        with pytest.raises(TypeError, match=message):
            arrmb.grad(lambda x, f=f: linalg.trace(linalg.spectral(x, lambda w: 0.0 * f(w))))(x)


def test_parameters_outside_the_function_of_a_user():
    message = r"{0}: .* not offered: .* enter outside f, such as a scaling of x, {0}\(p \* x, f\)"
    for name in ("spectral", "svd_function"):
        with pytest.raises(TypeError, match=message.format(name)):
            arrmb.grad(lambda p, name=name: linalg.trace(getattr(linalg, name)(X, lambda w: w * p)))(np.asarray(2.0))
    check_grads(lambda p: linalg.spectral(p * X, lambda w: w**3), (np.asarray(2.0),))
