"""Matrix norms of singular values: closed forms, 50 digits, peers, scales, conventions at kinks, errors."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arrmb
from arrmb import linalg
from arrmb._xp import H
from arrmb.testing import Draw, check_grads

NORMS = {
    "nuclear": lambda x: linalg.matrix_norm(x, ord="nuc"),
    "spectral": lambda x: linalg.matrix_norm(x, ord=2),
    "smallest": lambda x: linalg.matrix_norm(x, ord=-2),
    "Frobenius": lambda x: linalg.matrix_norm(x),
    "Schatten 1": lambda x: linalg.schatten_norm(x, 1),
    "Schatten 1.5": lambda x: linalg.schatten_norm(x, 1.5),
    "Schatten 2": lambda x: linalg.schatten_norm(x, 2),
    "Schatten 4": lambda x: linalg.schatten_norm(x, 4.0),
    "Schatten 300": lambda x: linalg.schatten_norm(x, 300.0),
    "Schatten inf": lambda x: linalg.schatten_norm(x, math.inf),
    "Ky Fan 1": lambda x: linalg.ky_fan_norm(x, 1),
    "Ky Fan 2": lambda x: linalg.ky_fan_norm(x, 2),
    "Ky Fan 3": lambda x: linalg.ky_fan_norm(x, 3),
}


def by_values(name, s):
    """The norm from descending singular values, in NumPy or mpmath."""
    kind, _, number = name.rpartition(" ")
    if kind == "Ky Fan":
        return sum(s[: int(number)])
    if kind == "Schatten" and number != "inf":
        p = float(number)
        one = s[0] / s[0]  # of the type of s: 1 / p in all its digits
        return s[0] * sum((v / s[0]) ** p for v in s) ** (one / p)
    simple = {"nuclear": sum(s), "smallest": s[-1], "Frobenius": sum(v * v for v in s) ** 0.5}
    return simple.get(name, s[0])


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("dtype", ["float64", "complex64"])
def test_values(backend, name, dtype):
    x = Draw(1, complex=dtype == "complex64", batch=(2,)).normal(4, 3)
    found = NORMS[name](backend.put(x, dtype))
    assert found.shape == (2,) and not arrmb._xp.is_complex(found)
    expected = [by_values(name, list(s)) for s in np.linalg.svd(x)[1]]
    eps = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(backend.get(found), expected, rtol=eps)
    traced = arrmb.jvp(NORMS[name], (backend.put(x, dtype),), (backend.put(x, dtype),))
    for v in traced:  # homogeneous: the derivative along X is the norm
        assert v.dtype == found.dtype
        np.testing.assert_allclose(backend.get(v), expected, rtol=eps)


@pytest.mark.parametrize("name", NORMS)
def test_derivatives(backend, name):
    x = backend.put(Draw(3, complex=True).with_singular_values(4, 3, [3.0, 2.0, 1.0]), "complex128")
    check_grads(NORMS[name], (x,), tolerance=1e-4 if name == "Schatten 300" else 1e-6)


TIES = {
    "nuclear": [(1, 1, 1), (2, 1, 1), (2, 1, 1 - 1e-9)],
    "Schatten 1.5": [(1, 1, 1), (2, 1, 1), (2, 1, 1 - 1e-9)],
    "Schatten 4": [(1, 1, 1), (2, 1, 1 - 1e-9), (2, 1, 0), (1, 0, 0), (1, 1, 1e-9)],
    "Ky Fan 2": [(2, 2, 1), (2, 2 - 1e-9, 1), (2, 2, 0)],
    "Ky Fan 1": [(2, 1, 1), (2, 0, 0)],
    "spectral": [(2, 1, 1), (2, 1, 1 - 1e-9)],
    "smallest": [(2, 2, 1), (2, 2 - 1e-9, 1)],
    "Schatten inf": [(2, 1, 1)],
}


@pytest.mark.parametrize("name, values", [(name, v) for name, spectra in TIES.items() for v in spectra])
@pytest.mark.parametrize("m", [3, 4])
def test_ties_against_fifty_digits(name, values, m):
    """Slope and curvature by differences of the norm of mpmath's singular values, in steps of 1e-15."""
    d = Draw(2)
    x, e, f = d.with_singular_values(m, 3, values), d.normal(m, 3), d.normal(m, 3)
    with mpmath.workdps(60):
        if values[-1] == 0:  # exactly deficient, so that the differences see no rounded zero
            x = np.zeros((m, 3))
            x[:3, :3] = np.diag(values)
        xm, em, fm = (mpmath.matrix(v.tolist()) for v in (x, e, f))

        def exact(t, r):
            return by_values(name, list(mpmath.svd_r(xm + t * em + r * fm, compute_uv=False)))

        h = mpmath.mpf(10) ** -15
        slope = float((exact(h, 0) - exact(-h, 0)) / (2 * h))
        curvature = float((exact(h, h) - exact(h, -h) - exact(-h, h) + exact(-h, -h)) / (4 * h * h))
    gradient, hessian = arrmb.grad(NORMS[name])(x), arrmb.hvp(NORMS[name], (x,), (e,))[0]
    assert abs(np.sum(gradient * e) - slope) <= 1e-13 * np.linalg.norm(gradient) * np.linalg.norm(e)
    assert abs(np.sum(hessian * f) - curvature) <= 1e-11 * np.linalg.norm(hessian) * np.linalg.norm(f)


