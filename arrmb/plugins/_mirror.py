"""What the plug-ins share: the arguments of a call taken apart, and arrmb's modules with every function wrapped."""

from __future__ import annotations

import types
from numbers import Number

from .. import fft, layers, linalg, tree
from ..tape.core import Traced


def inside(name):
    """The error for a function of a plug-in that is called where arrmb's own belong."""
    return TypeError(
        f"{name}: this function of a plug-in was called inside of `function`, arrmb.grad or the like: there, use "
        "arrmb's own, of arrmb.linalg, arrmb.layers and arrmb.fft"
    )


def take_apart(name, args, kwargs, is_array, expected):
    """The framework's arrays among the arguments, and a function that puts others in their places.

    Parameters
    ----------
    name : str
        Of the function that is called, for messages.
    args : tuple
    kwargs : dict
        Pytrees: arrays, and everything else, which is passed on as it is.
    is_array : callable
        Whether a leaf is an array of the framework.
    expected : str
        What is asked for when it is an array of another one, and how to make one.

    Returns
    -------
    arrays : list
    put_together : callable
        ``put_together(arrays) -> (args, kwargs)``.
    """
    leaves, structure = tree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if is_array(leaf)]
    for leaf in leaves:
        if type(leaf) is Traced:
            raise inside(name)
        if hasattr(leaf, "dtype") and hasattr(leaf, "shape") and not is_array(leaf) and not isinstance(leaf, Number):
            wanted, _, advice = expected.partition(": ")
            got = f"{type(leaf).__module__}.{type(leaf).__name__}"
            raise TypeError(f"{name}: {wanted}, got {got}" + (advice and f": {advice}"))

    found = [leaves[i] for i in places]
    for i in places:
        leaves[i] = None  # what is kept of a call does not keep its arrays

    def put_together(arrays):
        full = list(leaves)
        for i, x in zip(places, arrays):
            full[i] = x
        return structure.unflatten(full)

    return found, put_together


def mirror(plugin, wrap):
    """Modules ``linalg``, ``layers`` and ``fft`` with arrmb's public functions, each passed through ``wrap``.

    Layers that hold parameters are classes, and stay what they are: trees of arrays, whatever the arrays.
    """
    found = []
    for source in (linalg, layers, fft):
        short = source.__name__.rpartition(".")[2]
        module = types.ModuleType(f"{plugin}.{short}", f"The functions of `arrmb.{short}` for this framework's arrays.")
        for name in source.__all__:
            function = getattr(source, name)
            setattr(module, name, function if isinstance(function, type) else wrap(function))
        module.__all__ = list(source.__all__)
        found.append(module)
    return found
