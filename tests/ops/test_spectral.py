"""Functions of a Hermitian matrix: regular spectra, ties and near ties, on every backend and against 200 digits."""

import itertools

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import arrmb
from arrmb.ops import groups, scalar
from arrmb.ops.spectral import decompose, frechet, frechet2, spectral
from arrmb.testing import Draw, check_op

KERNELS = {
    "log": scalar.log,
    "exp": scalar.exp,
    "sqrt": scalar.sqrt,
    "invsqrt": scalar.invsqrt,
    "power 1/3": scalar.power(1 / 3),
    "user": scalar.UserFunction("user", lambda x: x / (3.0 + x * x)),
    "inverse": scalar.inverse,
    "tanh": scalar.tanh,
    "softplus": scalar.softplus,
}
REGULAR = (0.4, 0.9, 1.3, 2.2)
TIES = [(2, 2, 2, 2), (0.5, 0.5, 2, 2), (1, 1 + 1e-9, 1 + 2e-9, 2), (1, 1 + 1e-5, 1.01, 2), (0.3, 1, 1, 1 + 1e-14)]


def hermitian(spectrum):
    return lambda d: (d.hermitian(spectrum),)


def by_eigh(f):
    def reference(x):
        w, v = np.linalg.eigh(x)
        return (v * f(w)[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2))

    return reference


@pytest.mark.parametrize("name", KERNELS)
def test_kernels(check, name):
    kernel = KERNELS[name]
    check(
        spectral,
        hermitian(REGULAR),
        params={"kernel": kernel},
        reference=by_eigh(lambda w: np.asarray(kernel.values(w))),
        at=[hermitian(s) for s in TIES],
    )


def test_clamp(check):
    spectra = [(-1, -1, 2, 2), (-1, 0.2, 0.2, 3), (1, 1, 2, 3), (-2, -1, 0, 0.1)]
    check(
        spectral,
        hermitian((-1, 0.1, 0.9, 2)),
        params={"kernel": scalar.clamp(0.5)},
        reference=by_eigh(lambda w: np.maximum(w, 0.5)),
        at=[hermitian(s) for s in spectra],
    )


def test_not_hermitian_input_stands_for_its_hermitian_part(check):
    def part(x):
        return 0.5 * (x + np.conj(np.swapaxes(x, -1, -2)))

    check(
        spectral,
        lambda d: (d.normal(3, 3),),
        params={"kernel": scalar.exp},
        reference=lambda x: by_eigh(np.exp)(part(x)),
    )


def test_one_by_one(check):
    check(spectral, hermitian((2.5,)), params={"kernel": scalar.log}, reference=np.log)


# the derivative maps as ops of their own: linear in every tangent, exact at ties


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("spectrum", [REGULAR, TIES[1], TIES[2]])
def test_frechet(backend, dtype, spectrum):
    def at_fixed_matrix(op):
        x = backend.put(np.diag(np.asarray(spectrum, dtype=dtype)), dtype)
        eig = decompose(x, scalar.log)
        return arrmb.Op(
            op.name,
            lambda *e: (op(x, *e, kernel=scalar.log, eig=eig), (x, *e, eig, scalar.log)),
            op.variation[1:],
            op.adjoint[1:],
        )

    n = len(spectrum)
    options = {"backend": backend, "dtype": dtype, "batch": False}
    check_op(at_fixed_matrix(frechet), lambda d: (d.normal(n, n),), **options)
    check_op(at_fixed_matrix(frechet2), lambda d: (d.normal(n, n), d.normal(n, n)), **options)


def test_third_order_is_refused():
    x = np.diag([1.0, 2.0, 3.0])
    loss = lambda x: arrmb.namespace(x).sum(arrmb.linalg.logmh(x) ** 2)  # noqa: E731
    hessian_trace = lambda x: arrmb.namespace(x).sum(arrmb.hvp(loss, (x,), (np.eye(3),))[0])  # noqa: E731
    with pytest.raises(NotImplementedError, match="logmh: third derivatives"):
        arrmb.grad(hessian_trace)(x)


