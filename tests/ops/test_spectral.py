"""Functions of a Hermitian matrix: regular spectra, ties, near ties, and closed-form divided differences."""

import mpmath
import numpy as np
import pytest

import arrmb
from arrmb.ops import scalar
from arrmb.ops.spectral import TopGroup, decompose, frechet, frechet2, spectral
from arrmb.testing import check_op

KERNELS = {
    "log": scalar.log,
    "exp": scalar.exp,
    "sqrt": scalar.sqrt,
    "invsqrt": scalar.invsqrt,
    "power 1/3": scalar.power(1 / 3),
    "power -1.5": scalar.power(-1.5),
    "power 2": scalar.power(2.0),
    "user": scalar.ScalarFunction("user", lambda x: x / (3.0 + x * x)),
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
        reference=by_eigh(lambda w: np.asarray(kernel.f(w))),
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


# divided differences against 50 digits


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("gap", [0.0, 1e-16, 1e-12, 1e-8, 1e-4, 1e-2, 0.1, 0.5, 1.0, 10.0, 1e6])
def test_divided_differences_have_all_digits(name, gap):
    if name == "exp" and gap > 100:
        gap = 100.0
    kernel = KERNELS[name]
    f = {
        "log": mpmath.log,
        "exp": mpmath.exp,
        "sqrt": mpmath.sqrt,
        "invsqrt": lambda x: 1 / mpmath.sqrt(x),
        "power 1/3": lambda x: x ** mpmath.mpf(1 / 3),
        "power -1.5": lambda x: x ** mpmath.mpf(-1.5),
        "power 2": lambda x: x**2,
        "user": lambda x: x / (3 + x * x),
    }[name]
    a, b, c = 0.7, 0.7 * (1 + gap), 0.7 * (1 + 0.3 * gap)
    with mpmath.workdps(80):
        first = _exact(f, [a, b])
        second = _exact(f, [a, b, c])
    points = [np.asarray([p]) for p in (a, b, c)]
    scale2 = max(abs(second), 1e-3 * abs(first) / b)
    assert abs(kernel.divided(*points[:2])[0] - first) <= 2e-14 * max(abs(first), 1e-3)
    assert abs(kernel.divided2(*points)[0] - second) <= 1e-11 * scale2
    assert kernel.divided2(*points)[0] == pytest.approx(kernel.divided2(*points[::-1])[0], rel=1e-11)


def _exact(f, points):
    points = [mpmath.mpf(p) for p in points]
    # equal points are moved apart by 1e-20, which 80 digits resolve and which changes the result by 1e-20
    for i in range(len(points)):
        while any(points[i] == q for q in points[:i]):
            points[i] += mpmath.mpf(10) ** -20

    def divided(p):
        return f(p[0]) if len(p) == 1 else (divided(p[:-1]) - divided(p[1:])) / (p[0] - p[-1])

    return float(divided(points))
