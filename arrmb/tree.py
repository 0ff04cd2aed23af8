"""Pytrees: arrays in dicts, lists, tuples and dataclasses, by optree.

A dataclass declared with `dataclass` is a pytree node: its fields are subtrees, those declared with ``static`` are part
of its structure. Layers are such dataclasses; a model is a tree of them, and its gradient has the same structure.
"""

from __future__ import annotations

_NAMESPACE = "arrmb"
_classes = []  # made by `dataclass`
_told = []  # by plug-ins: called with each of them


def flatten(tree):
    """Leaves of ``tree`` and its structure; ``structure.unflatten(leaves)`` puts them back."""
    import optree

    return optree.tree_flatten(tree, namespace=_NAMESPACE)


def map(f, tree, *rest):
    """Apply ``f`` to the leaves of trees of one structure."""
    import optree

    return optree.tree_map(f, tree, *rest, namespace=_NAMESPACE)


def paths(tree):
    """A name for each leaf, such as ``"trunk.0.weight"``, in the order of `flatten`."""
    import optree

    found = optree.tree_flatten_with_path(tree, namespace=_NAMESPACE)[0]
    return [".".join(str(part) for part in path) for path in found]


def dataclass(cls):
    """Class decorator: a frozen dataclass that is a pytree node."""
    import optree

    made = optree.dataclasses.dataclass(cls, frozen=True, eq=False, namespace=_NAMESPACE)
    _classes.append(made)
    for tell in _told:
        tell(made)
    return made


def each_dataclass(tell):
    """Call ``tell`` with each class that `dataclass` has made, and will make."""
    _told.append(tell)
    for cls in _classes:
        tell(cls)


def fields(cls):
    """The names of the fields of a dataclass: those that are subtrees, and those that are structure."""
    import dataclasses

    found = dataclasses.fields(cls)
    trees = [f.name for f in found if f.metadata.get("pytree_node", True)]
    return trees, [f.name for f in found if f.name not in trees]


def static(**kwargs):
    """A dataclass field that is structure (a size, a name), not a subtree."""
    import optree

    return optree.dataclasses.field(pytree_node=False, **kwargs)
