"""Modules: any layer or function of arrmb's with its arrays as parameters, and the layers of the paper."""

from __future__ import annotations

import torch

from ... import layers, tree
from ...layers.second_order_pooling import check_options
from ._function import apply, call_layer, function


class Module(torch.nn.Module):
    """A layer or function of arrmb's as a `torch.nn.Module`.

    Parameters
    ----------
    layer : callable pytree
        Such as `arrmb.layers.Linear.init(torch, rng, 3, 4)`, or a function without parameters, or, with ``f``, any
        pytree. Its floating-point arrays (PyTorch's or NumPy's, which are copied) become parameters, its other arrays
        buffers. They are named by their path, ``weight`` or ``trunk.0.weight``.
    f : callable, optional
        ``module(*args)`` is ``f(layer, *args)``, differentiable by `function`; by default ``layer(*args)``.

    Raises
    ------
    TypeError
        ``f`` is not a function; or it is left out, and ``layer`` cannot be called.
    ValueError
        The path of an array is that of another one, or the name of something that every module has.
    """

    def __init__(self, layer, f=None):
        super().__init__()
        if f is None and not callable(layer):
            raise TypeError(f"Module: a {type(layer).__name__} cannot be called: pass f too, Module(parameters, f)")
        if f is not None and not callable(f):
            raise TypeError(f"Module: f must be a function, got {type(f).__name__}")
        self._layer, self._f = None, f
        leaves, structure = tree.flatten(layer)
        names = [name or "value" if _is_array(x) else None for name, x in zip(tree.paths(layer), leaves)]
        shared = {}  # an array in two places is one parameter
        for name, x in zip(names, leaves):
            if name is not None:
                self._keep(name, shared.setdefault(id(x), _own(x)))
        self._layer = structure.unflatten([x if n is None else _Place(n) for n, x in zip(names, leaves)])

    def _keep(self, name, x):
        *path, last = name.split(".")
        owner = self
        for part in path:
            if part not in owner._modules:
                _refuse_taken(owner, part, name)
                owner.add_module(part, torch.nn.Module())
            owner = owner._modules[part]
        _refuse_taken(owner, last, name)
        if isinstance(x, torch.nn.Parameter):
            owner.register_parameter(last, x)
        else:
            owner.register_buffer(last, x)

    def as_layer(self):
        """The layer with the present parameters in it, for use with arrmb or inside a `function`."""
        leaves, structure = tree.flatten(self._layer)
        return structure.unflatten([self._find(x.name) if type(x) is _Place else x for x in leaves])

    def _find(self, name):
        *path, last = name.split(".")
        owner = self
        for part in path:
            owner = owner._modules[part]
        return getattr(owner, last)

    def forward(self, *args, **kwargs):
        f = call_layer if self._f is None else self._f
        return apply(self.extra_repr(), f, (self.as_layer(), *args), kwargs)

    def extra_repr(self):
        named = self._layer if self._f is None else self._f
        return getattr(named, "__name__", type(named).__name__)


def _refuse_taken(owner, part, name):
    if not part or hasattr(owner, part):
        raise ValueError(f"Module: an array cannot be named {name!r}: {part!r} is taken; give the array another name")


class _Place:
    """Where a parameter stands in the tree of a layer."""

    def __init__(self, name):
        self.name = name


def _is_array(x):
    return isinstance(x, torch.Tensor) or (type(x).__module__ == "numpy" and hasattr(x, "dtype"))


def _own(x):
    x = x.detach() if isinstance(x, torch.Tensor) else torch.tensor(x)
    return torch.nn.Parameter(x) if x.dtype.is_floating_point or x.dtype.is_complex else x


class SecondOrderPooling(torch.nn.Module):
    """Second-order pooling, ``f(F^H F + eps I)``, of features (..., locations, channels) to (..., channels, channels).

    Feature maps of convolutions, (batch, channels, height, width), go in as ``maps.flatten(2).mT``. The arguments are
    those of `arrmb.layers.second_order_pooling`.
    """

    def __init__(self, eps=1e-3, transform="log", average=False):
        super().__init__()
        check_options("SecondOrderPooling", eps, transform)
        self.eps, self.transform, self.average = eps, transform, average

    def forward(self, features, masks=None):
        return _pool(features, masks=masks, eps=self.eps, transform=self.transform, average=self.average)

    def extra_repr(self):
        return f"eps={self.eps}, transform={self.transform!r}, average={self.average}"


class NormalizedCutsLoss(torch.nn.Module):
    """`arrmb.layers.normalized_cuts_loss` of features (..., pixels, channels) and integer labels (..., pixels).

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        Over the images; "none" returns one loss per image.
    """

    def __init__(self, reduction="mean"):
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f'NormalizedCutsLoss: reduction must be "mean", "sum" or "none", got {reduction!r}')
        self.reduction = reduction

    def forward(self, features, labels, weights=None):
        loss = _cuts(features, labels, weights=weights)
        return loss if self.reduction == "none" else getattr(loss, self.reduction)()

    def extra_repr(self):
        return f"reduction={self.reduction!r}"


_pool = function(layers.second_order_pooling)
_cuts = function(layers.normalized_cuts_loss)
