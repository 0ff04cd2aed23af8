"""Products, norms and powers of the linalg extension."""

import math

import numpy as np
import pytest

import arrmb
from arrmb import linalg
from arrmb.testing import Draw, check_grads


@pytest.fixture(params=["float64", "complex128"])
def put(request, backend):
    """Arrays of a shape and number, random, real and complex, on each backend."""

    def make(*shape, seed=0):
        return backend.put(Draw(seed, complex=request.param == "complex128").normal(*shape), request.param)

    make.get = backend.get
    return make


CASES = {
    "matmul": (lambda a, b: linalg.matmul(a, b), [(2, 3, 4), (4, 2)]),
    "matrix_transpose": (lambda a: linalg.matrix_transpose(a), [(2, 3, 4)]),
    "tensordot": (lambda a, b: linalg.tensordot(a, b), [(2, 3, 4), (3, 4, 5)]),
    "tensordot, one axis": (lambda a, b: linalg.tensordot(a, b, axes=1), [(2, 3), (3, 5)]),
    "tensordot, pairs": (lambda a, b: linalg.tensordot(a, b, axes=((0, 2), (1, 0))), [(2, 3, 4), (4, 2)]),
    "vecdot": (lambda a, b: linalg.vecdot(a, b), [(2, 3), (2, 3)]),
    "vecdot, axis": (lambda a, b: linalg.vecdot(a, b, axis=-2), [(2, 3), (2, 3)]),
    "outer": (lambda a, b: linalg.outer(a, b), [(3,), (2,)]),
    "cross": (lambda a, b: linalg.cross(a, b), [(2, 3), (3,)]),
    "cross, axis": (lambda a, b: linalg.cross(a, b, axis=-2), [(3, 2), (4, 3, 2)]),
    "diagonal": (lambda a: linalg.diagonal(a), [(2, 3, 4)]),
    "diagonal, below": (lambda a: linalg.diagonal(a, offset=-1), [(3, 4)]),
    "diagonal, above": (lambda a: linalg.diagonal(a, offset=2), [(3, 4)]),
    "trace": (lambda a: linalg.trace(a), [(2, 3, 4)]),
    "trace, above": (lambda a: linalg.trace(a, offset=1), [(3, 4)]),
    "vector_norm": (lambda a: linalg.vector_norm(a), [(3, 4)]),
    "vector_norm, axis": (lambda a: linalg.vector_norm(a, axis=0), [(3, 4)]),
    "vector_norm, axes": (lambda a: linalg.vector_norm(a, axis=(0, -1), keepdims=True), [(3, 2, 4)]),
    "vector_norm, 1": (lambda a: linalg.vector_norm(a, axis=-1, ord=1), [(3, 4)]),
    "vector_norm, 3": (lambda a: linalg.vector_norm(a, axis=-1, ord=3), [(3, 4)]),
    "vector_norm, inf": (lambda a: linalg.vector_norm(a, axis=-1, ord=math.inf), [(3, 4)]),
    "vector_norm, -inf": (lambda a: linalg.vector_norm(a, axis=-1, ord=-math.inf), [(3, 4)]),
    "matrix_norm": (lambda a: linalg.matrix_norm(a), [(2, 3, 4)]),
    **{
        f"matrix_norm, {ord}": (lambda a, ord=ord: linalg.matrix_norm(a, ord=ord, keepdims=True), [(2, 3, 4)])
        for ord in ("nuc", 1, -1, 2, -2, math.inf, -math.inf)
    },
    **{f"matrix_power, {n}": (lambda a, n=n: linalg.matrix_power(a, n), [(2, 3, 3)]) for n in (1, 2, 5, -1, -3)},
}


