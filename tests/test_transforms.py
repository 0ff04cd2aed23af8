"""grad, value_and_grad, vjp, jvp, hvp, jacobian and debug: nested in any order, over trees, and their errors."""

import collections
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import arrmb
from arrmb._xp import device
from arrmb.tape.core import Traced

# ------------------------------------------------------------------------------------------------------ nesting
# Each transformation of a scalar function of a vector, as another scalar function of a vector: its directional
# derivative. Any three of them in a row are a third derivative, the same one in each order.


def function(x):
    xp = arrmb.namespace(x)
    a = xp.reshape(xp.concat([x, xp.sin(x)]), (2, 3))
    return xp.sum(xp.tanh(a @ xp.matrix_transpose(a)) * xp.exp(0.3 * a[:, :2])) / xp.sum(x * x)


def along(g, d):
    xp = arrmb.namespace(g)
    return xp.sum(xp.multiply(g, d))


def by_grad(f, d):
    return lambda x: along(arrmb.grad(f)(x), d)


def by_value_and_grad(f, d):
    return lambda x: along(arrmb.value_and_grad(lambda x: (f(x), x), has_aux=True)(x)[1], d)


def by_vjp(f, d):
    def g(x):
        y, pullback = arrmb.vjp(f, x)
        return along(pullback(arrmb.namespace(y).ones_like(y))[0], d)

    return g


def by_jvp(f, d):
    return lambda x: arrmb.jvp(f, (x,), (d,))[1]


def by_jacobian(f, d):
    return lambda x: along(arrmb.jacobian(f)(x), d)


def by_columns(f, d):
    """The Jacobian of a function with more outputs than inputs, which is built in forward mode."""

    def tall(t):
        xp = arrmb.namespace(t)
        return xp.stack([f(xp.asarray(x) + t * xp.asarray(d)) for x in (tall.x,) * 2])

    def g(x):
        tall.x = x
        xp = arrmb.namespace(x)
        return xp.sum(arrmb.jacobian(tall)(xp.asarray(0.0, dtype=x.dtype, device=device(x)))) / 2.0

    return g


def by_debug(f, d):
    return by_grad(arrmb.debug(f), d)


WAYS = [by_grad, by_value_and_grad, by_vjp, by_jvp, by_jacobian, by_columns, by_debug]


def point(backend):
    return backend.put(np.asarray([0.4, -0.9, 0.7]), "float64"), backend.put(np.asarray([0.3, 0.5, -1.0]), "float64")


def derivatives():
    """First, second and third derivative of `function` along the direction, by differences in high order."""
    x, d = np.asarray([0.4, -0.9, 0.7]), np.asarray([0.3, 0.5, -1.0])
    t = 0.2 * np.cos(np.pi * (np.arange(24) + 0.5) / 24)
    fit = np.polynomial.Chebyshev.fit(t, [float(function(x + s * d)) for s in t], 20, domain=[-0.2, 0.2])
    return [fit.deriv(k)(0.0) for k in (1, 2, 3)]


@pytest.mark.parametrize(
    "ways",
    [*itertools.product(WAYS, repeat=2), (by_grad,), (by_jvp,)],
    ids=lambda ways: "-".join(w.__name__[3:] for w in ways),
)
def test_first_and_second_derivative_in_any_order(backend, ways):
    x, d = point(backend)
    f = function
    for way in ways:
        f = way(f, d)
    # a polynomial fitted to double precision values: the k-th derivative loses about k digits per 0.2
    assert float(f(x)) == pytest.approx(derivatives()[len(ways) - 1], rel=10.0 ** (-12 + 2 * len(ways)))


@pytest.mark.parametrize(
    "ways", list(itertools.product(WAYS, repeat=3)), ids=lambda ways: "-".join(w.__name__[3:] for w in ways)
)
def test_third_derivative_in_any_order(ways):
    x, d = np.asarray([0.4, -0.9, 0.7]), np.asarray([0.3, 0.5, -1.0])
    f = function
    for way in ways:
        f = way(f, d)
    assert float(f(x)) == pytest.approx(third(), rel=1e-12)


_third = []