@pytest.mark.parametrize("name", ["nuclear", "Schatten 1.5", "Schatten 4", "Ky Fan 2", "spectral", "smallest"])
@pytest.mark.parametrize("m", [3, 4])
def test_third_order_at_ties(name, m):
    d = Draw(2)
    for values in TIES[name]:
        x, e = d.with_singular_values(m, 3, values), d.normal(m, 3)
        if values[-1] == 0:
            x = np.zeros((m, 3))
            x[:3, :3] = np.diag(values)
        with mpmath.workdps(80):
            xm, em = mpmath.matrix(x.tolist()), mpmath.matrix(e.tolist())
            h = mpmath.mpf(10) ** -15
            at = {k: by_values(name, list(mpmath.svd_r(xm + k * h * em, compute_uv=False))) for k in (-2, -1, 1, 2)}
            expected = float((at[2] - 2 * at[1] + 2 * at[-1] - at[-2]) / (2 * h**3))

        def slope(f, e=e):
            return lambda v: arrmb.jvp(f, (v,), (e,))[1]

        third = slope(slope(slope(NORMS[name])))(x)
        assert abs(third - expected) <= 1e-12 * abs(expected)


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("values", [(1, 1, 1), (2, 2, 0), (0.5, 0.5 - 1e-10, 0)])
def test_schatten_4_in_closed_form(complex, values):
    """(tr (X^H X)²)^(1/4), by products alone."""
    d = Draw(4, complex=complex)
    x, e = d.with_singular_values(4, 3, values), d.normal(4, 3)

    def closed(x):
        gram = H(x) @ x
        return linalg.vector_norm(gram) ** 0.5

    for f in (arrmb.grad, lambda f: lambda x: arrmb.hvp(f, (x,), (e,))[0]):
        ours, truth = f(NORMS["Schatten 4"])(x), f(closed)(x)
        assert np.linalg.norm(ours - truth) <= 1e-13 * np.linalg.norm(truth)


@pytest.mark.parametrize("name", ["nuclear", "Schatten 4", "Schatten 1.5", "Frobenius"])
def test_the_hessian_of_a_scaled_identity(name):
    """c I + t W, W the skew 2 x 2 matrix of ones, has both singular values (c² + t²)^½."""
    c, w = 2.0, np.array([[0.0, 1.0], [-1.0, 0.0]])
    curvature = np.sum(arrmb.hvp(NORMS[name], (c * np.eye(2),), (w,))[0] * w)
    p = {"nuclear": 1.0, "Frobenius": 2.0}.get(name) or float(name.split()[1])
    assert curvature == pytest.approx(2 ** (1 / p) / c, rel=1e-13)  # d² of 2^(1/p) (c² + t²)^½