def test_infinite_derivatives_raise(backend):
    x = backend.put(np.diag([0.0, 1.0, 2.0]), "float64")
    kernels = {"sqrtmh": (scalar.sqrt, 1), "powmh, 1": (scalar.power(0.3), 1), "powmh, 2": (scalar.power(1.5), 2)}
    for name, (kernel, order) in kernels.items():

        def loss(x, kernel=kernel):
            return arrmb.linalg.trace(spectral(x, kernel=kernel))

        def derivative(loss=loss, order=order):
            return arrmb.grad(loss)(x) if order == 1 else arrmb.hvp(loss, (x,), (x,))[0]

        assert np.all(np.isfinite(backend.get(spectral(x, kernel=kernel))))
        if backend.name == "cupy":  # which looks at no values
            assert not np.all(np.isfinite(backend.get(derivative())))
            continue
        with pytest.raises(ValueError, match=f"^{name[:5]}.*: the derivative is not finite .* from 0 to 2"):
            derivative()


# diagonal matrices, whose eigenvectors are exact, against 200 digits

UNIT = float(np.finfo(float).eps)
ORACLES = {
    "log": (scalar.log, mpmath.log, "positive"),
    "sqrt": (scalar.sqrt, mpmath.sqrt, "positive"),
    "invsqrt": (scalar.invsqrt, lambda x: 1 / mpmath.sqrt(x), "positive"),
    "inverse": (scalar.inverse, lambda x: 1 / x, "positive"),
    "power 0.3": (scalar.power(0.3), lambda x: x ** mpmath.mpf(0.3), "positive"),
    "power -1.5": (scalar.power(-1.5), lambda x: x ** mpmath.mpf(-1.5), "positive"),
    "power 2.5": (scalar.power(2.5), lambda x: x ** mpmath.mpf(2.5), "nonnegative"),
    "exp": (scalar.exp, mpmath.exp, "moderate"),
    "tanh": (scalar.tanh, mpmath.tanh, "real"),
    "softplus": (scalar.softplus, lambda x: mpmath.log1p(mpmath.exp(-abs(x))) + max(x, 0), "real"),
    "clamp": (scalar.clamp(0.5), lambda x: max(x, mpmath.mpf(0.5)), "real"),
    "abs": (scalar.absolute, abs, "real"),
    "sign": (groups.sign, mpmath.sign, "real"),
}


@st.composite
def spectra(draw, domain):
    """Up to four eigenvalues, spread, tied, nearly tied, or zero."""
    magnitude = st.floats(-12.0, 12.0) if domain != "moderate" else st.floats(-12.0, 1.5)
    w = []
    for _ in range(draw(st.integers(0, 2))):
        value = 10.0 ** draw(magnitude)
        if domain in ("real", "moderate"):
            value *= draw(st.sampled_from([-1.0, 1.0, 0.0]))
        elif domain == "nonnegative":
            value *= draw(st.sampled_from([1.0, 0.0]))
        partner = value * (1.0 + draw(st.sampled_from([0.0, 1e-16, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 0.1, 1.0])))
        w += [value, partner][: draw(st.integers(1, 2))]
    return w


def differences(f, w, order):
    """The divided differences of order 1 or 2 at the points w, exact."""
    table = np.zeros((len(w),) * (order + 1))
    with mpmath.workdps(200):
        step = mpmath.mpf(10) ** -30
        for index in itertools.combinations_with_replacement(range(len(w)), order + 1):
            points = [mpmath.mpf(float(w[i])) for i in index]
            for i in range(len(points)):
                while any(points[i] == q for q in points[:i]):  # equal points are moved apart by a negligible step
                    points[i] += (abs(points[i]) or step) * step
            level = [f(p) for p in points]
            for d in range(1, order + 1):
                level = [(level[i] - level[i + 1]) / (points[i] - points[i + d]) for i in range(len(level) - 1)]
            for permuted in itertools.permutations(index):
                table[permuted] = float(level[0])
    return table