def third():
    if not _third:
        x, d = np.asarray([0.4, -0.9, 0.7]), np.asarray([0.3, 0.5, -1.0])
        value = float(by_jvp(by_jvp(by_jvp(function, d), d), d)(x))
        assert value == pytest.approx(derivatives()[2], rel=1e-5)
        _third.append(value)
    return _third[0]


def test_hvp_and_hessian_are_one(backend):
    x, d = point(backend)
    product = backend.get(arrmb.hvp(function, (x,), (d,))[0])
    hessian = backend.get(arrmb.jacobian(arrmb.grad(function))(x))
    np.testing.assert_allclose(hessian @ backend.get(d), product, rtol=1e-12)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12, atol=1e-13)


def test_jvp_of_hvp_and_grad_of_hvp(backend):
    x, d = point(backend)

    def curvature(x):
        return along(arrmb.hvp(function, (x,), (d,))[0], d)

    assert float(by_jvp(curvature, d)(x)) == pytest.approx(third(), rel=1e-12)
    assert float(by_grad(curvature, d)(x)) == pytest.approx(third(), rel=1e-12)


# -------------------------------------------------------------------------------------------------- the pullback


def test_pullback_may_be_called_again(backend):
    x, d = point(backend)
    y, pullback = arrmb.vjp(lambda x: arrmb.namespace(x).exp(x), x)
    first = backend.get(pullback(d)[0])
    np.testing.assert_array_equal(backend.get(pullback(d)[0]), first)
    np.testing.assert_array_equal(backend.get(pullback(2.0 * d)[0]), 2.0 * first)
    np.testing.assert_allclose(first, backend.get(y) * backend.get(d), rtol=1e-15)


def test_derivative_of_a_pullback_in_its_cotangent(backend):
    """The recorded pass is raw, the cotangent traced by a later trace: the pullback is a function like others."""
    x, d = point(backend)
    _y, pullback = arrmb.vjp(lambda x: arrmb.namespace(x).exp(x) * x, x)

    def f(c):
        xp = arrmb.namespace(c)
        return xp.sum(xp.multiply(pullback(c * c)[0], d))

    expected = 2 * backend.get(d) * backend.get(d) * np.exp(backend.get(x)) * (1 + backend.get(x))
    np.testing.assert_allclose(backend.get(arrmb.grad(f)(d)), expected, rtol=1e-14)
    np.testing.assert_allclose(float(arrmb.jvp(f, (d,), (d,))[1]), np.sum(expected * backend.get(d)), rtol=1e-13)


def test_jvp_of_vjp_of_jvp(backend):
    x, d = point(backend)

    def slope(x):
        return arrmb.jvp(function, (x,), (d,))[1]

    def gradient_of_slope(x):
        y, pullback = arrmb.vjp(slope, x)
        return along(pullback(arrmb.namespace(y).ones_like(y))[0], d)

    assert float(arrmb.jvp(gradient_of_slope, (x,), (d,))[1]) == pytest.approx(third(), rel=1e-12)


def test_tangents_traced_by_an_outer_derivative(backend):
    """`x` is raw, its tangent is traced: the map dx -> dy is linear, and its gradient is the pullback."""
    x, d = point(backend)
    gradient = arrmb.grad(lambda v: arrmb.jvp(function, (x,), (v,))[1])(d)
    np.testing.assert_allclose(backend.get(gradient), backend.get(arrmb.grad(function)(x)), rtol=1e-13)


# ---------------------------------------------------------------------------------------------- kinds of outputs


def test_outputs_that_do_not_depend_on_the_input(backend):
    x, d = point(backend)
    f = lambda x: (d, arrmb.namespace(x).ones_like(x), x > 0.0, x)  # noqa: E731
    y, pullback = arrmb.vjp(f, x)
    assert not any(isinstance(v, Traced) for v in y)
    assert y[3] is x
    bars = tuple(arrmb.namespace(v).ones_like(v) for v in y)
    np.testing.assert_array_equal(backend.get(pullback(bars)[0]), [1.0, 1.0, 1.0])
    y, dy = arrmb.jvp(f, (x,), (d,))
    assert not any(isinstance(v, Traced) for v in (*y, *dy))
    np.testing.assert_array_equal(backend.get(dy[0]), np.zeros(3))
    np.testing.assert_array_equal(backend.get(dy[3]), backend.get(d))
    zero = arrmb.grad(lambda x: arrmb.namespace(x).sum(d))(x)
    np.testing.assert_array_equal(backend.get(zero), np.zeros(3))
    assert device(zero) == device(x)


