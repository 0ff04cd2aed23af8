"""Rearrangements: each op on several shapes and parameters, with NumPy's own as the reference."""

import numpy as np
import pytest

import arrmb
from arrmb._xp import device
from arrmb.ops import manipulation
from arrmb.testing import check_grads

CASES = [
    ("reshape", (2, 6), {"shape": (3, 4)}, lambda x: np.reshape(x, (3, 4))),
    ("reshape", (2, 6), {"shape": (-1,)}, np.ravel),
    ("reshape", (), {"shape": (1, 1)}, lambda x: np.reshape(x, (1, 1))),
    ("expand_dims", (2, 3), {"axis": 1}, lambda x: np.expand_dims(x, 1)),
    ("expand_dims", (2, 3), {"axis": -1}, lambda x: np.expand_dims(x, -1)),
    ("squeeze", (1, 3, 1), {"axis": (0, -1)}, lambda x: np.squeeze(x, (0, -1))),
    ("squeeze", (3, 1), {"axis": 1}, lambda x: np.squeeze(x, 1)),
    ("broadcast_to", (3, 1), {"shape": (2, 3, 4)}, lambda x: np.broadcast_to(x, (2, 3, 4))),
    ("broadcast_to", (), {"shape": (2,)}, lambda x: np.broadcast_to(x, (2,))),
    ("permute_dims", (2, 3, 4), {"axes": (2, 0, 1)}, lambda x: np.transpose(x, (2, 0, 1))),
    ("permute_dims", (2, 3, 4), {"axes": (-1, 0, 1)}, lambda x: np.transpose(x, (2, 0, 1))),
    ("matrix_transpose", (2, 3, 4), {}, lambda x: np.swapaxes(x, -1, -2)),
    ("flip", (2, 3), {"axis": None}, np.flip),
    ("flip", (2, 3), {"axis": (0, -1)}, np.flip),
    ("flip", (2, 3), {"axis": 1}, lambda x: np.flip(x, 1)),
    ("roll", (2, 3), {"shift": 2, "axis": None}, lambda x: np.roll(x, 2)),
    ("roll", (2, 3), {"shift": -1, "axis": -1}, lambda x: np.roll(x, -1, -1)),
    ("roll", (2, 3), {"shift": (1, 2), "axis": (0, 1)}, lambda x: np.roll(x, (1, 2), (0, 1))),
    ("tril", (3, 4), {"k": 0}, np.tril),
    ("tril", (2, 3, 3), {"k": -1}, lambda x: np.tril(x, -1)),
    ("triu", (4, 3), {"k": 1}, lambda x: np.triu(x, 1)),
    ("tile", (2, 3), {"repetitions": (2, 3)}, lambda x: np.tile(x, (2, 3))),
    ("tile", (3,), {"repetitions": (2, 2)}, lambda x: np.tile(x, (2, 2))),
    ("tile", (2, 3), {"repetitions": (2,)}, lambda x: np.tile(x, (2,))),
    ("repeat", (2, 3), {"repeats": 3, "axis": 0}, lambda x: np.repeat(x, 3, 0)),
    ("repeat", (2, 3), {"repeats": 2, "axis": -1}, lambda x: np.repeat(x, 2, -1)),
    ("diagonal", (3, 3), {"offset": 0}, lambda x: np.diagonal(x, 0, -2, -1)),
    ("diagonal", (2, 3, 4), {"offset": 1}, lambda x: np.diagonal(x, 1, -2, -1)),
    ("diagonal", (4, 3), {"offset": -2}, lambda x: np.diagonal(x, -2, -2, -1)),
    ("diagonal", (3, 5), {"offset": 3}, lambda x: np.diagonal(x, 3, -2, -1)),
    ("embed", (2, 3), {"axis": 0, "before": 1, "after": 2}, lambda x: np.pad(x, ((1, 2), (0, 0)))),
    ("embed", (2, 3), {"axis": -1, "before": 0, "after": 1}, lambda x: np.pad(x, ((0, 0), (0, 1)))),
]


