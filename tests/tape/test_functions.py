"""Every function of the traced namespace: its value is the backend's own, its derivatives those of differences."""

import inspect

import numpy as np
import pytest
from namespace_cases import CASES, integers, points

import arrmb
from arrmb.tape import functions
from arrmb.testing import backends, check_grads

BACKENDS = {backend.name: backend for backend in backends()}


def test_every_function_is_tested_here():
    assert set(functions.BY_NAME) == set(CASES)


def leaves(y):
    return list(y) if isinstance(y, (tuple, list)) else [y]


def same_values(backend, call, x, y):
    expected = leaves(call(arrmb.namespace(x), x, y))
    value, _ = arrmb.vjp(lambda x, y: call(arrmb.namespace(x), x, y), x, y)
    value = leaves(value)
    assert len(value) == len(expected)
    for v, e in zip(value, expected):
        assert v.dtype == e.dtype
        assert arrmb._xp.device(v) == arrmb._xp.device(e)
        assert tuple(v.shape) == tuple(e.shape)
        v, e = backend.get(v), backend.get(e)
        np.testing.assert_allclose(v, e, rtol=1e-14 if e.dtype.itemsize >= 8 else 1e-6)


@pytest.mark.parametrize("name, call", [(n, c) for n, calls in CASES.items() for c in calls])
def test_function(backend, name, call):
    same_values(backend, call, *points(backend))
    check_grads(lambda x, y: call(arrmb.namespace(x), x, y), points(backend))


@pytest.mark.parametrize("name", list(CASES))
def test_raw_arrays_give_raw_arrays(name):
    x, y = points(BACKENDS["numpy"])
    for call in CASES[name]:
        for v in leaves(call(OnlyFunctions, x, y)):
            assert not arrmb._xp.is_traced(v)


class OnlyFunctions:
    """The functions as a namespace for raw arrays."""

    raw = BACKENDS["numpy"].xp
    float64, complex128 = raw.float64, raw.complex128


for _name in CASES:
    setattr(OnlyFunctions, _name, staticmethod(functions.BY_NAME[_name]))

SINGLE = [
    (n, c)
    for n, calls in CASES.items()
    for c in calls
    if "128" not in inspect.getsource(c) and "64" not in inspect.getsource(c)
]


@pytest.mark.parametrize("name, call", SINGLE)
def test_float32_is_kept(backend, name, call):
    same_values(backend, call, *points(backend, "float32"))


# ------------------------------------------------------------- functions that are not differentiable, and creation