def test_the_same_output_twice_and_inputs_as_outputs(backend):
    x, d = point(backend)

    def f(x):
        y = arrmb.namespace(x).sin(x)
        return {"a": y, "b": [y, x], "c": x}

    _y, pullback = arrmb.vjp(f, x)
    bar = pullback({"a": d, "b": [d, d], "c": d})[0]
    np.testing.assert_allclose(backend.get(bar), 2 * backend.get(d) * (np.cos(backend.get(x)) + 1), rtol=1e-14)

    def cotangents_of_different_traces(c):
        bar = pullback({"a": d, "b": [c, c], "c": d})[0]
        return arrmb.namespace(bar).sum(bar)

    np.testing.assert_allclose(
        backend.get(arrmb.grad(cotangents_of_different_traces)(d)), np.cos(backend.get(x)) + 1, rtol=1e-14
    )


def test_the_same_argument_twice(backend):
    x, _ = point(backend)
    f = lambda a, b: arrmb.namespace(a).sum(a * a * b)  # noqa: E731
    ga, gb = arrmb.grad(f, argnums=(0, 1))(x, x)
    np.testing.assert_allclose(backend.get(ga), 2 * backend.get(x) ** 2, rtol=1e-15)
    np.testing.assert_allclose(backend.get(gb), backend.get(x) ** 2, rtol=1e-15)


def test_numpy_scalars_are_arrays():
    x = np.float64(3.0)
    y, g = arrmb.value_and_grad(lambda x: x * x * np.float64(2.0))(x)
    assert (y, g) == (18.0, 12.0)
    assert arrmb.grad(lambda x: arrmb.namespace(x).sum(x) ** 2)(np.float32([1.0, 2.0])).dtype == np.float32
    assert arrmb.jacobian(lambda x: x**2)(np.float32(3.0)).dtype == np.float32


def test_a_kept_traced_array_is_noticed():
    kept = []

    def f(x):
        y = arrmb.namespace(x).sin(x)
        kept.append(y)
        return y

    x = np.asarray(1.0)
    arrmb.grad(f)(x)
    arrmb.grad(f)(x)
    with pytest.raises(ValueError, match="leaked"):
        arrmb.grad(lambda x: (arrmb.grad(f)(x), x * kept[-1])[1])(x)


# -------------------------------------------------------------------------------------------------- what f may do


def test_ordinary_code_inside_the_function(backend):
    x, d = point(backend)

    def f(x):
        xp = arrmb.namespace(x)
        assert len(x) == 3 and x.ndim == 1 and x.size == 3 and tuple(x.shape) == (3,) and x.device == device(x)
        a, b, c = x
        total = a - b
        total += c * 2
        total *= 3
        for row in xp.stack([x, x * x]):
            total = total + row[0]
        y = xp.asarray([[a, 2.0 * b], [c, a]])
        mask = x > 0.0
        total = (
            total + xp.sum(x[mask]) + xp.sum(xp.asarray(d)[mask]) + xp.sum(xp.where(mask, x, -x)) + xp.sum(y[..., 0])
        )
        if total > 0:
            total = total + abs(-x[0])
        return total + +x[1] - x[-1]

    # 3(a - b + 2c), a + a², a and c > 0, where: signs, y[:, 0] = (a, c); total > 0: |a|; b - c
    v = backend.get(x)
    expected = np.asarray([3 + 1 + 2 * v[0] + 1 + 1 + 1 + 1, -3 - 1 + 1, 6 + 1 + 1 + 1 - 1])
    np.testing.assert_allclose(backend.get(arrmb.grad(f)(x)), expected, rtol=1e-14)
    np.testing.assert_allclose(float(arrmb.jvp(f, (x,), (d,))[1]), expected @ backend.get(d), rtol=1e-14)


