"""What goes wrong in engines like this one: one test for each pitfall that prototypes fell into."""

import copy
import gc
import pickle
import time
import tracemalloc
import weakref

import array_api_compat
import numpy as np
import pytest

import arrmb
from arrmb._xp import device, raw
from arrmb.tape.core import Op
from arrmb.testing import check_grads


def cube(x):
    xp = arrmb.namespace(x)
    return xp.sum(x * x * x)


def get(x):
    return float(np.asarray(x))


# 1


def test_second_derivative_goes_through_saved_values(backend):
    """exp saves its own result: a second derivative that takes it for a constant loses half of the terms."""
    x = backend.put(np.asarray([0.3, -0.7]), "float64")
    d = backend.put(np.asarray([1.0, 2.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        y = xp.exp(x * x)
        return xp.sum(y * y)

    v = backend.get(x)
    expected = (4 + 16 * v**2) * np.exp(2 * v**2) * backend.get(d)
    np.testing.assert_allclose(backend.get(arrmb.hvp(f, (x,), (d,))[0]), expected, rtol=1e-13)

    def slope(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.multiply(arrmb.grad(f)(x), d))

    np.testing.assert_allclose(backend.get(arrmb.grad(slope)(x)), expected, rtol=1e-13)


# 2: ties at second order are the business of the spectral ops; here, that of max and abs


def test_second_derivative_at_ties_of_piecewise_linear_ops_is_zero(backend):
    x = backend.put(np.asarray([1.0, 1.0, 0.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        return xp.max(x) + xp.sum(xp.abs(x)) + xp.sum(xp.maximum(x, xp.flip(x)))

    h = arrmb.jacobian(arrmb.grad(f))(x)
    np.testing.assert_array_equal(backend.get(h), np.zeros((3, 3)))


# 3


def test_perturbations_are_not_confused(backend):
    """d/dx [x · d/dy (x + y)] is 1; with one tag for both derivatives it comes out as 2."""
    one = backend.put(np.asarray(1.0), "float64")

    def by_reverse(f):
        return arrmb.grad(f)

    def by_forward(f):
        return lambda x: arrmb.jvp(f, (x,), (one,))[1]

    for outer in (by_reverse, by_forward):
        for inner in (by_reverse, by_forward):
            assert get(backend.get(outer(lambda x, inner=inner: x * inner(lambda y: x + y)(one))(one))) == 1.0
            assert get(backend.get(outer(lambda x, inner=inner: x * inner(lambda y: x * y * y)(x))(one))) == 6.0


# 4


def test_namespace_of_traced_and_raw_arrays_together(backend):
    x = backend.put(np.asarray([1.0, 2.0]), "float64")
    w = backend.put(np.asarray([3.0, 5.0]), "float64")

    def f(x):
        assert arrmb.namespace(x, w) is arrmb.namespace(w, x) is x.__array_namespace__()
        assert array_api_compat.array_namespace(x, w, 2.0, None) is x.__array_namespace__()
        array_api_compat.array_namespace(w, x)  # finds one backend too: the first one's namespace
        xp = arrmb.namespace(x, w)
        lifted = xp.asarray(w)
        return (
            xp.sum(xp.multiply(w, x)) + xp.sum(xp.multiply(x, w)) + xp.sum(x * w) + xp.sum(lifted * x) + xp.vecdot(w, x)
        )

    np.testing.assert_array_equal(backend.get(arrmb.grad(f)(x)), [15.0, 25.0])


def test_reflected_operators(backend):
    """The raw operand on the left: NumPy and PyTorch defer; array-api-strict refuses, and the namespace is the way."""
    x = backend.put(np.asarray([1.1, 2.2]), "float64")
    w = backend.put(np.asarray([3.0, 5.0]), "float64")

    def f(x, adopt=lambda xp, w: w):
        xp = arrmb.namespace(x)
        v = adopt(xp, w)
        return xp.sum(v * x + (v - x) / (v + x) + v**x + v @ x + v % x)

    if backend.name == "strict":
        with pytest.raises(TypeError):
            arrmb.grad(f)(x)
    else:
        check_grads(f, (x,))
    check_grads(lambda x: f(x, lambda xp, w: xp.asarray(w)), (x,))


def test_numpy_cannot_take_a_traced_array_apart():
    x = np.asarray([1.0, 2.0])
    for f in (
        np.asarray,
        np.array,
        np.sum,
        np.exp,
        lambda x: np.add(x, x),
        float,
        complex,
        int,
        lambda x: np.from_dlpack(x),
    ):
        with pytest.raises((TypeError, BufferError)):
            arrmb.grad(lambda x, f=f: (f(x), arrmb.namespace(x).sum(x))[1])(x)
    with pytest.raises(TypeError, match="cut its derivative"):
        arrmb.grad(lambda x: np.asarray(x))(x)
    with pytest.raises(TypeError, match="cannot become a pickle"):
        arrmb.grad(lambda x: pickle.dumps(x))(x)
    assert arrmb.tape.core.Traced.__array_ufunc__ is None
    # an operator of a NumPy scalar or array defers, and makes no array of objects
    gradient = arrmb.grad(lambda x: arrmb.namespace(x).sum(np.float64(2.0) * x + np.asarray([1.0, 3.0]) * x))(x)
    np.testing.assert_array_equal(gradient, [3.0, 5.0])
    assert gradient.dtype == np.float64


# 5


def test_promotion_is_the_backends_own_and_float32_is_kept(backend):
    x = backend.put(np.asarray([[1.0, 2.0], [0.5, 4.0]]), "float32")
    scalar = backend.put(np.asarray(0.7), "float32")

    def f(x, s):
        xp = arrmb.namespace(x, s)
        y = xp.mean(x * s + 2.0 * x - 1, axis=0, keepdims=True) / (s + 1.0) + x**2 + 0.5**x
        y = xp.where(y > 1.0, y, 0.0) + xp.clip(y, 0.0, 3.0) + xp.std(y, axis=1, keepdims=True)
        return xp.log(xp.sum(xp.maximum(y, 1.0) @ xp.matrix_transpose(y)))

    value, gradients = arrmb.value_and_grad(f, argnums=(0, 1))(x, scalar)
    second = arrmb.hvp(f, (x, scalar), (x, scalar))
    for v, like in zip((value, *gradients, *second), (scalar, x, scalar, x, scalar)):
        assert v.dtype == like.dtype
        assert tuple(v.shape) == tuple(like.shape)
        assert device(v) == device(like)


def test_mixed_precision_gives_each_argument_its_own_dtype(backend):
    x = backend.put(np.asarray([1.0, 2.0]), "float32")
    y = backend.put(np.asarray([[1.0, 2.0], [3.0, 4.0]]), "float64")

    def f(x, y):
        xp = arrmb.namespace(x, y)
        return xp.sum(xp.exp(x * y))

    gx, gy = arrmb.grad(f, argnums=(0, 1))(x, y)
    assert (gx.dtype, gy.dtype) == (x.dtype, y.dtype)
    assert tuple(gx.shape) == (2,)


# 6


def test_updates_leave_the_callers_array_as_it_is(backend):  # more of them: tests/tape/test_updates.py
    x = backend.put(np.asarray([1.0, 2.0]), "float64")

    def f(x):
        y = x
        x += 1.0
        x *= y  # the same array
        return arrmb.namespace(x).sum(x)

    np.testing.assert_array_equal(backend.get(arrmb.grad(f)(x)), [4.0, 6.0])
    np.testing.assert_array_equal(backend.get(x), [1.0, 2.0])


# 7


def test_a_chain_of_100000_ops(recwarn):
    x = np.asarray(1.0)

    def f(x):
        y = x
        for _ in range(50_000):
            y = (y + x) * 0.5
        return y

    assert arrmb.grad(f)(x) == pytest.approx(1.0, abs=1e-12)
    y, pullback = arrmb.vjp(f, x)
    assert pullback(y)[0] == pytest.approx(1.0, abs=1e-12)
    del pullback  # the graph goes without recursion
    assert arrmb.hvp(lambda x: f(x) * x, (x,), (x,))[0] == pytest.approx(2.0, abs=1e-12)


class Block(np.ndarray):
    """A NumPy array that can be watched by weak references."""


def test_graph_is_freed_by_reference_counting():
    gc.collect()
    gc.disable()
    try:
        x = np.zeros(50_000)

        def f(x):
            xp = arrmb.namespace(x)
            for _ in range(20):
                x = xp.sin(x) * x
            return xp.sum(x)

        tracemalloc.start()
        y, pullback = arrmb.vjp(f, x)
        held = tracemalloc.get_traced_memory()[0]
        assert held > 20 * x.nbytes
        del y, pullback
        assert tracemalloc.get_traced_memory()[0] < 0.01 * held
        arrmb.grad(f)(x)
        arrmb.hvp(f, (x,), (x,))
        arrmb.grad(lambda x: arrmb.namespace(x).sum(arrmb.grad(f)(x)))(x)
        arrmb.jacobian(lambda x: f(x)[None])(x)
        assert tracemalloc.get_traced_memory()[0] < 0.01 * held + 3 * x.nbytes
        assert gc.collect() < 100  # what was left for the collector: none of it holds arrays
    finally:
        tracemalloc.stop()
        gc.enable()


def test_grad_frees_what_is_saved_as_it_goes():
    """The gradient's pass consumes the tape: at its end no saved array of the beginning is left from its end."""
    alive = []
    seen = []

    def forward(x):
        saved = np.array(x).view(Block)
        alive.append(weakref.ref(saved))
        return x + 1.0, (saved,)

    def adjoint(saved, ybar):
        seen.append(sum(r() is not None for r in alive))
        return ybar

    step = Op("step", forward, lambda saved, dx: dx, adjoint)

    def f(x):
        for _ in range(10):
            x = step(x)
        return x

    arrmb.grad(f)(np.asarray(1.0))
    assert seen == list(range(10, 0, -1))


# 8


def test_a_recorded_node_costs_microseconds():
    """An upper bound that a slow machine meets as well; `benchmarks/engine.py` has the figures."""
    x = np.asarray([0.1, 0.2, 0.3, 0.4])
    gradient = arrmb.grad(lambda x: chain(arrmb.namespace(x), x))
    chain(np, x), gradient(x)
    numpy, ours = [], []
    for _ in range(50):
        start = time.perf_counter()
        chain(np, x)
        middle = time.perf_counter()
        gradient(x)
        numpy.append(middle - start)
        ours.append(time.perf_counter() - middle)
    assert min(ours) < 20 * min(numpy)  # about 10 when this was written; an engine that dispatches at length needs 30


def chain(xp, x):
    for _ in range(10):
        x = xp.sin(x)
        x = x * 1.5
        x = x + x
        x = xp.tanh(x)
    return xp.sum(x)


# 9


def test_the_namespace_is_a_good_citizen(backend):
    x = backend.put(np.asarray([1.0]), "float64")

    def f(x):
        xp = x.__array_namespace__()
        assert xp.__name__ == arrmb.namespace(raw(x)).__name__
        assert {xp: 1}[x.__array_namespace__()] == 1
        assert xp is x.__array_namespace__(api_version="2024.12")
        assert xp.float64 is raw_xp.float64 and xp.pi == raw_xp.pi
        assert xp.isdtype(x.dtype, "real floating")
        assert xp.result_type(x, raw_xp.float32) == raw_xp.float64
        assert xp.finfo(x.dtype).bits == 64
        with pytest.raises(AttributeError, match="no rule for 'undreamt_of'"):
            xp.undreamt_of  # noqa: B018
        return xp.sum(x)

    raw_xp = arrmb.namespace(x)
    arrmb.grad(f)(x)


def test_a_function_of_the_backend_without_rule_is_named():
    with pytest.raises(AttributeError, match=r"no rule for 'interp'.*numpy.*does"):
        arrmb.grad(lambda x: arrmb.namespace(x).interp(x, x, x))(np.asarray([1.0]))


# 10


@pytest.mark.parametrize(
    "shapes", [((3,), (2, 3)), ((2, 1), (2, 3)), ((), (2, 3)), ((1, 1), (3,)), ((2, 1, 3), (4, 1))]
)
def test_broadcast_cotangents_are_summed(backend, shapes):
    """For rules that know nothing of it: `naive` multiplies and leaves shapes to the engine."""
    naive = Op(
        "naive",
        lambda a, b: (a * b, (a, b)),
        lambda saved, da, db: (0.0 if da is None else da * saved[1]) + (0.0 if db is None else saved[0] * db),
        lambda saved, ybar: (ybar * saved[1], saved[0] * ybar),
    )
    rng = np.random.default_rng(0)
    a, b = (backend.put(rng.standard_normal(s), "float64") for s in shapes)
    ybar = rng.standard_normal(np.broadcast_shapes(*shapes))
    _y, pullback = arrmb.vjp(lambda a, b: naive(a, b) + a, a, b)
    abar, bbar = pullback(backend.put(ybar, "float64"))
    na, nb = backend.get(a), backend.get(b)

    def sum_to(v, shape):
        v = v.sum(axis=tuple(range(v.ndim - len(shape))))
        return v.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)

    for found, expected, shape in ((abar, ybar * (nb + 1), shapes[0]), (bbar, ybar * na, shapes[1])):
        assert tuple(found.shape) == shape
        np.testing.assert_allclose(backend.get(found), sum_to(expected, shape), rtol=1e-13, atol=1e-14)
    check_grads(lambda a, b: naive(a, b) + a, (a, b))


def test_copies_keep_the_derivative():
    """A deep copy of a trace would be another trace, and its derivative zero."""
    x = np.asarray([1.0, 2.0])
    gradient = arrmb.grad(lambda x: arrmb.namespace(x).sum(copy.copy(x) * copy.deepcopy({"x": x})["x"]))(x)
    np.testing.assert_array_equal(gradient, 2 * x)


@pytest.mark.parametrize("wrong", [[1.0, 2.0], (1.0, 2.0)])
def test_a_list_beside_a_traced_array_is_refused_in_words(wrong):
    for f in (lambda x: x * wrong, lambda x: wrong + x):
        with pytest.raises(TypeError, match=r"a traced array meets arrays and numbers, got a (list|tuple): xp.asarray"):
            arrmb.vjp(f, np.ones(2))
