"""Indexing with every kind of key of the standard, and with integer arrays."""

import numpy as np
import pytest

import arrmb
from arrmb.ops import indexing
from arrmb.tape.core import Op
from arrmb.testing import check_grads

KEYS = {
    "integer": (1, ...),
    "negative": (..., -1),
    "slice": (slice(1, None), slice(None, None, 2)),
    "reversed": (..., slice(None, None, -1)),
    "negative step": (slice(2, 0, -1), slice(3, None, -2)),
    "none": (None, ..., None),
    "none only": (None, slice(None), slice(None)),
    "ellipsis": (...,),
    "both integers": (1, 2),
    "empty": (slice(2, 2), ...),
}


def skip_negative_steps(check, key):
    if check.backend.name == "torch" and any(isinstance(k, slice) and (k.step or 1) < 0 for k in key):
        pytest.skip("PyTorch has no negative steps")


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_getitem(check, key):
    skip_negative_steps(check, key)
    check(indexing.getitem, lambda d: (d.normal(3, 4),), params={"key": key}, reference=lambda x: x[key], batch=False)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_put(check, key):
    skip_negative_steps(check, key)
    shape = np.zeros((3, 4))[key].shape

    def reference(y):
        x = np.zeros((3, 4), dtype=y.dtype)
        x[key] = y
        return x

    check(
        indexing.put,
        lambda d: (d.normal(*shape),),
        params={"key": key, "shape": (3, 4)},
        reference=reference,
        batch=False,
    )


def test_keys_that_are_no_tuples(backend):
    x = backend.put(np.arange(3.0), "float64")
    mask = backend.put(np.asarray([True, False, True]), "float64")
    for key in (0, slice(1, 3), Ellipsis, mask):
        expected = np.zeros(3)
        expected[backend.get(key) if key is mask else key] = 2.0
        f = lambda x, key=key: arrmb.namespace(x).sum(2.0 * x[key])  # noqa: E731
        np.testing.assert_array_equal(backend.get(arrmb.grad(f)(x)), expected)
    if backend.name != "strict":  # there, None needs an ellipsis
        np.testing.assert_array_equal(
            backend.get(arrmb.grad(lambda x: arrmb.namespace(x).sum(x[None] * 2.0))(x)), 2 * np.ones(3)
        )


def test_boolean_mask_of_matrices(backend):
    x = backend.put(np.random.default_rng(0).standard_normal((3, 4)), "float64")
    check_grads(lambda x: x[x > 0.1] ** 2, (x,))


def test_take_adds_up_repeated_rows(check):
    indices = [2, 0, 2, 2]
    check(
        indexing.take,
        lambda d: (d.normal(3, 2),),
        params={"indices": check.backend.put(np.asarray(indices), check.dtype)},
        reference=lambda x: x[indices],
        batch=False,
    )


def test_scatter(check):
    indices = np.asarray([2, 0, 2, 2])

    def reference(y):
        x = np.zeros((3, 2), dtype=y.dtype)
        np.add.at(x, indices, y)
        return x

    check(
        indexing.scatter,
        lambda d: (d.normal(4, 2),),
        params={"indices": check.backend.put(indices, check.dtype), "n": 3},
        reference=reference,
        batch=False,
    )


@pytest.mark.parametrize("key", [([2, 0, 2],), ([[0, 1], [2, 2]],), ([2, 0, 2], [1, 1, 1])], ids=str)
def test_integer_arrays_as_keys(backend, key):
    x = backend.put(np.random.default_rng(0).standard_normal((3, 4)), "float64")
    key = tuple(backend.put(np.asarray(k), "float64") for k in key)
    if backend.name == "strict" and len(key) == 1:
        key = (*key, backend.put(np.zeros(np.shape(key[0]), dtype=int), "float64"))
    check_grads(lambda x: arrmb.namespace(x).sin(x[key]), (x,))
    np.testing.assert_array_equal(backend.get(arrmb.vjp(lambda x: x[key], x)[0]), backend.get(x[key]))


def test_out_of_range_is_the_backends_own_error():
    with pytest.raises(IndexError):
        arrmb.grad(lambda x: x[5])(np.zeros(3))


def test_ops_are_ops():
    assert all(isinstance(op, Op) for op in (indexing.getitem, indexing.put, indexing.take, indexing.scatter))


@pytest.mark.parametrize("key", [[0, 0], (slice(None), [0, 2, 2]), ([0, 0], [1, 1]), (slice(None), (1, 1))])
def test_lists_in_a_key_add_up_repeated_entries(backend, key):
    x = backend.put(np.arange(12.0).reshape(3, 4), "float64")
    expected = np.zeros((3, 4))
    np.add.at(expected, key, 1.0)
    if backend.name == "strict":
        with pytest.raises(IndexError):  # the standard has no such keys
            x[key]
        return
    np.testing.assert_array_equal(backend.get(arrmb.grad(lambda x: arrmb.namespace(x).sum(x[key]))(x)), expected)