def test_traced_masks_and_indices_on_raw_arrays(backend):
    x, d = point(backend)

    def f(x):
        xp = arrmb.namespace(x)
        if backend.name in ("strict", "torch", "cupy"):  # know no other arrays in an index
            picked = xp.asarray(d)[x > 0.0]
            ordered = xp.take(d, xp.argsort(x))
        else:
            picked = d[x > 0.0]
            ordered = d[xp.argsort(x)]
        return xp.sum(picked) * xp.sum(x) + xp.sum(ordered * x)

    v, w = backend.get(x), backend.get(d)
    expected = w[v > 0].sum() + w[np.argsort(v)]
    np.testing.assert_allclose(backend.get(arrmb.grad(f)(x)), expected, rtol=1e-14)


def test_closures_over_outer_arguments(backend):
    x, d = point(backend)

    def outer(x):
        xp = arrmb.namespace(x)

        def inner(y):
            return xp.sum(xp.multiply(x, y * y))

        return xp.sum(arrmb.grad(inner)(xp.asarray(d)) * x)

    np.testing.assert_allclose(backend.get(arrmb.grad(outer)(x)), 4 * backend.get(x) * backend.get(d), rtol=1e-14)


def test_constants_are_lifted_inside_other_derivatives(backend):
    """A gradient that is zero meets traced arrays in the function around it, on strict backends too."""
    x, _d = point(backend)

    def f(x):
        zero = arrmb.grad(lambda y: arrmb.namespace(y).sum(x))(x)
        y, dy = arrmb.jvp(lambda y: arrmb.namespace(y).ones_like(y), (x,), (x,))
        return arrmb.namespace(x).sum(zero * x + y * x + dy * x)

    np.testing.assert_array_equal(backend.get(arrmb.grad(f)(x)), np.ones(3))


def test_complex_gradient_is_the_direction_of_steepest_ascent(backend):
    z = backend.put(np.asarray([1.0 + 2.0j, -0.5j]), "complex128")
    dz = backend.put(np.asarray([0.3 - 1.0j, 2.0 + 0.1j]), "complex128")

    def f(z):
        xp = arrmb.namespace(z)
        return xp.sum(xp.abs(xp.exp(z)) ** 2) + xp.sum(xp.real(z * z))

    v = backend.get(z)
    g = backend.get(arrmb.grad(f)(z))
    np.testing.assert_allclose(g, 2 * np.abs(np.exp(v)) ** 2 + 2 * np.conj(v), rtol=1e-14)
    slope = float(arrmb.jvp(f, (z,), (dz,))[1])
    assert slope == pytest.approx(float(np.sum(np.real(np.conj(g) * backend.get(dz)))), rel=1e-14)


# -------------------------------------------------------------------------------------------------------- trees

Point = collections.namedtuple("Point", "x y")


@arrmb.tree.dataclass
class Layer:
    weight: object
    bias: object
    name: str = arrmb.tree.static(default="layer")
    size: int = arrmb.tree.static(default=3)

    def __call__(self, x):
        return x @ self.weight + self.bias * float(self.size)


def test_gradients_of_trees(backend):
    rng = np.random.default_rng(0)
    put = lambda *shape: backend.put(rng.standard_normal(shape), "float64")  # noqa: E731
    model = {"first": Layer(put(3, 2), put(2), name="f", size=2), "rest": [Point(put(2), None), (put(), {})]}
    x = put(4, 3)

    def loss(model, x, scale=1.0):
        xp = arrmb.namespace(x, model["first"].weight)
        assert model["first"].name == "f" and model["rest"][0].y is None
        h = model["first"](xp.asarray(x)) * model["rest"][0].x + model["rest"][1][0]
        return xp.mean(h * h) * scale, {"h": h, "n": 7, "name": "aux", "none": None}

    (_value, aux), g = arrmb.value_and_grad(loss, has_aux=True)(model, x, scale=2.0)
    assert (
        g["first"].name == "f" and g["first"].size == 2 and g["rest"][0].y is None and isinstance(g["rest"][0], Point)
    )
    assert not isinstance(aux["h"], Traced) and tuple(aux["h"].shape) == (4, 2)
    assert (aux["n"], aux["name"], aux["none"]) == (7, "aux", None)
    leaves, structure = arrmb.tree.flatten(g)
    assert structure == arrmb.tree.flatten(model)[1]
    d = structure.unflatten([put(*v.shape) for v in leaves])
    slope = arrmb.jvp(lambda m: loss(m, x, 2.0)[0], (model,), (d,))[1]
    inner = sum(float(np.sum(backend.get(a) * backend.get(b))) for a, b in zip(leaves, arrmb.tree.flatten(d)[0]))
    assert float(slope) == pytest.approx(inner, rel=1e-13)
    second = arrmb.hvp(lambda m: loss(m, x)[0], (model,), (d,))[0]
    assert arrmb.tree.flatten(second)[1] == structure

    g1, aux = arrmb.grad(loss, argnums=1, has_aux=True)(model, x)
    assert tuple(g1.shape) == (4, 3) and aux["n"] == 7
    both = arrmb.grad(loss, argnums=(1, 0), has_aux=True)(model, x)[0]
    np.testing.assert_array_equal(backend.get(both[0]), backend.get(g1))
    assert arrmb.tree.flatten(both[1])[1] == structure
    single = arrmb.grad(loss, argnums=(1,), has_aux=True)(model, x)[0]
    assert isinstance(single, tuple) and len(single) == 1


