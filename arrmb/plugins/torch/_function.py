"""Functions of pytrees of tensors: their arguments checked and taken apart, the result put together."""

from __future__ import annotations

import functools
import inspect

import torch
from torch._compile import _disable_dynamo

from ... import fft, layers, linalg, tree
from ...tape.core import Traced
from .._mirror import inside, take_apart
from ._autograd import autocast, call, full_precision

_OF_ARRMB = {
    id(getattr(module, name)) for module in (fft, layers, linalg) for name in module.__all__
}  # capture no tensors
_PLAIN = {torch.Tensor, torch.nn.Parameter, bool, int, float, complex, str, type(None)}
_HERE = object()  # in the place of a tensor
_HALF = (torch.float16, torch.bfloat16, torch.complex32)


def function(f):
    """A function of arrmb's, or one that is made of such, as a differentiable function of PyTorch tensors.

    Parameters
    ----------
    f : callable
        A function of pytrees (tuples, lists, dicts, layers of arrmb's) of arrays, built from the functions of
        `arrmb.linalg`, `arrmb.layers` and of ``xp = arrmb.namespace(x)``. It may run more than once, and has to return
        the same for the same arguments. A layer (`arrmb.layers.Linear(weight, bias)`) is a function with arguments of
        its own: its tensors get gradients.

    Returns
    -------
    callable
        With the signature of ``f``. Gradients go to every tensor argument that requires grad, and are arrmb's; they can
        be differentiated in turn. What is no tensor of floating-point numbers is a constant.

    Raises
    ------
    TypeError
        ``f`` is not a function. Of the result: an array of another library, or a tensor in half precision outside of
        ``torch.autocast``, under which it is cast to float32.
    ValueError
        Of the result: tensors on different devices, or a tensor that requires grad and which ``f`` closes over.
    """
    if not callable(f):
        raise TypeError(f"function: f must be a function, got {type(f).__name__}")
    name = getattr(f, "__name__", type(f).__name__)
    parts = tree.flatten(f)[0]
    if len(parts) == 1 and parts[0] is f:

        @functools.wraps(f)
        def wrapped(*args, **kwargs):
            return apply(name, f, args, kwargs)

    else:  # a layer: its arrays are arguments too

        @functools.wraps(f, updated=())
        def wrapped(*args, **kwargs):
            return apply(name, call_layer, (f, *args), kwargs)

    return wrapped


def call_layer(layer, *args, **kwargs):
    return layer(*args, **kwargs)


def apply(name, f, args, kwargs):
    """What `function` does with its arguments."""
    if torch.compiler.is_compiling():
        return _outside_of_the_graph(name, f, args, kwargs)
    return _run(name, f, args, kwargs)


def _run(name, f, args, kwargs):
    tensors, put_together = _take_apart(name, args, kwargs)
    if not tensors:
        return f(*args, **kwargs)
    tensors = _checked(name, f, args, kwargs, tensors)
    flat = _Flat(name, f, put_together, id(f) in _OF_ARRMB and not any(map(callable, (*args, *kwargs.values()))))
    with full_precision(tensors[0]):
        return flat.result(call(flat, tensors))


_untraced = _disable_dynamo(_run)


def _outside_of_the_graph(name, f, args, kwargs):
    return _untraced(name, f, args, kwargs)


# torch.compile breaks its graph here. `torch.compiler.disable`, which sets these too, would import the compiler
_outside_of_the_graph._torchdynamo_disable = True
_outside_of_the_graph._torchdynamo_disable_msg = "arrmb runs outside of the graph, with derivatives of its own"


class _Flat:
    """``f`` as a function of tensors only, which returns a tuple of tensors. It remembers what else ``f`` returns."""

    def __init__(self, name, f, put_together, closed):
        self.name, self.f, self.put_together, self.closed = name, f, put_together, closed

    def __call__(self, *tensors):
        args, kwargs = self.put_together(tensors)
        try:
            y = self.f(*args, **kwargs)
        except TypeError as error:
            if "must be Tensor, not Traced" not in str(error):
                raise
            raise TypeError(
                f"{self.name}: a function of PyTorch met an array of arrmb: inside, use arrmb's functions and those of "
                "xp = arrmb.namespace(x)"
            ) from error
        if _is_array(y):
            self.structure = None
            return (y,)
        leaves, self.structure = tree.flatten(y)
        self.others = [None if _is_array(y) else y for y in leaves]
        self.places = [i for i, y in enumerate(leaves) if _is_array(y)]
        return tuple([leaves[i] for i in self.places])

    def result(self, tensors):
        if self.structure is None:
            return tensors[0]
        leaves = list(self.others)
        for i, y in zip(self.places, tensors):
            leaves[i] = y
        return self.structure.unflatten(leaves)


def _is_tensor(x):
    return isinstance(x, torch.Tensor)


def _is_array(x):
    return isinstance(x, torch.Tensor) or type(x) is Traced


def _take_apart(name, args, kwargs):
    """`take_apart`, and the short way where the arguments are tensors, numbers and strings: no trees."""
    values = (*args, *kwargs.values())
    if Traced in map(type, values):
        raise inside(name)
    if not _PLAIN.issuperset(map(type, values)):
        return take_apart(name, args, kwargs, _is_tensor, "expected PyTorch tensors: torch.as_tensor(x)")
    tensors = [x for x in values if isinstance(x, torch.Tensor)]
    values, names = [_HERE if isinstance(x, torch.Tensor) else x for x in values], tuple(kwargs)

    def put_together(arrays):
        arrays = iter(arrays)
        full = [next(arrays) if x is _HERE else x for x in values]
        return full[: len(full) - len(names)], dict(zip(names, full[len(full) - len(names) :]))

    return tensors, put_together


def _checked(name, f, args, kwargs, tensors):
    """The tensors on one device, of single or double precision where they are floating-point numbers."""
    place = None
    for i, x in enumerate(tensors):
        if x.dtype in _HALF:
            if not autocast(x.device.type):
                raise TypeError(
                    f"{name}: got a tensor of dtype {x.dtype}, and needs single or double precision: cast it with "
                    "x.float() (under torch.autocast it is cast to float32 for you)"
                )
            tensors[i] = x = x.to(torch.complex64 if x.dtype.is_complex else torch.float32)
        if x.dim():  # PyTorch lets a number on the CPU meet tensors anywhere
            place = x.device if place is None else place
            if x.device != place:
                raise ValueError(f"{name}: tensors on different devices ({_places(f, args, kwargs)}): move them to one")
    return tensors


def _places(f, args, kwargs):
    try:
        arguments = inspect.signature(f).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # no signature, or none that fits: f itself will say so
        arguments = (args, kwargs)
    found = zip(tree.paths(arguments), tree.flatten(arguments)[0])
    return ", ".join(f"{path} on {x.device}" for path, x in found if isinstance(x, torch.Tensor))