@pytest.mark.parametrize("name", [name for name in NORMS if name != "Schatten 300"])
def test_beside_the_peers(name):
    torch = pytest.importorskip("torch")
    x = Draw(5).with_singular_values(4, 3, [3.0, 2.0, 1.0])
    t = torch.tensor(x, requires_grad=True)
    s = torch.linalg.svdvals(t)
    by_values(name, list(s)).backward()
    np.testing.assert_allclose(arrmb.grad(NORMS[name])(x), t.grad.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize(
    "dtype, scale", [("float64", 1e-150), ("float64", 1e150), ("float32", 1e-30), ("float32", 1e30)]
)
def test_scales(backend, name, dtype, scale):
    """The norm is of degree 1, its gradient 0, its Hessian -1."""
    d = Draw(6)
    x, e = d.with_singular_values(4, 3, [3.0, 2.0, 1.0]), d.normal(4, 3)
    eps = (1e4 if name == "Schatten 300" else 1e3) * np.finfo(dtype).eps  # the power multiplies relative errors by p
    found = []
    for c in (1.0, scale):
        xs, es = backend.put(c * x, dtype), backend.put(c * e, dtype)
        f = NORMS[name]
        parts = [(-1, f(xs)), (-1, arrmb.jvp(f, (xs,), (es,))[0]), (0, arrmb.grad(f)(xs))]
        parts.append((0, arrmb.hvp(f, (xs,), (es,))[0]))
        found.append([c**power * backend.get(v).astype("float64") for power, v in parts])
    for at_one, at_scale in zip(*found):
        assert np.linalg.norm(at_scale - at_one) <= eps * max(np.linalg.norm(at_one), 1.0)


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 5)])
def test_at_zero_the_gradient_is_zero(backend, name, shape):
    zero = backend.put(np.zeros(shape), "float64")
    assert not np.any(backend.get(arrmb.grad(NORMS[name])(zero)))
    assert np.all(np.isfinite(backend.get(arrmb.hvp(NORMS[name], (zero,), (zero + 1.0,))[0])))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from([(1, 1), (2, 3), (3, 2), (4, 4), (6, 4)]),
    exponents=st.lists(st.sampled_from([-12.0, -12.0, -3.0, 0.0, 0.0, 4.0, 12.0, -math.inf]), min_size=4, max_size=4),
    gap=st.sampled_from([0.0, 1e-16, 1e-13, 1e-8, 1e-3]),
    complex=st.booleans(),
)
def test_any_spectrum(shape, exponents, gap, complex):
    """<G, X> = |X| for every subgradient G of a norm, whose dual norm is at most one: at kinks too."""
    values = sorted([10.0**e * (1.0 - i * gap) for i, e in enumerate(exponents[: min(shape)])], reverse=True)
    x = Draw(9, complex=complex).with_singular_values(*shape, values)
    for name, f in NORMS.items():
        if name == "smallest" or (name.startswith("Ky Fan") and int(name[-1]) > min(shape)):
            continue
        value, gradient = f(x), arrmb.grad(f)(x)
        inner = np.sum(np.real(np.conj(gradient) * x))
        assert abs(inner - value) <= 1e-12 * value, name
        s, p = np.linalg.svd(gradient)[1], name.rpartition(" ")[2]
        largest = {"nuclear": s[0], "spectral": sum(s), "Frobenius": np.linalg.norm(s), "inf": sum(s), "1": s[0]}
        dual = max(s[0], sum(s) / int(p)) if name.startswith("Ky Fan") else largest.get(p, 0.0)
        assert dual <= 1.0 + 1e-12, name


def test_subgradients_at_kinks():
    x = Draw(7).with_singular_values(4, 3, [2.0, 2.0, 0.0])
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    within = u[:, :2] @ vh[:2]
    for name, share in {"nuclear": 1.0, "spectral": 0.5, "smallest": 0.0, "Ky Fan 3": 1.0, "Schatten inf": 0.5}.items():
        np.testing.assert_allclose(arrmb.grad(NORMS[name])(x), share * within, atol=1e-14)