def test_aux_traced_by_an_outer_derivative(backend):
    x, _ = point(backend)

    def outer(x):
        g, aux = arrmb.grad(lambda y: (arrmb.namespace(y).sum(y * y * y), y * y), has_aux=True)(x)
        assert isinstance(aux, Traced)
        return arrmb.namespace(x).sum(g + aux)

    np.testing.assert_allclose(backend.get(arrmb.grad(outer)(x)), 8 * backend.get(x), rtol=1e-14)


def test_jacobian_of_trees(backend):
    x, d = point(backend)
    f = lambda t: {"s": arrmb.namespace(t["a"]).sum(t["a"] * t["b"][0]), "v": (t["a"] ** 2,)}  # noqa: E731
    tree = {"a": x, "b": [d]}
    for extra in (0, 7):  # by rows; by columns where the outputs are more

        def g(t, extra=extra):
            return f(t), arrmb.namespace(t["a"]).tile(t["a"], (extra,)) if extra else ()

        j = arrmb.jacobian(g)(tree)[0]
        np.testing.assert_array_equal(backend.get(j["s"]["a"]), backend.get(d))
        np.testing.assert_array_equal(backend.get(j["s"]["b"][0]), backend.get(x))
        np.testing.assert_array_equal(backend.get(j["v"][0]["a"]), np.diag(2 * backend.get(x)))
        np.testing.assert_array_equal(backend.get(j["v"][0]["b"][0]), np.zeros((3, 3)))


def test_jacobian_of_empty_arrays(backend):
    x = backend.put(np.zeros((0, 2)), "float64")
    assert tuple(arrmb.jacobian(lambda x: arrmb.namespace(x).sum(x, axis=0))(x).shape) == (2, 0, 2)
    assert tuple(arrmb.jacobian(lambda x: x * 2.0)(x).shape) == (0, 2, 0, 2)


# ------------------------------------------------------------------------------------------------------- errors


def test_errors_of_arguments(backend):
    x, _ = point(backend)
    xp = backend.xp
    f = lambda x: arrmb.namespace(x).sum(x)  # noqa: E731
    for bad, message in {
        "integers": (xp.asarray([1, 2, 3]), "int64"),
        "booleans": (xp.asarray([True]), "bool"),
        "float": (2.0, "float.*asarray"),
        "string": ({"a": "text"}, "str"),
        "mixed": ({"a": x, "b": xp.asarray([1])}, "int64"),
    }.values():
        for run in (
            lambda v: arrmb.grad(f)(v),
            lambda v: arrmb.vjp(f, v),
            lambda v: arrmb.jvp(f, (v,), (v,)),
            lambda v: arrmb.jacobian(f)(v),
            lambda v: arrmb.hvp(f, (v,), (v,)),
        ):
            with pytest.raises(TypeError, match=message):
                run(bad)


