"""Special functions: the ops, and the namespace's ``special`` where SciPy looks for them."""

import numpy as np
import pytest

import arrmb
from arrmb.ops import special as ops

special = pytest.importorskip("scipy.special")
mpmath = pytest.importorskip("mpmath")
ANYWHERE = "expit erf erfc ndtr log_ndtr"
INSIDE = "logit entr erfinv ndtri gamma gammaln"


@pytest.mark.parametrize("name", (ANYWHERE + " " + INSIDE).split())
def test_of_one_variable(check_real, name):
    def inputs(d):
        x = d.uniform(0.2, 0.8, 3, 2)
        return (3.0 * x - 1.5 if name in ANYWHERE.split() else x,)

    check_real(getattr(ops, name), inputs, reference=getattr(special, name), loss=30.0)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_polygamma(check_real, n):
    reference = special.polygamma
    check_real(
        ops.polygamma,
        lambda d: (d.uniform(1.5, 3.0, 3, 2),),
        params={"n": n},
        reference=lambda x: reference(n, x),
        loss=10.0,
    )


@pytest.mark.parametrize(
    "name, parameters", [("gammainc", (1.7,)), ("gammaincc", (1.7,)), ("betainc", (1.7, 2.6)), ("stdtr", (3.4,))]
)
def test_distribution_functions(backend, name, parameters):
    """Values and two derivatives against mpmath with 30 digits."""

    def truth(x, order):
        with mpmath.workdps(30):
            f = {
                "gammainc": lambda t: mpmath.gammainc(1.7, 0, t, regularized=True),
                "gammaincc": lambda t: mpmath.gammainc(1.7, t, regularized=True),
                "betainc": lambda t: mpmath.betainc(1.7, 2.6, 0, t, regularized=True),
                "stdtr": lambda t: (
                    0.5
                    + t
                    * mpmath.hyp2f1(0.5, 2.2, 1.5, -t * t / 3.4)
                    / mpmath.sqrt(mpmath.pi * 3.4)
                    * (mpmath.gamma(2.2) / mpmath.gamma(1.7))
                ),
            }[name]
            return float(mpmath.diff(f, mpmath.mpf(float(x)), order))

    points = np.asarray([0.2, 0.5, 0.8])
    x = backend.xp.asarray(points, device=backend.device)

    def loss(x):
        xp = arrmb.namespace(x)
        return xp.sum(getattr(xp.special, name)(*parameters, x))

    value, gradient = arrmb.value_and_grad(loss)(x)
    curvature = arrmb.hvp(loss, (x,), (x * 0.0 + 1.0,))
    curvature = curvature[0] if isinstance(curvature, tuple) else curvature
    host = arrmb._lapack.to_host
    np.testing.assert_allclose(float(value), sum(truth(t, 0) for t in points), rtol=1e-13)
    np.testing.assert_allclose(host(gradient), [truth(t, 1) for t in points], rtol=1e-12)
    np.testing.assert_allclose(host(curvature), [truth(t, 2) for t in points], rtol=1e-11)


@pytest.mark.parametrize("name", ["expit", "logit", "entr"])
def test_values_far_out(name):
    x = np.asarray([-1e3, -40.0, -1e-300, 0.0, 1e-300, 1e-9, 0.3, 0.5, 0.5 + 1e-9, 0.7, 1.0, 40.0, 1e3, np.inf, np.nan])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(getattr(ops, name)(x), getattr(special, name)(x), rtol=2e-15)


def test_derivative_of_expit_far_out():
    x = np.asarray([-40.0, 0.0, 40.0, 800.0])
    with np.errstate(under="ignore"):
        gradient = arrmb.grad(lambda x: arrmb.namespace(x).sum(arrmb.namespace(x).special.expit(x)))(x)
    np.testing.assert_allclose(gradient, [np.exp(-40.0), 0.25, np.exp(-40.0), 0.0], rtol=1e-14)