@pytest.mark.parametrize("name", CASES)
def test_derivatives(put, name):
    f, shapes = CASES[name]
    check_grads(f, tuple(put(*shape, seed=i) for i, shape in enumerate(shapes)), tolerance=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_traced_values_are_the_backend_s(put, name):
    """On raw arrays and below a trace, against the same function of the backend."""
    f, shapes = CASES[name]
    xs = tuple(put(*shape, seed=i) for i, shape in enumerate(shapes))
    theirs = put.get(_with_linalg(f, arrmb.namespace(xs[0]).linalg)(*xs))
    for value in (put.get(f(*xs)), put.get(arrmb.jvp(f, xs, xs)[0])):
        np.testing.assert_allclose(value, theirs, rtol=1e-12, atol=1e-12)
        assert value.dtype == theirs.dtype


def _with_linalg(f, module):
    """The lambda ``f`` with the name ``linalg`` in it standing for another module."""
    return type(f)(f.__code__, {"linalg": module, "math": math}, f.__name__, f.__defaults__)


@pytest.mark.parametrize("name", ["matmul", "outer", "cross", "vecdot", "tensordot"])
def test_one_traced_and_one_raw_argument(put, name):
    f, shapes = CASES[name]
    a, b = put(*shapes[0]), put(*shapes[1], seed=1)
    check_grads(lambda a: f(a, b), (a,), tolerance=1e-5)
    check_grads(lambda b: f(a, b), (b,), tolerance=1e-5)


def test_norms_of_zero_have_gradient_zero(backend):
    zero = backend.put(np.zeros((2, 3)), "float64")
    for f in (linalg.vector_norm, linalg.matrix_norm, lambda x: linalg.vector_norm(x, ord=3)):
        assert np.array_equal(backend.get(arrmb.grad(f)(zero)), np.zeros((2, 3)))
        assert np.array_equal(backend.get(arrmb.hvp(f, (zero,), (zero + 1.0,))[0]), np.zeros((2, 3)))
    one_zero_row = backend.put(np.array([[0.0, 0.0], [3.0, 4.0]]), "float64")
    gradient = arrmb.grad(lambda x: arrmb.namespace(x).sum(linalg.vector_norm(x, axis=-1)))(one_zero_row)
    np.testing.assert_allclose(backend.get(gradient), [[0.0, 0.0], [0.6, 0.8]], rtol=1e-15)


def test_constants(backend):
    x = backend.put(np.diag([1.0, 2.0, 0.0]), "float64")
    rank, _ = arrmb.jvp(lambda x: (linalg.matrix_rank(x), linalg.vector_norm(x, ord=0)), (x,), (x,))
    assert int(linalg.matrix_rank(x)) == int(rank[0]) == 2
    assert float(rank[1]) == 2.0 and rank[1].dtype == x.dtype
    power, dy = arrmb.jvp(lambda x: linalg.matrix_power(x, 0), (x,), (x,))
    assert np.array_equal(backend.get(power), np.eye(3)) and np.array_equal(backend.get(dy), np.zeros((3, 3)))


def test_integer_arrays_where_the_standard_has_them():
    x = np.arange(6).reshape(2, 3)
    assert linalg.trace(x) == 4 and np.array_equal(linalg.diagonal(x), [0, 4])
    assert np.array_equal(linalg.outer(x[0], x[1]), np.outer(x[0], x[1]))
    assert np.array_equal(linalg.cross(x[0], x[1]), np.cross(x[0], x[1]))


def test_errors():
    x = np.ones((2, 3))
    for f, match in {
        lambda: linalg.outer(x, x): r"outer: x1 must be one-dimensional, got shape \(2, 3\)",
        lambda: linalg.cross(x, x[:, :2]): r"cross: x2 must have size 3 along axis -1, got shape \(2, 2\)",
        lambda: linalg.cross(x.T, x.T[:, 0], axis=0): r"cross: count the axis from the end",
        lambda: linalg.diagonal(x[0]): r"diagonal: x must have shape",
        lambda: linalg.trace(x[0]): r"trace: x must have shape",
        lambda: linalg.matrix_norm(x, ord="max"): r"matrix_norm: ord must be 'fro', .* got 'max'",
        lambda: linalg.matrix_power(x, 2): r"matrix_power: x must have shape \(\.\.\., n, n\)",
        lambda: linalg.matrix_power(np.zeros((2, 2)), -1): "matrix_power: x is singular, and n is negative",
    }.items():
        with pytest.raises(ValueError, match=match):
            f()
    with pytest.raises(TypeError, match="matrix_power: n must be a Python int, got float; for real powers use powmh"):
        linalg.matrix_power(np.eye(2), 0.5)
    with pytest.raises(TypeError, match="vector_norm: x has dtype int64"):
        linalg.vector_norm(np.arange(3))


def test_diagonals_beyond_the_corner(backend):
    for shape, offset in (((4, 4), -9), ((2, 3, 4), 7), ((0, 0), 0), ((0, 0), 1), ((2, 0, 3), -2)):
        x = backend.put(np.ones(shape), "float64")
        xp = arrmb.namespace(x)
        y, pullback = arrmb.vjp(lambda x, k=offset: linalg.diagonal(x, offset=k), x)
        assert tuple(y.shape) == (*shape[:-2], 0)
        np.testing.assert_array_equal(backend.get(pullback(y)[0]), np.zeros(shape))
        total = lambda x, k=offset: arrmb.namespace(x).sum(linalg.trace(x, offset=k))  # noqa: E731
        assert float(total(x)) == 0.0
        np.testing.assert_array_equal(backend.get(arrmb.grad(total)(x)), np.zeros(shape))
        np.testing.assert_array_equal(backend.get(arrmb.hvp(total, (x,), (xp.ones_like(x),))[0]), np.zeros(shape))


ONE = np.ones((2, 3))
LISTS = {
    "matmul": (ONE, [[1.0]]),
    "vecdot": (ONE, [1.0]),
    "tensordot": (ONE, [1.0]),
    "cross": (ONE, [1.0]),
    "outer": (ONE[0], [1.0]),
    "trace": ([[1.0]],),
    "diagonal": (None,),
    "matrix_transpose": ([[1.0]],),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_and_other_backends(name):
    f, args = getattr(linalg, name), LISTS[name]
    kind = type(args[-1]).__name__
    with pytest.raises(TypeError, match=rf"^{name}: x2? must be an array, got {kind}: xp\.asarray"):
        f(*args)
    if len(args) == 2:
        with pytest.raises(TypeError, match=rf"^{name}: x2 must be an array, got {kind}"):
            arrmb.vjp(lambda x: f(x, args[1]), args[0])
        strict = pytest.importorskip("array_api_strict")
        with pytest.raises(TypeError, match=f"^{name}: x1, x2 are arrays of different backends"):
            f(args[0], strict.ones((3,), dtype=strict.float64))


SHAPES = {
    "matmul, inner": (lambda x: linalg.matmul(x, x), r"matmul: x1 \(2, 3\) and x2 \(2, 3\) do not fit"),
    "matmul, vector": (lambda x: linalg.matmul(x, x[:, 0]), r"matmul: x1 \(2, 3\) and x2 \(2,\) do not fit"),
    "matmul, number": (lambda x: linalg.matmul(x, x[0, 0]), r"matmul: x1 \(2, 3\) and x2 \(\) do not fit.* \* for"),
    "matmul, batch": (
        lambda x: linalg.matmul(x[:, None, :], arrmb.namespace(x).ones((4, 3, 1))),
        r"matmul: the other axes of x1 and x2, \(2,\) and \(4,\), do not broadcast",
    ),
    "transpose": (lambda x: linalg.matrix_transpose(x[0, :]), r"matrix_transpose: x must have shape .* got \(3,\)"),
    "vecdot": (lambda x: linalg.vecdot(x, x[:, :2]), r"vecdot: x1 \(2, 3\) and x2 \(2, 2\) must have equal lengths"),
    "vecdot, one": (lambda x: linalg.vecdot(x, x[:, :1]), "vecdot: .* must have equal lengths along axis -1"),
    "vecdot, axis": (lambda x: linalg.vecdot(x, x, axis=-3), "vecdot: .* along axis -3, counted from the end"),
    "vecdot, batch": (
        lambda x: linalg.vecdot(x, arrmb.namespace(x).ones((5, 3))),
        r"vecdot: the other axes of x1 and x2, \(2,\) and \(5,\), do not broadcast",
    ),
    "tensordot": (lambda x: linalg.tensordot(x, x), None),
    "tensordot, lengths": (
        lambda x: linalg.tensordot(x, x, axes=1),
        r"tensordot: axes=1 must pair axes of x1 \(2, 3\)",
    ),
    "tensordot, many": (lambda x: linalg.tensordot(x, x, axes=3), r"tensordot: axes=3 is more .* x1 \(2, 3\)"),
    "tensordot, less": (lambda x: linalg.tensordot(x, x, axes=-1), "tensordot: axes=-1 is more"),
    "tensordot, range": (lambda x: linalg.tensordot(x, x, axes=((0, 4), (0, 1))), "tensordot: axes=.* must pair"),
    "tensordot, twice": (lambda x: linalg.tensordot(x, x, axes=((0, 0), (0, 0))), "tensordot: axes=.* each once"),
    "tensordot, unequal": (lambda x: linalg.tensordot(x, x, axes=((0, 1), (0,))), "tensordot: axes=.* as many axes"),
    "cross": (lambda x: linalg.cross(x, arrmb.namespace(x).ones((5, 3))), "cross: the other axes of .* not broadcast"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_do_not_fit(backend, name):
    f, message = SHAPES[name]
    x = backend.put(ONE, "float64")
    for run in (lambda: f(x), lambda: arrmb.vjp(f, x)):
        if message is None:
            run()
            continue
        with pytest.raises(ValueError, match=f"^{message}"):
            run()


def test_constants_that_are_no_integers():
    x = np.ones((3, 3))
    for name, call in {
        "trace: offset": lambda v: linalg.trace(x, offset=v),
        "diagonal: offset": lambda v: linalg.diagonal(x, offset=v),
        "cross: axis": lambda v: linalg.cross(x, x, axis=v),
        "vecdot: axis": lambda v: linalg.vecdot(x, x, axis=v),
        "tensordot: axes": lambda v: linalg.tensordot(x, x, axes=v),
        "tensordot: an axis": lambda v: linalg.tensordot(x, x, axes=((0,), (v,))),
        "matrix_power: n": lambda v: linalg.matrix_power(x, v),
        "ky_fan_norm: k": lambda v: linalg.ky_fan_norm(x, v),
        "sqrtmh: iterations": lambda v: linalg.sqrtmh(np.eye(3), method="newton-schulz", iterations=v),
    }.items():
        call(np.int64(1))
        for wrong in (1.5, True, 1j):
            with pytest.raises(TypeError, match=f"^{name} must be a Python int, got {type(wrong).__name__}"):
                call(wrong)
        with pytest.raises(TypeError, match=f"^{name} is a constant and has no derivative: pass a Python int"):
            arrmb.grad(lambda v, call=call: arrmb.namespace(v).sum(call(v)))(np.asarray(1.0))
    for wrong in ("a", (1, 2, 3), (0,)):
        with pytest.raises(TypeError, match=r"^tensordot: axes must be an int or a pair of sequences of ints, got"):
            linalg.tensordot(x, x, axes=wrong)


def test_products_of_integers(backend):
    x = backend.xp.asarray([[1, 2, 3], [4, 5, 6]])
    a = np.arange(1, 7).reshape(2, 3)
    t = backend.get(linalg.matrix_transpose(x))
    np.testing.assert_array_equal(t, a.T)
    np.testing.assert_array_equal(backend.get(linalg.matmul(x, linalg.matrix_transpose(x))), a @ a.T)
    np.testing.assert_array_equal(backend.get(linalg.vecdot(x, x)), np.sum(a * a, axis=-1))
    np.testing.assert_array_equal(backend.get(linalg.vecdot(x, x, axis=0)), np.sum(a * a, axis=0))
    np.testing.assert_array_equal(backend.get(linalg.tensordot(x, x, axes=([1], [1]))), a @ a.T)


def test_rank_of_odd_matrices(backend):
    assert int(linalg.matrix_rank(backend.put(np.zeros((0, 3)), "float64"))) == 0
    if backend.name != "cupy":
        with pytest.raises(ValueError, match=r"^matrix_rank: x has NaN or inf"):
            linalg.matrix_rank(backend.put(np.full((2, 2), np.nan), "float64"))


def test_matmul_promotes(backend):
    """Raw and traced, forwards and backwards, on every backend."""
    a, b = backend.put(np.ones((2, 3)), "float32"), backend.put(np.ones((3, 4)), "float64")
    y, pullback = arrmb.vjp(linalg.matmul, a, b)
    assert np.asarray(backend.get(linalg.matmul(a, b))).dtype == np.asarray(backend.get(y)).dtype == np.float64
    abar, bbar = pullback(y)
    assert abar.dtype == a.dtype and bbar.dtype == b.dtype
    np.testing.assert_array_equal(backend.get(abar), np.full((2, 3), 12.0))