def test_errors_of_results(backend):
    x, _ = point(backend)
    for f, message in [
        (lambda x: x, r"shape \(3,\).*xp\.sum"),
        (lambda x: arrmb.namespace(x).sum(x, keepdims=True), r"shape \(1,\)"),
        (lambda x: (arrmb.namespace(x).sum(x),) * 2, "2 leaves"),
        (lambda x: None, "0 leaves"),
        (lambda x: 3.0, "float"),
        (lambda x: arrmb.namespace(x).argmax(x), "int64"),
        (lambda x: arrmb.namespace(x).sum(arrmb.namespace(x).astype(x, arrmb.namespace(x).complex128)), "complex128"),
    ]:
        with pytest.raises(TypeError, match=message):
            arrmb.grad(f)(x)
    with pytest.raises(TypeError, match="pair"):
        arrmb.grad(lambda x: arrmb.namespace(x).sum(x), has_aux=True)(x)
    with pytest.raises(TypeError, match="jacobian: real arrays only"):
        arrmb.jacobian(lambda x: arrmb.namespace(x).astype(x, arrmb.namespace(x).complex128))(x)
    for argnums in (1, (0, 2), -1):
        with pytest.raises(ValueError, match="argnums"):
            arrmb.grad(lambda x: arrmb.namespace(x).sum(x), argnums=argnums)(x)


def test_errors_of_cotangents_and_tangents(backend):
    x, d = point(backend)
    _y, pullback = arrmb.vjp(lambda x: {"a": x * x}, x)
    with pytest.raises(ValueError, match="cotangent: the structure"):
        pullback(d)
    with pytest.raises(ValueError, match="cotangent: the structure"):
        pullback({"b": d})
    with pytest.raises(ValueError, match=r"cotangent: leaf 0 has shape \(2,\)"):
        pullback({"a": d[:2]})
    with pytest.raises(TypeError, match=r"cotangent: the leaves must be arrays, got float: xp\.asarray\(1\.0\)"):
        pullback({"a": 1.0})
    for tangents, message in [
        ((d[:1],), "tangent: leaf 0"),
        ((d, d), "tangent: the structure"),
        (([d],), "tangent: the structure"),
    ]:
        with pytest.raises(ValueError, match=message):
            arrmb.jvp(lambda x: x, (x,), tangents)
        with pytest.raises(ValueError, match=message):
            arrmb.hvp(lambda x: arrmb.namespace(x).sum(x), (x,), tangents)


def test_errors_of_mixed_backends():
    torch = pytest.importorskip("torch")
    x, t = np.ones(3), torch.ones(3, dtype=torch.float64)
    for run in (
        lambda: arrmb.grad(lambda a, b: arrmb.namespace(a).sum(a * b), argnums=(0, 1))(x, t),
        lambda: arrmb.grad(lambda a: arrmb.namespace(a).sum(a * t))(x),
        lambda: arrmb.grad(lambda a: arrmb.namespace(a).sum(arrmb.namespace(a).multiply(t, a)))(x),
        lambda: arrmb.vjp(lambda a: a * 2.0, x)[1](t),
        lambda: arrmb.jvp(lambda a: a * 2.0, (x,), (t,)),
    ):
        with pytest.raises(TypeError, match=r"different backends.*numpy.*torch|different backends.*torch.*numpy"):
            run()


def test_cotangents_take_the_dtype_of_the_result(backend):
    x = backend.put(np.asarray([1.0, 2.0]), "float32")
    wide = backend.put(np.asarray([1.0, 2.0]), "float64")
    _, pullback = arrmb.vjp(lambda x: x * x, x)
    assert pullback(wide)[0].dtype == x.dtype
    assert arrmb.jvp(lambda x: x * x, (x,), (wide,))[1].dtype == x.dtype


# ------------------------------------------------------------------------------------------------------ threads


def test_gradients_in_many_threads_do_not_mix():
    barrier = threading.Barrier(8, timeout=30)

    def work(seed):
        x = np.random.default_rng(seed).standard_normal(3)
        barrier.wait()
        results = []
        for _ in range(5):
            results.append((arrmb.grad(function)(x), arrmb.hvp(function, (x,), (x,))[0]))
        return x, results

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    for x, results in found:
        expected = arrmb.grad(function)(x), arrmb.hvp(function, (x,), (x,))[0]
        for g, h in results:
            # not to the bit: how products round depends on how many threads the others left
            np.testing.assert_allclose(g, expected[0], rtol=1e-13)
            np.testing.assert_allclose(h, expected[1], rtol=1e-13)