@pytest.mark.parametrize("ord", [2, 3, 1.5])
def test_vectors_that_are_not_finite_or_empty(backend, ord):
    x = backend.put(np.array([[math.inf, 1.0], [math.nan, 1.0], [3.0, 0.0]]), "float64")
    f = lambda x: linalg.vector_norm(x, axis=-1, ord=ord)  # noqa: E731
    for y in (f(x), arrmb.vjp(f, x)[0]):
        np.testing.assert_array_equal(backend.get(y), [math.inf, math.nan, 3.0])
    for shape, axis in (((0, 2), 0), ((2, 0), 0), ((0,), None)):
        empty = backend.put(np.zeros(shape), "float64")
        for keep in (False, True):
            g = lambda x, a=axis, k=keep: linalg.vector_norm(x, axis=a, keepdims=k, ord=ord)  # noqa: E731
            truth = np.linalg.norm(np.zeros(shape), axis=axis, keepdims=keep)
            for y in (g(empty), arrmb.jvp(g, (empty,), (empty,))[0]):
                np.testing.assert_array_equal(backend.get(y), truth)


@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("ord", [0.5, 0.9, 1.5, 1.9, 3, 2.5, -1, -2, -0.5])
def test_zero_entries_of_a_vector(backend, ord, complex):
    """Of ord > 0 the derivatives of the vector without its zeros, with 0 in their place; of ord < 0 zeros."""
    d = Draw(4, complex)
    dtype = "complex128" if complex else "float64"
    full, e = d.normal(3, 5), d.normal(3, 5)
    x = full * np.array([[1.0, 0.0, 1.0, 0.0, 1.0], [0.0] * 5, [1.0] * 5])
    f = lambda x: linalg.vector_norm(x, axis=-1, ord=ord)  # noqa: E731
    loss = lambda x: arrmb.namespace(x).sum(f(x) ** 2)  # noqa: E731
    put = lambda v: backend.put(v, dtype)  # noqa: E731
    gradient = backend.get(arrmb.grad(loss)(put(x)))
    change = backend.get(arrmb.hvp(loss, (put(x),), (put(e),))[0])
    value = backend.get(arrmb.jvp(f, (put(x),), (put(e),))[0])
    part = np.array([0, 2, 4])
    truths = [(2, slice(None), x[2], e[2])] + ([(0, part, x[0, part], e[0, part])] if ord > 0 else [])
    expected = np.zeros((3, *x.shape), dtype=dtype)
    for row, at, y, dy in truths:  # dense vectors, with plain powers
        size = lambda v: arrmb.namespace(v).sum(arrmb.namespace(v).abs(v) ** ord) ** (1.0 / ord)  # noqa: E731
        expected[0, row, 0] = size(y)
        expected[1, row, at] = arrmb.grad(lambda v, size=size: size(v) ** 2)(y)
        expected[2, row, at] = arrmb.hvp(lambda v, size=size: size(v) ** 2, (y,), (dy,))[0]
    np.testing.assert_allclose(value, np.real(expected[0, :, 0]), rtol=1e-13)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(change, expected[2], rtol=1e-11, atol=1e-11)


def test_a_batch_with_kinks_beside_regular_matrices():
    d = Draw(8)
    x = np.stack([d.with_singular_values(4, 3, s) for s in ([3.0, 2.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0])])
    for f in NORMS.values():
        whole = arrmb.grad(lambda x, f=f: arrmb.namespace(x).sum(f(x)))(x)
        for i in range(3):
            np.testing.assert_allclose(whole[i], arrmb.grad(f)(x[i]), atol=1e-14)


def test_errors():
    x = Draw(1).normal(5, 3)
    for f, match in {
        lambda: linalg.ky_fan_norm(x, 0): r"ky_fan_norm: k must be an integer from 1 to min\(m, n\) = 3, got 0",
        lambda: linalg.ky_fan_norm(x, 4): "ky_fan_norm: k must be an integer from 1 .* got 4",
        lambda: linalg.ky_fan_norm(x[0], 1): r"ky_fan_norm: x must have shape",
        lambda: linalg.schatten_norm(x, 0.5): "schatten_norm: p must be at least 1, .* got 0.5",
        lambda: linalg.schatten_norm(x, math.nan): "schatten_norm: p must be a Python number, got NaN",
        lambda: linalg.schatten_norm(np.full((2, 2), np.nan), 3): "schatten_norm: x has NaN or inf",
        lambda: linalg.ky_fan_norm(np.full((2, 2), np.nan), 1): "ky_fan_norm: x has NaN or inf",
    }.items():
        with pytest.raises(ValueError, match=match):
            f()
    for p in ("nuc", True, None):
        with pytest.raises(TypeError, match=f"schatten_norm: p must be a Python number, got {type(p).__name__}"):
            linalg.schatten_norm(x, p)
    with pytest.raises(TypeError, match="ky_fan_norm: x has dtype int64"):
        linalg.ky_fan_norm(np.ones((2, 2), dtype=np.int64), 1)