def test_inverse_of_stdtr(backend):
    """stdtr(stdtrit(p)) = p: the chain rule, to second order; the median included."""
    p = backend.xp.asarray(np.asarray([0.1, 0.5, 0.9]), device=backend.device)

    def loss(p):
        xp = arrmb.namespace(p)
        return xp.sum(xp.special.stdtr(3.4, xp.special.stdtrit(3.4, p)))

    gradient, curvature = arrmb.grad(loss)(p), arrmb.jvp(arrmb.grad(loss), (p,), (p * 0.0 + 1.0,))[1]
    host = arrmb._lapack.to_host
    np.testing.assert_allclose(host(gradient), 1.0, rtol=1e-13)
    np.testing.assert_allclose(host(curvature), 0.0, atol=1e-12)


def test_ends_of_the_domain():
    """Where the density is finite at an end, so is the gradient: exp(-x) at 0, and 2 (1 - x), 2 x at 0 and 1."""

    def gradient(name, parameters, x):
        def f(x):
            xp = arrmb.namespace(x)
            return xp.sum(getattr(xp.special, name)(*parameters, x))

        with np.errstate(divide="ignore"):
            return arrmb.grad(f)(np.asarray(x))

    np.testing.assert_allclose(gradient("gammainc", (1.0,), [0.0, 1.0]), [1.0, np.exp(-1.0)], rtol=1e-15)
    np.testing.assert_allclose(gradient("gammaincc", (2.0,), [0.0, 1.0]), [0.0, -np.exp(-1.0)], rtol=1e-15)
    np.testing.assert_allclose(gradient("betainc", (1.0, 2.0), [0.0, 1.0]), [2.0, 0.0], rtol=1e-14)
    np.testing.assert_allclose(gradient("betainc", (2.0, 1.0), [0.0, 1.0]), [0.0, 2.0], rtol=1e-14)


def test_parameters_are_constants():
    def of_parameter(a):
        xp = arrmb.namespace(a)
        return xp.sum(xp.special.gammaincc(a, 0.5))

    with pytest.raises(TypeError, match="no rule for 'gammaincc' with respect to its parameters"):
        arrmb.grad(of_parameter)(np.ones(2))


def test_complex_and_integer_arguments_raise():
    xp = arrmb.namespace(arrmb.tape.core.lift(np.ones(1)))
    for x in (np.ones(2) * 1j, np.arange(2)):
        with pytest.raises(TypeError, match="expit: x must be a real floating-point array, got dtype"):
            xp.special.expit(x)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_log_ndtr_far_from_0(backend, dtype):
    """The density over the distribution function, of which both underflow: h, h' = -h (x + h), against mpmath."""
    points = np.asarray([-1e6, -1e3, -30.0, -22.0, -20.0, -8.0, -6.0, -1.0, 0.0, 2.0, 8.0, 100.0]).astype(dtype)

    def truth(x):
        with mpmath.workdps(60):
            x = mpmath.mpf(float(x))
            tail = mpmath.erfc(-x / mpmath.sqrt(2)) / 2
            if tail == 0 or x < -100:  # Mills' ratio, as a continued fraction
                tail = mpmath.mpf(0)
                for k in range(40, 0, -1):
                    tail = k / (-x + tail)
                h = -x + tail
            else:
                h = mpmath.npdf(x) / tail
            return float(h), float(-h * (x + h))

    x = backend.put(points, dtype)
    ones = backend.put(np.ones_like(points), dtype)

    def slope(x):
        return arrmb.jvp(lambda x: arrmb.namespace(x).special.log_ndtr(x), (x,), (ones,))[1]

    first, second = arrmb.jvp(slope, (x,), (ones,))
    expected = np.asarray([truth(v) for v in points])
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    np.testing.assert_allclose(backend.get(first), expected[:, 0], rtol=100 * eps, atol=tiny)
    # between the series and 0, 2 x erfcx(x) - 2/sqrt(pi) cancels, by 2 x² = 450 (50 in single precision)
    np.testing.assert_allclose(backend.get(second), expected[:, 1], rtol=1000 * eps, atol=tiny)
