"""Every function of the traced namespace: its value is the backend's own, its derivatives those of differences."""

import inspect

import numpy as np
import pytest

import arrmb
from arrmb.tape import functions
from arrmb.testing import backends, check_grads

BACKENDS = {backend.name: backend for backend in backends()}
ONE = "exp expm1 log log1p log2 log10 sqrt square reciprocal sin cos tan asin atan sinh cosh tanh asinh atanh acos"
TWO = "add subtract multiply divide remainder atan2 hypot logaddexp maximum minimum pow"

# name -> calls (xp, x, y) with x (2, 3) in (0.2, 0.8), y (3,) in (1.1, 1.9), and constants made from what they need
CASES = {name: [lambda xp, x, y, name=name: getattr(xp, name)(x)] for name in ONE.split()}
CASES |= {
    name: [
        lambda xp, x, y, name=name: getattr(xp, name)(x, y),
        lambda xp, x, y, name=name: getattr(xp, name)(y, x),
        lambda xp, x, y, name=name: getattr(xp, name)(x, x[:, :1]),
        lambda xp, x, y, name=name: getattr(xp, name)(x, 0.5),
        lambda xp, x, y, name=name: getattr(xp, name)(2, x),
    ]
    for name in TWO.split()
}
# at ties of x with itself the two halves meet; finite differences see the same there
CASES |= {
    "acosh": [lambda xp, x, y: xp.acosh(y)],
    "negative": [lambda xp, x, y: xp.negative(x)],
    "positive": [lambda xp, x, y: xp.positive(x)],
    "abs": [lambda xp, x, y: xp.abs(x - 0.5)],
    "real": [lambda xp, x, y: xp.real(xp.astype(x, xp.complex128) * (1 + 2j))],
    "imag": [lambda xp, x, y: xp.imag(xp.astype(x, xp.complex128) * (1 + 2j))],
    "conj": [lambda xp, x, y: xp.real(xp.conj(xp.astype(x, xp.complex128) * (1 + 2j)) * 1j)],
    "where": [
        lambda xp, x, y: xp.where(x > 0.5, x, y),
        lambda xp, x, y: xp.where(x > 0.5, x * x, 0.0),
        lambda xp, x, y: xp.where(x > 0.5, 1.0, y * x),
        lambda xp, x, y: xp.where(y > 1.5, x[:, :1], x),
    ],
    "clip": [
        lambda xp, x, y: xp.clip(x, 0.3, 0.6),
        lambda xp, x, y: xp.clip(x, min=0.4),
        lambda xp, x, y: xp.clip(x, max=0.4),
        lambda xp, x, y: xp.clip(x, y - 1.0, y - 0.6),
        lambda xp, x, y: xp.clip(x),
    ],
    "nextafter": [lambda xp, x, y: xp.nextafter(x, y), lambda xp, x, y: xp.nextafter(y, x)],
    "sign": [  # constant where it is real
        lambda xp, x, y: xp.sign(x - 0.5) * x,
        lambda xp, x, y: xp.imag(xp.sign(xp.astype(x, xp.complex128) * (1 + 2j) + xp.astype(y, xp.complex128))),
    ],
    "unique_values": [lambda xp, x, y: sets("unique_values", x)],
    "unique_counts": [lambda xp, x, y: sets("unique_counts", xp.concat([y, y[:2]])).values],
    "unique_inverse": [lambda xp, x, y: sets("unique_inverse", xp.concat([y, y[:2]])).values],
    "unique_all": [lambda xp, x, y: sets("unique_all", xp.concat([y, y[:2]])).values],
    "copysign": [lambda xp, x, y: xp.copysign(x, y - 1.5), lambda xp, x, y: xp.copysign(-x, y)],
    "sum": [
        lambda xp, x, y: xp.sum(x * x),
        lambda xp, x, y: xp.sum(x * x, axis=0),
        lambda xp, x, y: xp.sum(x * x, axis=(0, -1), keepdims=True),
        lambda xp, x, y: xp.sum(x, axis=-1, dtype=xp.float64),
    ],
    "max": [
        lambda xp, x, y: xp.max(x * x),
        lambda xp, x, y: xp.max(x, axis=1),
        lambda xp, x, y: xp.max(x, axis=(0, 1), keepdims=True),
    ],
    "min": [
        lambda xp, x, y: xp.min(x * x),
        lambda xp, x, y: xp.min(x, axis=0, keepdims=True),
        lambda xp, x, y: xp.min(x, axis=-1),
    ],
    "mean": [
        lambda xp, x, y: xp.mean(x * x),
        lambda xp, x, y: xp.mean(x, axis=-1),
        lambda xp, x, y: xp.mean(x, axis=(0,), keepdims=True),
    ],
    "var": [
        lambda xp, x, y: xp.var(x),
        lambda xp, x, y: xp.var(x, axis=1, correction=1.0),
        lambda xp, x, y: xp.var(x, axis=0, keepdims=True),
    ],
    "std": [
        lambda xp, x, y: xp.std(x),
        lambda xp, x, y: xp.std(x, axis=(1,), correction=1),
        lambda xp, x, y: xp.std(x, axis=0, keepdims=True),
    ],
    "prod": [
        lambda xp, x, y: xp.prod(x),
        lambda xp, x, y: xp.prod(x, axis=0),
        lambda xp, x, y: xp.prod(x, axis=-1, keepdims=True),
        lambda xp, x, y: xp.prod(x, axis=(0, 1), keepdims=True, dtype=xp.float64),
    ],
    "cumulative_sum": [
        lambda xp, x, y: xp.cumulative_sum(y),
        lambda xp, x, y: xp.cumulative_sum(x, axis=1),
        lambda xp, x, y: xp.cumulative_sum(x * x, axis=-2, include_initial=True, dtype=xp.float64),
    ],
    "cumulative_prod": [
        lambda xp, x, y: xp.cumulative_prod(y),
        lambda xp, x, y: xp.cumulative_prod(x, axis=1),
        lambda xp, x, y: xp.cumulative_prod(x, axis=-2, include_initial=True, dtype=xp.float64),
    ],
    "diff": [
        lambda xp, x, y: xp.diff(x * x),
        lambda xp, x, y: xp.diff(x * x, axis=0),
        lambda xp, x, y: xp.diff(y * y, n=2, prepend=y[:1]),
        lambda xp, x, y: xp.diff(x, axis=-1, append=x[:, :2]),
    ],
    "reshape": [
        lambda xp, x, y: xp.reshape(x, (3, 2)),
        lambda xp, x, y: xp.reshape(x, (-1,)),
        lambda xp, x, y: xp.reshape(x, (3, -1), copy=True),
    ],
    "permute_dims": [
        lambda xp, x, y: xp.permute_dims(x, (1, 0)),
        lambda xp, x, y: xp.permute_dims(x[None, ...], (-1, 0, 1)),
    ],
    "matrix_transpose": [lambda xp, x, y: xp.matrix_transpose(x * x)],
    "moveaxis": [
        lambda xp, x, y: xp.moveaxis(x, 0, -1),
        lambda xp, x, y: xp.moveaxis(x[None, ...] * y, (0, 1), (-1, 0)),
    ],
    "expand_dims": [lambda xp, x, y: xp.expand_dims(x, axis=1), lambda xp, x, y: xp.expand_dims(x, axis=-1)],
    "squeeze": [
        lambda xp, x, y: xp.squeeze(x[:, :1], axis=1),
        lambda xp, x, y: xp.squeeze(x[None, :, :1], axis=(0, -1)),
    ],
    "broadcast_to": [
        lambda xp, x, y: xp.broadcast_to(x, (4, 2, 3)),
        lambda xp, x, y: xp.broadcast_to(y[:, None], (3, 2)),
    ],
    "broadcast_arrays": [lambda xp, x, y: xp.broadcast_arrays(x, y)],
    "flip": [
        lambda xp, x, y: xp.flip(x),
        lambda xp, x, y: xp.flip(x, axis=0),
        lambda xp, x, y: xp.flip(x, axis=(0, -1)),
    ],
    "roll": [
        lambda xp, x, y: xp.roll(x, 2),
        lambda xp, x, y: xp.roll(x, -1, axis=1),
        lambda xp, x, y: xp.roll(x, (1, 2), axis=(0, 1)),
    ],
    "tile": [
        lambda xp, x, y: xp.tile(x, (2, 3)),
        lambda xp, x, y: xp.tile(y, (2, 1)),
        lambda xp, x, y: xp.tile(x, (2,)),
    ],
    "repeat": [
        lambda xp, x, y: xp.repeat(x, 2),
        lambda xp, x, y: xp.repeat(x, 3, axis=-1),
        lambda xp, x, y: xp.repeat(x, integers(xp, x, [1, 0, 2]), axis=1),
    ],
    "tril": [lambda xp, x, y: xp.tril(x), lambda xp, x, y: xp.tril(x, k=1)],
    "triu": [lambda xp, x, y: xp.triu(x), lambda xp, x, y: xp.triu(x, k=-1)],
    "concat": [
        lambda xp, x, y: xp.concat([x, x * x]),
        lambda xp, x, y: xp.concat((x, x[:, :1]), axis=-1),
        lambda xp, x, y: xp.concat([x, y], axis=None),
    ],
    "stack": [
        lambda xp, x, y: xp.stack([y, y * y]),
        lambda xp, x, y: xp.stack((x, x * x), axis=-1),
        lambda xp, x, y: xp.stack([x, x], axis=1),
    ],
    "unstack": [lambda xp, x, y: xp.unstack(x), lambda xp, x, y: xp.unstack(x * x, axis=-1)],
    "meshgrid": [
        lambda xp, x, y: xp.meshgrid(y, x[0, :2]),
        lambda xp, x, y: xp.meshgrid(y, x[0, :], indexing="ij"),
        lambda xp, x, y: xp.meshgrid(y),
        lambda xp, x, y: xp.meshgrid(y, x[0, :], x[1, :2]),
    ],
    "astype": [
        lambda xp, x, y: xp.real(xp.astype(x * x, xp.complex128)),
        lambda xp, x, y: xp.astype(xp.astype(x, xp.float64, copy=False), xp.float64),
    ],
    "take": [
        lambda xp, x, y: xp.take(x, integers(xp, x, [2, 0, 2]), axis=1),
        lambda xp, x, y: xp.take(y * y, integers(xp, x, [1, 1])),
        lambda xp, x, y: xp.take(x, integers(xp, x, [1]), axis=-2),
    ],
    "take_along_axis": [
        lambda xp, x, y: xp.take_along_axis(x, integers(xp, x, [[2, 0], [1, 1]]), axis=1),
        lambda xp, x, y: xp.take_along_axis(x * x, integers(xp, x, [[0, 1, 1]]), axis=0),
    ],
    "sort": [
        lambda xp, x, y: xp.sort(x),
        lambda xp, x, y: xp.sort(x * x, axis=0, descending=True),
        lambda xp, x, y: xp.sort(y, stable=False),
    ],
    "matmul": [lambda xp, x, y: xp.matmul(x, y), lambda xp, x, y: xp.matmul(x, xp.matrix_transpose(x))],
    "vecdot": [lambda xp, x, y: xp.vecdot(x, y), lambda xp, x, y: xp.vecdot(x, x * x, axis=-2)],
    "tensordot": [
        lambda xp, x, y: xp.tensordot(x, y, axes=1),
        lambda xp, x, y: xp.tensordot(x, x, axes=2),
        lambda xp, x, y: xp.tensordot(x, y, axes=0),
        lambda xp, x, y: xp.tensordot(x, x[None, ...] * y[:, None, None], axes=((0, 1), (1, -1))),
    ],
}


def sets(name, x):
    """A function of sets, which PyTorch does not have all of."""
    return functions.BY_NAME[name](x)


def integers(xp, like, values):
    raw = arrmb._xp.raw_namespace(xp)
    return raw.asarray(np.asarray(values), device=arrmb._xp.device(like))


def test_every_function_is_tested_here():
    assert set(functions.BY_NAME) == set(CASES)


def points(backend, dtype="float64"):
    rng = np.random.default_rng(3)
    x = rng.uniform(0.2, 0.8, (2, 3))
    return backend.put(x, dtype), backend.put(rng.uniform(1.1, 1.9, 3), dtype)


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
