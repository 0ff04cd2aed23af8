"""Pytrees."""

import collections
import dataclasses

import numpy as np
import pytest

import arrmb
from arrmb import tree

Pair = collections.namedtuple("Pair", "left right")


@tree.dataclass
class Affine:
    weight: object
    bias: object = None
    stride: int = tree.static(default=1)


def test_flatten_and_back():
    t = {"b": [1.0, Pair(2.0, None)], "a": (Affine(3.0, {"x": 4.0}, stride=2),), "c": None, "d": {}}
    leaves, structure = tree.flatten(t)
    assert leaves == [3.0, 4.0, 1.0, 2.0]  # keys of dicts in order
    back = structure.unflatten([10.0, 20.0, 30.0, 40.0])
    assert back["a"][0].weight == 10.0 and back["a"][0].bias == {"x": 20.0} and back["a"][0].stride == 2
    assert back["b"] == [30.0, Pair(40.0, None)] and back["c"] is None and back["d"] == {}


def test_map():
    a, b = Affine(1.0, [2.0]), Affine(10.0, [20.0])
    c = tree.map(lambda x, y: x + y, a, b)
    assert isinstance(c, Affine) and c.weight == 11.0 and c.bias == [22.0]
    with pytest.raises(ValueError):
        tree.map(lambda x, y: x, a, {"weight": 1.0})


def test_static_fields_are_structure():
    assert tree.flatten(Affine(1.0, stride=2))[1] != tree.flatten(Affine(1.0, stride=3))[1]
    assert tree.flatten(Affine(1.0, stride=2))[1] == tree.flatten(Affine(5.0, stride=2))[1]


def test_dataclasses_are_frozen():
    layer = Affine(1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.weight = 2.0
    assert dataclasses.replace(layer, weight=2.0).weight == 2.0


def test_paths():
    t = {"trunk": [Affine(1.0, 2.0), Affine(3.0)], "head": Pair(4.0, (5.0,))}
    assert tree.paths(t) == ["head.0", "head.1.0", "trunk.0.weight", "trunk.0.bias", "trunk.1.weight"]


def test_a_leaf_that_is_no_array_is_named_in_the_error():
    with pytest.raises(TypeError, match=r"found a str.*tree\.static"):
        arrmb.grad(lambda layer: arrmb.namespace(layer.weight).sum(layer.weight))(Affine(np.ones(2), "relu"))