@pytest.mark.parametrize("name", ORACLES)
def test_against_200_digits(name):
    kernel, f, domain = ORACLES[name]
    rng = np.random.default_rng(1)

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(spectra(domain))
    @example([1.0, 1.0, 1.0, 1.0])
    @example([1.0])
    @example([])
    def run(w):
        w = np.asarray(w)
        n = len(w)
        if n and name in ("abs", "sign", "clamp"):  # at the kink, to rounding, there are conventions
            kink = 0.5 if name == "clamp" else 0.0
            if np.min(np.abs(w - kink)) <= n * UNIT * np.max(np.abs(w)):
                return
        g, e = (Draw(int(rng.integers(1000))).normal(n, n) for _ in range(2))
        g, e = g + g.T, e + e.T

        def loss(x):
            return arrmb.linalg.trace(g @ spectral(x, kernel=kernel))

        oracle = 1e-25 if 0.0 in w else 0.0  # its step at equal points, where the exact value is 0
        first = differences(f, w, 1) * g
        gradient = arrmb.grad(loss)(np.diag(w))
        assert np.linalg.norm(gradient - first) <= 1e-11 * np.linalg.norm(first) + oracle
        table = differences(f, w, 2)
        second = np.einsum("ikj,ik,kj->ij", table, g, e) + np.einsum("ikj,ik,kj->ij", table, e, g)
        change = arrmb.hvp(loss, (np.diag(w),), (e,))[0]
        terms = np.einsum("ikj,ik,kj->ij", np.abs(table), np.abs(g), np.abs(e))
        if name in ("tanh", "clamp", "abs", "sign"):  # f'' changes sign: its terms may cancel in the sum
            assert np.linalg.norm(change - second) <= 1e-8 * np.linalg.norm(terms) + oracle
        else:
            assert np.linalg.norm(change - second) <= 1e-8 * np.linalg.norm(second) + oracle

    run()


# float32 against float64

FLOAT32 = {
    "log": scalar.log,
    "sqrt": scalar.sqrt,
    "inverse": scalar.inverse,
    "power 0.3": scalar.power(0.3),
    "exp": scalar.exp,
    "tanh": scalar.tanh,
    "softplus": scalar.softplus,
    "user": scalar.UserFunction("user", lambda x: x / (3.0 + x * x)),
}


@pytest.mark.parametrize("name", FLOAT32)
@pytest.mark.parametrize(
    "spectrum",
    [(0.3, 0.9, 1.4, 2, 3, 5), (2, 2, 2, 2, 2, 2), (0.5, 0.5, 0.5, 2, 2, 2)]
    + [(1, 1 + gap, 1 + 3 * gap, 1 + 4 * gap, 3, 3 + gap) for gap in (1e-16, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.1)],
)
def test_float32_is_within_ten_times_its_rounding(name, spectrum):
    """The floor: what rounding the input, and rounding the products V (K ∘ ·) V^H, makes whatever the formula for K.

    The first is the change of the exact derivative when X changes by eps ‖X‖ (the largest of three random directions);
    the second eps ‖ |V| |K ∘ Ê| |V|^H ‖, one rounding of every term. Both are found in float64.
    """
    kernel = FLOAT32[name]
    x = Draw(0).hermitian(spectrum).astype(np.float32)
    g, e = (Draw(i).hermitian((1.0, -2.0, 0.5, 1.5, -1.0, 2.0)).astype(np.float32) for i in (1, 2))
    unit = float(np.finfo(np.float32).eps)

    def both(x, g, e):
        g = g.astype(x.dtype)

        def loss(x):
            return arrmb.linalg.trace(g @ spectral(x, kernel=kernel))

        return arrmb.grad(loss)(x), arrmb.hvp(loss, (x,), (e.astype(x.dtype),))[0]

    exact = both(x.astype(float), g, e)
    w, v = decompose(x.astype(float), kernel)
    g_hat, e_hat = (np.abs(v.T @ m.astype(float) @ v) for m in (g, e))
    table = np.abs(np.stack(list(kernel.second(w)), axis=1))
    terms = (
        np.abs(kernel.first(w)) * g_hat,
        np.einsum("ikj,ik,kj->ij", table, g_hat, e_hat) + np.einsum("ikj,ik,kj->ij", table, e_hat, g_hat),
    )
    moved = []
    for seed in range(3):
        step = Draw(seed).normal(6, 6)
        step = step + step.T
        moved.append(both(x + unit * np.linalg.norm(x, 2) / np.linalg.norm(step, 2) * step, g, e))
    for order, single in enumerate(both(x, g, e)):
        assert single.dtype == np.float32
        floor = unit * np.linalg.norm(np.abs(v) @ terms[order] @ np.abs(v).T)
        floor += max(np.linalg.norm(m[order] - exact[order]) for m in moved)
        assert np.linalg.norm(single - exact[order]) <= 10.0 * floor