@pytest.mark.parametrize("name, shape, params, reference", CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_one_array(check, name, shape, params, reference):
    check(getattr(manipulation, name), lambda d: (d.normal(*shape),), params=params, reference=reference, batch=False)


@pytest.mark.parametrize(
    "name, shape, params",
    [
        ("matrix_transpose", (3, 4), {}),
        ("diagonal", (3, 4), {"offset": 1}),
        ("tril", (3, 3), {"k": 0}),
        ("flip", (3,), {"axis": -1}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_batches(check, name, shape, params):
    check(getattr(manipulation, name), lambda d: (d.normal(*shape),), params=params)


@pytest.mark.parametrize(
    "shapes, axis", [(((2, 3), (2, 3)), 0), (((2, 3), (2, 1), (2, 2)), -1), (((2, 3), (4,)), None), (((3,),), 0)]
)
def test_concat(check, shapes, axis):
    def reference(*xs):
        return np.concatenate(xs, axis=axis)

    check(
        manipulation.concat,
        lambda d: [d.normal(*s) for s in shapes],
        params={"axis": axis},
        reference=reference,
        batch=False,
    )


def test_concat_of_one_traced_array_and_constants(check):
    """Tangents that are None become zeros."""
    x, c = (check.backend.put(np.ones(n, dtype=check.dtype), check.dtype) for n in (2, 3))
    f = lambda x: arrmb.namespace(x).concat([c, x * x, c])  # noqa: E731
    dy = arrmb.jvp(f, (x,), (x,))[1]
    assert dy.dtype == x.dtype
    np.testing.assert_array_equal(check.backend.get(dy), [0, 0, 0, 2, 2, 0, 0, 0])
    np.testing.assert_array_equal(check.backend.get(arrmb.vjp(f, x)[1](dy)[0]), [4, 4])


@pytest.mark.parametrize("narrow, wide", [("float32", "float64"), ("float64", "complex128"), ("float32", "complex64")])
def test_astype(backend, narrow, wide):
    x = backend.put(np.asarray([0.5, -1.0], dtype=narrow), narrow)
    target = getattr(backend.xp, wide)

    def f(x):
        xp = arrmb.namespace(x)
        y = xp.astype(x, target)
        return y * y

    y, pullback = arrmb.vjp(f, x)
    assert y.dtype == target
    bar = pullback(y)[0]
    assert bar.dtype == x.dtype
    np.testing.assert_array_equal(backend.get(bar), 2 * backend.get(x) ** 3)
    y, dy = arrmb.jvp(f, (x,), (x,))
    assert dy.dtype == target


def test_astype_to_integers_is_a_constant(backend):
    x = backend.put(np.asarray([0.5, 2.5]), "float64")

    def f(x):
        xp = arrmb.namespace(x)
        n = xp.astype(x, xp.int64)
        return xp.sum(xp.astype(n, x.dtype) * x)

    np.testing.assert_array_equal(backend.get(arrmb.grad(f)(x)), [0.0, 2.0])
    with pytest.raises(TypeError, match=r"xp\.real"):
        arrmb.grad(lambda x: arrmb.namespace(x).astype(x * 1j, x.dtype))(x)


@pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="array-api-strict moves arrays with NumPy 2 only"
)
def test_to_device():
    xp = pytest.importorskip("array_api_strict")
    here, there = xp.Device("CPU_DEVICE"), xp.Device("device1")
    x = xp.asarray([0.5, -1.0], device=here)

    def f(x):
        y = (x * x).to_device(there)
        assert device(y) == there
        return arrmb.namespace(y).sum(y * y)

    g = arrmb.grad(f)(x)
    assert device(g) == here
    np.testing.assert_allclose(np.asarray(g), [0.5, -4.0])
    assert device(arrmb.jvp(f, (x,), (x,))[1]) == there
    h = arrmb.hvp(f, (x,), (x,))[0]
    np.testing.assert_allclose(np.asarray(h), [1.5, -12.0])


def test_attributes(backend):
    x = backend.put(np.random.default_rng(0).standard_normal((3, 2)), "float64")
    transpose = lambda x: x.mT if hasattr(x, "mT") else x.T  # noqa: E731  arrays of NumPy 1.x have no mT
    check_grads(lambda x: (x.T @ x, transpose(x) ** 2), (x,))


@pytest.mark.parametrize("axis", [0, 1])
def test_unstack(check, axis):
    check(
        manipulation.unstack,
        lambda d: (d.normal(2, 3),),
        params={"axis": axis},
        reference=lambda x: tuple(np.moveaxis(x, axis, 0)),
        batch=False,
    )