def test_orders_and_axes_that_are_none(backend):
    x = backend.put(Draw(1).normal(4, 3), "float64")
    traced = lambda f: arrmb.grad(lambda t: arrmb.namespace(t).sum(f(t)))(backend.put(np.asarray(3.0), "float64"))  # noqa: E731
    for name in ("vector_norm", "matrix_norm"):
        f = getattr(linalg, name)
        for wrong in (None, True, 1j):
            with pytest.raises(TypeError, match=f"^{name}: ord must be a Python number, got {type(wrong).__name__}"):
                f(x, ord=wrong)
        with pytest.raises(ValueError, match=f"^{name}: ord must be .*[nN]a[nN]"):
            f(x, ord=math.nan)
        with pytest.raises(TypeError, match=f"^{name}: ord is a constant and has no derivative: pass a Python number"):
            traced(lambda t, f=f: f(x, ord=t))
    with pytest.raises(TypeError, match=r"^vector_norm: ord must be a Python number, got str"):
        linalg.vector_norm(x, ord="a")
    with pytest.raises(TypeError, match=r"^schatten_norm: p is a constant .* xp\.sum\(svdvals\(x\) \*\* p"):
        traced(lambda t: linalg.schatten_norm(x, t))
    with pytest.raises(TypeError, match=r"^ky_fan_norm: k is a constant and has no derivative: pass a Python int"):
        traced(lambda t: linalg.ky_fan_norm(x, t))
    for wrong in (1.0, True, "a"):
        with pytest.raises(TypeError, match=r"^ky_fan_norm: k must be a Python int"):
            linalg.ky_fan_norm(x, wrong)
    for run in (lambda f: f(x), lambda f: arrmb.vjp(f, x)):
        for axis in (2, -3, (0, 5)):
            with pytest.raises(ValueError, match=r"^vector_norm: axis -?\d is none of x, which has shape \(4, 3\)"):
                run(lambda x, a=axis: linalg.vector_norm(x, axis=a))
        with pytest.raises(TypeError, match=r"^vector_norm: axis must be a Python int, got float"):
            run(lambda x: linalg.vector_norm(x, axis=1.0))


def test_extremes_of_nothing(backend):
    empty = backend.put(np.zeros((2, 0, 3)), "float64")
    for run in (lambda f: f(empty), lambda f: arrmb.vjp(f, empty)[0]):
        for ord in (math.inf, -math.inf, -1):
            with pytest.raises(ValueError, match=r"^vector_norm: x has no entries, shape \(2, 0, 3\), and ord="):
                run(lambda x, o=ord: linalg.vector_norm(x, axis=1, ord=o))
        for ord in (math.inf, -math.inf):
            with pytest.raises(ValueError, match=r"^matrix_norm: x has no entries, shape \(2, 0, 3\), and ord="):
                run(lambda x, o=ord: linalg.matrix_norm(x, ord=o))
        for ord in ("nuc", 2, -2, 1, -1, "fro"):
            y = run(lambda x, o=ord: linalg.matrix_norm(x, ord=o, keepdims=True))
            np.testing.assert_array_equal(backend.get(y), np.zeros((2, 1, 1)))


def test_a_learnable_order_by_the_remedy_of_the_message():
    for x in (Draw(3).normal(4, 3), Draw(3).with_singular_values(4, 3, [2.0, 1.0, 1.0])):
        f = lambda x, p: arrmb.namespace(x, p).sum(linalg.svdvals(x) ** p, axis=-1) ** (1.0 / p)  # noqa: E731
        xbar, slope = arrmb.grad(f, argnums=(0, 1))(x, np.asarray(3.0))
        np.testing.assert_allclose(xbar, arrmb.grad(lambda x: linalg.schatten_norm(x, 3.0))(x), atol=1e-13)
        difference = (linalg.schatten_norm(x, 3.0 + 1e-6) - linalg.schatten_norm(x, 3.0 - 1e-6)) / 2e-6
        np.testing.assert_allclose(slope, difference, rtol=1e-7)
