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