def test_a_traced_number_fills_an_array(backend):
    """Beyond the standard, where it is a Python number; silence would drop the derivative."""
    x, _ = points(backend)

    def f(x):
        xp = arrmb.namespace(x)
        made = (
            xp.full((2, 2), x[0, 0]),
            xp.full(3, x[0, 1], dtype=x.dtype),
            xp.full_like(x, x[1, 0]) * xp.full_like(x, 2.0),
        )
        assert all(m.dtype == x.dtype for m in made)
        return xp.sum(made[0]) + xp.sum(made[1]) + xp.sum(made[2])

    np.testing.assert_array_equal(backend.get(arrmb.grad(f)(x)), [[4.0, 3.0, 0.0], [12.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    "name", ["zeros", "ones", "empty", "zeros_like", "ones_like", "full", "eye", "arange", "linspace"]
)
def test_creation(backend, name):
    x, _ = points(backend)
    args = {
        "zeros": (3,),
        "ones": ((2, 3),),
        "empty": ((2, 3),),
        "zeros_like": (x,),
        "ones_like": (x,),
        "full": ((2, 3), 4.0),
        "eye": (3,),
        "arange": (0.0, 3.0, 0.5),
        "linspace": (0.0, 1.0, 4),
    }[name]
    options = {} if name.endswith("_like") else {"dtype": x.dtype, "device": arrmb._xp.device(x)}

    def f(x):
        xp = arrmb.namespace(x)
        made = getattr(xp, name)(*[x if a is args[0] and name.endswith("_like") else a for a in args], **options)
        assert arrmb._xp.is_traced(made)
        return made

    found, _ = arrmb.vjp(f, x)
    expected = getattr(backend.xp, name)(*args, **options)
    assert (found.shape, found.dtype, arrmb._xp.device(found)) == (
        expected.shape,
        expected.dtype,
        arrmb._xp.device(expected),
    )
    if name != "empty":
        np.testing.assert_array_equal(backend.get(found), backend.get(expected))


CONSTANTS = {
    "argmax": lambda xp, x: xp.argmax(x, axis=1),
    "argsort": lambda xp, x: xp.argsort(x, descending=True),
    "floor": lambda xp, x: xp.floor(3.0 * x),
    "round": lambda xp, x: xp.round(3.0 * x),
    "sign": lambda xp, x: xp.sign(x - 0.5),
    "floor_divide": lambda xp, x: xp.floor_divide(x, xp.full_like(x, 0.25)),
    "comparison": lambda xp, x: xp.logical_and(x > 0.4, xp.less(x, 0.6 * xp.ones_like(x))),
    "isfinite": lambda xp, x: xp.all(xp.isfinite(x), axis=0),
    "nonzero": lambda xp, x: xp.nonzero(x > 0.5),
    "searchsorted": lambda xp, x: xp.searchsorted(xp.sort(x[0, :]), x[1, :]),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(backend, name):
    x, _ = points(backend)
    found, pullback = arrmb.vjp(lambda x: CONSTANTS[name](arrmb.namespace(x), x), x)
    for v, e in zip(leaves(found), leaves(CONSTANTS[name](backend.xp, x))):
        assert v.dtype == e.dtype
        np.testing.assert_array_equal(backend.get(v), backend.get(e))
    np.testing.assert_array_equal(backend.get(pullback(found)[0]), np.zeros((2, 3)))


def test_a_derivative_is_never_dropped_in_silence(backend):
    _, y = points(backend)
    with pytest.raises(TypeError, match="no rule for 'arange'"):
        arrmb.vjp(lambda y: arrmb.namespace(y).arange(y[0]), y)


def test_linspace_depends_on_its_ends(backend):
    _, y = points(backend)

    def by_hand(y, endpoint):
        steps = [k / (4.0 if endpoint else 5.0) for k in range(5)]
        return arrmb.namespace(y).stack([y[0] + (y[1] - y[0]) * t for t in steps])

    for endpoint in (True, False):
        found, pullback = arrmb.vjp(lambda y, e=endpoint: arrmb.namespace(y).linspace(y[0], y[1], 5, endpoint=e), y)
        expected, expected_pullback = arrmb.vjp(lambda y, e=endpoint: by_hand(y, e), y)
        np.testing.assert_allclose(backend.get(found), backend.get(expected), rtol=1e-14)
        np.testing.assert_allclose(
            backend.get(pullback(found)[0]), backend.get(expected_pullback(found)[0]), rtol=1e-14
        )
    half = arrmb.grad(lambda y: arrmb.namespace(y).sum(arrmb.namespace(y).linspace(0.0, y[0], 3)))(y)
    np.testing.assert_allclose(backend.get(half), [1.5, 0.0, 0.0])


def test_sets_of_values(backend):
    x = backend.put(np.asarray([[3.0, 1.0, 3.0], [2.0, 1.0, 3.0]]), "float64")
    found = {}

    def f(x):
        found["all"] = arrmb.namespace(x).unique_all(x)
        return found["all"].values

    values, pullback = arrmb.vjp(f, x)
    _, indices, inverse, counts = (backend.get(arrmb._xp.raw(v)) for v in found["all"])
    np.testing.assert_array_equal(backend.get(values), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(indices, [1, 3, 0])
    np.testing.assert_array_equal(inverse, [[2, 0, 2], [1, 0, 2]])
    np.testing.assert_array_equal(counts, [2, 1, 3])
    # each value is that of its first entry
    np.testing.assert_array_equal(backend.get(pullback(values)[0]), [[3.0, 1.0, 0.0], [2.0, 0.0, 0.0]])


def test_unique_of_labels(backend):
    x, _ = points(backend)
    labels = integers(backend.xp, x, [3, 1, 3])

    def f(x):
        xp = arrmb.namespace(x)
        return x * xp.astype(xp.sum(xp.unique_values(xp.asarray(labels))), x.dtype)

    np.testing.assert_allclose(backend.get(arrmb.vjp(f, x)[0]), 4 * backend.get(x))


OF_AN_AXIS = {
    "prod": lambda xp, x, axis: xp.prod(x, axis=axis),
    "cumulative_sum": lambda xp, x, axis: xp.cumulative_sum(x, axis=axis),
    "cumulative_prod": lambda xp, x, axis: xp.cumulative_prod(x, axis=axis),
    "diff": lambda xp, x, axis: xp.diff(x, axis=axis),
    "take": lambda xp, x, axis: xp.take(x, integers(xp, x, [0]), axis=axis),
    "take_along_axis": lambda xp, x, axis: xp.take_along_axis(x, integers(xp, x, [[0]]), axis=axis),
    "stack": lambda xp, x, axis: xp.stack([x, x], axis=axis),
    "unstack": lambda xp, x, axis: xp.unstack(x, axis=axis),
    "moveaxis": lambda xp, x, axis: xp.moveaxis(x, axis, 0),
    "repeat": lambda xp, x, axis: xp.repeat(x, integers(xp, x, [1, 2]), axis=axis),
    "tensordot": lambda xp, x, axis: xp.tensordot(x, x, axes=((axis,), (1,))),
    "rfft": lambda xp, x, axis: xp.fft.rfft(x, axis=axis, n=7),
}


@pytest.mark.parametrize("name", OF_AN_AXIS)
def test_an_axis_that_is_not_there(backend, name):
    """It raises, and is not counted round."""
    x, _ = points(backend)
    for axis in (3, -4):
        with pytest.raises(IndexError, match=rf"axis {axis} is out of bounds"):
            arrmb.vjp(lambda x, axis=axis: OF_AN_AXIS[name](arrmb.namespace(x), x, axis), x)


# call (xp, n, m) with integers n and a mask m, and its value: for arrays 1, 2, 4, and "above 1.5"
OF_AN_ARRAY_AND_A_NUMBER = {
    "maximum": (lambda xp, n, m: xp.maximum(n, 0.5), [1.0, 2.0, 4.0]),
    "add": (lambda xp, n, m: xp.add(0.5, n), [1.5, 2.5, 4.5]),
    "pow": (lambda xp, n, m: xp.pow(n, 0.5), [1.0, 2.0**0.5, 2.0]),
    "where": (lambda xp, n, m: xp.where(m, n, 0.5), [0.5, 2.0, 4.0]),
    "where, booleans": (lambda xp, n, m: xp.where(m, m, 2), [2, 1, 1]),
    "multiply": (lambda xp, n, m: xp.multiply(xp.astype(n, xp.float64), 1.0j), [1j, 2j, 4j]),
}


@pytest.mark.parametrize("name", OF_AN_ARRAY_AND_A_NUMBER)
def test_a_number_is_not_cut_to_the_dtype_of_an_array(backend, name):
    call, expected = OF_AN_ARRAY_AND_A_NUMBER[name]

    def f(x):
        xp = arrmb.namespace(x)
        return call(xp, xp.astype(x, xp.int64), x > 1.5)

    x = backend.put(np.asarray([1.0, 2.0, 4.0]), "float64")
    if backend.name == "strict" and name != "multiply":  # integers and floating-point numbers do not mix there
        with pytest.raises(TypeError):
            arrmb.vjp(f, x)
    else:
        np.testing.assert_allclose(backend.get(arrmb.vjp(f, x)[0]), expected, rtol=1e-7)


@pytest.mark.parametrize("name", ["mean", "var", "std"])
def test_moments_of_integers_and_booleans_are_the_backends_own(name):
    x = np.asarray([1.0, 2.0, 4.0])
    for constant in (lambda xp, x: xp.astype(x, xp.int64), lambda xp, x: x > 1.5):
        found, _ = arrmb.vjp(lambda x, c=constant: getattr(arrmb.namespace(x), name)(c(arrmb.namespace(x), x)), x)
        assert found == getattr(np, name)(constant(arrmb.namespace(x), x))


@pytest.mark.parametrize("n", [3, 49, 98, 107])
def test_the_mean_of_equal_entries_is_that_entry(backend, n):
    """Times 1/n it would not be (49 · (1/49) < 1), and std would miss that they are equal, where it has a kink."""
    x = backend.put(np.ones(n), "float64")
    assert float(arrmb.vjp(lambda x: arrmb.namespace(x).mean(x), x)[0]) == 1.0
    value, gradient = arrmb.value_and_grad(lambda x: arrmb.namespace(x).std(x))(x)
    assert float(value) == 0.0
    np.testing.assert_array_equal(backend.get(gradient), np.zeros(n))
    product = arrmb.hvp(lambda x: arrmb.namespace(x).std(x), (x,), (backend.put(np.arange(1.0 * n), "float64"),))[0]
    np.testing.assert_array_equal(backend.get(product), np.zeros(n))


def test_linspace_of_an_integer_constant(backend):
    x = backend.put(np.asarray([1.0, 3.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        return xp.linspace(0, xp.argmax(x), 3) + xp.linspace(0, xp.asarray(1, device=x.device), 3)

    np.testing.assert_array_equal(backend.get(arrmb.vjp(f, x)[0]), [0.0, 1.0, 2.0])


def test_linspace_and_full_with_a_dtype(backend):
    x = backend.put(np.asarray([1.0, 3.0]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        return xp.linspace(x[0], x[1], 3, dtype=xp.float32), xp.full([2, 3], x[0], dtype=xp.float32)

    for made, shape in zip(arrmb.vjp(f, x)[0], ((3,), (2, 3))):
        assert made.dtype == backend.xp.float32 and tuple(made.shape) == shape


def test_unsigned_exponents(backend):
    """Where the exponent is 0, exponent - 1 must not wrap round to the largest unsigned number."""
    x = backend.put(np.asarray([1e10, 2.0, 3.0]), "float64")
    n = integers(backend.xp, x, [0, 1, 2])
    exponents = backend.xp.astype(n, backend.xp.uint8)

    def f(x):
        xp = arrmb.namespace(x)
        return xp.sum(xp.pow(x, exponents if backend.name != "strict" else xp.astype(exponents, x.dtype)))

    np.testing.assert_allclose(backend.get(arrmb.grad(f)(x)), [0.0, 1.0, 6.0])
    np.testing.assert_allclose(backend.get(arrmb.jacobian(arrmb.grad(f))(x)), np.diag([0.0, 0.0, 2.0]))


def test_take_counts_from_the_end(backend):
    x = backend.put(np.asarray([1.0, 2.0, 3.0]), "float64")
    last = integers(backend.xp, x, [-1, 0, -1])
    gradient = arrmb.grad(lambda x: arrmb.namespace(x).sum(arrmb.namespace(x).take(x, last, axis=0)))
    if backend.name == "torch":
        with pytest.raises(IndexError):  # as on its own tensors
            gradient(x)
    else:
        np.testing.assert_array_equal(backend.get(gradient(x)), [1.0, 0.0, 2.0])


def test_iteration_over_a_scalar_raises_as_on_arrays(backend):
    with pytest.raises(TypeError, match="iteration over a 0-d array"):
        arrmb.grad(lambda x: sum(v for v in x[0]))(backend.put(np.asarray([1.0]), "float64"))


def test_an_empty_list_of_indices():
    value, pullback = arrmb.vjp(lambda x: x[[]], np.ones(3))
    assert value.shape == (0,)
    np.testing.assert_array_equal(pullback(value)[0], np.zeros(3))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_differences_of_few_entries(backend, n):
    for size in (0, 1, 2):
        x = backend.put(np.arange(1.0, 1.0 + size), "float64")
        value, pullback = arrmb.vjp(lambda x: arrmb.namespace(x).diff(x, n=n), x)
        assert tuple(value.shape) == (max(size - n, 0),)
        assert tuple(pullback(value)[0].shape) == (size,)


def test_bounds_do_not_widen_what_is_clipped(backend):
    if backend.name == "strict":  # it refuses bounds of another dtype
        return
    x, low = backend.put(np.asarray([1.0, 2.0, 4.0]), "float32"), backend.put(np.asarray([1.5, 1.0, 1.0]), "float64")
    value, pullback = arrmb.vjp(lambda x: arrmb.namespace(x).clip(x, low, 3.0), x)
    assert value.dtype == x.dtype
    np.testing.assert_array_equal(backend.get(value), [1.5, 2.0, 3.0])
    np.testing.assert_array_equal(backend.get(pullback(x)[0]), [0.0, 2.0, 0.0])


def test_shapes_broadcast(backend):
    if not hasattr(backend.xp, "broadcast_shapes"):
        pytest.skip("this version of the backend does not have it yet")
    x, _ = points(backend)
    found, _ = arrmb.vjp(lambda x: x * len(arrmb.namespace(x).broadcast_shapes((2, 1), (4, 1, 3))), x)
    np.testing.assert_array_equal(backend.get(found), 3 * backend.get(x))