def test_threads_inside_one_traced_function():
    x = np.linspace(0.1, 2.0, 16)

    def branch(v):
        xp = arrmb.namespace(v)
        for _ in range(50):
            v = xp.sin(v) + v * 0.5
        return v * arrmb.grad(lambda u: u * u * u)(v)

    def f(x, map=map):
        xp = arrmb.namespace(x)
        return xp.sum(xp.stack(list(map(branch, [x[i] for i in range(16)]))))

    expected = arrmb.grad(f)(x)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            np.testing.assert_array_equal(arrmb.grad(lambda x: f(x, pool.map))(x), expected)
        np.testing.assert_allclose(arrmb.jvp(lambda x: f(x, pool.map), (x,), (x,))[1], np.sum(expected * x), rtol=1e-12)


def test_one_pullback_in_many_threads():
    x = np.asarray([0.1, 0.7, 1.3])
    _, pullback = arrmb.vjp(lambda x: arrmb.namespace(x).exp(x) * x, x)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: pullback(np.full(3, float(k)))[0], range(32)))
    for k, bar in enumerate(found):
        np.testing.assert_allclose(bar, k * np.exp(x) * (1 + x), rtol=1e-14)


# -------------------------------------------------------------------------------------------------------- debug


def test_debug_names_the_op(backend):
    x, _d = point(backend)

    def f(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.log(x) * 2.0)

    with np.errstate(all="ignore"):
        for run in (
            arrmb.debug(f),
            arrmb.debug(arrmb.grad(f)),
            arrmb.grad(arrmb.debug(f)),
            arrmb.jacobian(arrmb.debug(f)),
        ):
            with pytest.raises(
                FloatingPointError, match=r"op 'log' is not finite \(1 NaN and 0 inf of 3 entries.*argument 0: finite"
            ):
                run(x)
    good = backend.put(np.abs(backend.get(x)), "float64")
    plain = arrmb.value_and_grad(f)(good)
    for run in (arrmb.value_and_grad(arrmb.debug(f)), arrmb.debug(arrmb.value_and_grad(f))):
        for v, e in zip(run(good), plain):
            assert not isinstance(v, Traced)
            np.testing.assert_array_equal(backend.get(v), backend.get(e))


def test_debug_of_the_gradient_looks_into_adjoints(backend):
    zero = backend.put(np.asarray([0.0, 1.0]), "float64")
    f = lambda x: arrmb.namespace(x).sum(arrmb.namespace(x).sqrt(x))  # noqa: E731
    assert float(arrmb.debug(f)(zero)) == 1.0
    with np.errstate(all="ignore"):
        assert np.isinf(backend.get(arrmb.grad(arrmb.debug(f))(zero))[0])  # the forward pass is finite
        with pytest.raises(FloatingPointError, match="op 'divide' is not finite"):
            arrmb.debug(arrmb.grad(f))(zero)


def test_debug_takes_trees_and_keywords():
    x = np.asarray([1.0, 2.0])

    def f(tree, *, n, flag):
        return {"y": tree["a"] * n, "flag": flag, "x": tree["a"], "i": tree["i"]}

    y = arrmb.debug(f)({"a": x, "i": np.asarray([1])}, n=2, flag="up")
    assert y["flag"] == "up" and not isinstance(y["y"], Traced) and y["x"] is x
    np.testing.assert_array_equal(y["y"], [2.0, 4.0])


@pytest.mark.parametrize("f", [lambda x: np.sum(np.exp(x)), lambda x: np.maximum(x, 0.0)])
def test_a_function_of_numpy_on_a_traced_array_is_refused_in_words(f):
    x = np.ones(2)
    for run in (lambda: arrmb.vjp(f, x), lambda: arrmb.jvp(f, (x,), (x,)), lambda: arrmb.grad(f)(x)):
        with pytest.raises(TypeError, match=r"a function of numpy met a traced array: .* xp = arrmb.namespace"):
            run()


def test_functions_and_argnums_that_are_none():
    x = np.ones(3)
    for name, run in {
        "grad": lambda f: arrmb.grad(f),
        "grad ": lambda f: arrmb.value_and_grad(f),
        "jacobian": lambda f: arrmb.jacobian(f),
        "vjp": lambda f: arrmb.vjp(f, x),
        "jvp": lambda f: arrmb.jvp(f, (x,), (x,)),
        "hvp": lambda f: arrmb.hvp(f, (x,), (x,)),
    }.items():
        with pytest.raises(TypeError, match=f"^{name.strip()}: f must be a function, got ndarray"):
            run(x)
    for argnums in ("x", True, 0.0, (0, "x"), [0], None):
        with pytest.raises(TypeError, match=r"^grad: argnums must be an int or a tuple of ints, got"):
            arrmb.grad(lambda x: arrmb.namespace(x).sum(x), argnums=argnums)
    assert np.array_equal(arrmb.grad(lambda x: arrmb.namespace(x).sum(x), argnums=np.int64(0))(x), x)


def test_imaginary_parts_are_not_lost(backend):
    x = backend.put(np.ones((2, 2)), "float64")
    z = backend.put(1j * np.ones((2, 2)), "complex128")
    f = lambda x: x * x  # noqa: E731
    with pytest.raises(TypeError, match=r"^tangent: leaf 0 is complex, its counterpart in the arguments is real"):
        arrmb.jvp(f, (x,), (z,))
    with pytest.raises(TypeError, match=r"^cotangent: leaf 0 is complex, its counterpart in the result is real"):
        arrmb.vjp(f, x)[1](z)
    assert arrmb.jvp(f, (z,), (x,))[1].dtype == z.dtype  # a real tangent of a complex array is one
    with pytest.raises(ValueError, match=r"leaf 0 has shape \(2,\), its counterpart in the arguments has \(2, 2\)"):
        arrmb.jvp(f, (x,), (x[0, :],))
    with pytest.raises(TypeError, match=r"^cotangent: the leaves must be arrays, got float: xp\.asarray\(1\.0\)"):
        arrmb.vjp(f, x)[1](1.0)
    with pytest.raises(TypeError, match=r"^tangent: the leaves must be arrays, got float: xp\.asarray\(1\.0\)"):
        arrmb.jvp(f, (x,), (1.0,))


def test_formats_of_traced_arrays():
    x = np.asarray(2.0)
    with pytest.raises(TypeError, match=r"cannot be formatted with '\.3f': return the value .*has_aux.*arrmb\.debug"):
        arrmb.grad(lambda x: (f"{x:.3f}", x * x)[1])(x)
    texts = []
    arrmb.grad(lambda x: (texts.append(f"{x}"), x * x)[1])(x)
    assert texts[0].startswith("Traced(level=")


def test_tensors_that_require_grad_are_refused():
    """PyTorch would record what is inside, with its own rules: NaN at ties."""
    torch = pytest.importorskip("torch")
    x = torch.eye(3, dtype=torch.float64, requires_grad=True)
    with pytest.raises(TypeError, match=r"logmh: x is a tensor that requires grad.* arrmb.grad, of x.detach\(\)"):
        arrmb.linalg.logmh(x)
    with pytest.raises(TypeError, match=r"argument: a tensor that requires grad.* pass x.detach\(\)"):
        arrmb.grad(lambda x: arrmb.linalg.logdeth(x))(x)
    with torch.no_grad():
        assert float(arrmb.linalg.logdeth(x)) == 0.0
    assert not arrmb.grad(lambda x: arrmb.linalg.logdeth(x))(x.detach()).requires_grad


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_arrays_that_are_not_plain_are_refused():
    with pytest.raises(TypeError, match=r"expected a plain array, got .*matrix.*use np.asarray"):
        arrmb.linalg.inv(np.matrix(np.eye(2)))
    with pytest.raises(TypeError, match=r"expected a plain array, got numpy.ma.*fill the masked entries"):
        arrmb.linalg.inv(np.ma.masked_array(np.eye(2), np.eye(2) > 0.0))


def test_an_argument_named_twice():
    with pytest.raises(ValueError, match=r"argnums=\(0, 0\) names an argument twice"):
        arrmb.grad(lambda x: arrmb.namespace(x).sum(x), argnums=(0, 0))


@pytest.mark.parametrize("f", [lambda x: arrmb.namespace(x).argmax(x), lambda x: 2.0])
def test_jacobian_of_what_has_no_derivative(f):
    with pytest.raises(TypeError, match=r"jacobian: the result must be of floating-point arrays, got (int|float)"):
        arrmb.jacobian(f)(np.ones(2))
