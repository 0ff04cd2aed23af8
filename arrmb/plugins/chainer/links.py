"""Links: arrmb's layers, and any tree of arrays with a function of it, with Parameters that optimizers train."""

import chainer
import numpy
from chainer.backends import cuda

from ... import layers, tree
from ..._xp import is_inexact
from ...layers.second_order_pooling import check_options
from .node import apply


class Link(chainer.Link):
    """A link of an arrmb layer, or of any function with a tree of parameters.

    Parameters
    ----------
    parameters : pytree of arrays (NumPy or CuPy)
        An arrmb layer, such as `arrmb.layers.Linear`, or a dict, a list, ... of them. Copies of its floating-point
        arrays become `chainer.Parameter` objects, named by their path in the tree: ``weight``, ``head/bias``,
        ``convs/0/weight``. Integers and booleans become persistent values. Both move with the link
        (`to_device`) and are saved with it.
    f : callable, optional
        ``f(parameters, *inputs)``; the default calls the layer, ``parameters(*inputs)``.

    Raises
    ------
    TypeError
        ``parameters`` has no array, or an array of another library or of complex numbers; ``f`` is left out, and
        ``parameters`` cannot be called.
    ValueError
        The path of an array is the name of something that every link has.

    Examples
    --------
    >>> link = Link(arrmb.layers.Linear.init(numpy, numpy.random.default_rng(0), 3, 2))
    >>> y = link(numpy.ones((5, 3), numpy.float32))

    ``copy`` and ``repeat`` copy the values as they are, in the mode "init" as well.
    """

    def __init__(self, parameters, f=None):
        super().__init__()
        if f is None and not callable(parameters):
            raise TypeError(
                f"Link: a {type(parameters).__name__} cannot be called: pass f(parameters, *inputs) as well"
            )
        leaves, self._structure = tree.flatten(parameters)
        self._f, self._rest, self._names = f, leaves, []
        self._label = getattr(f, "__name__", type(parameters).__name__)
        for i, (path, x) in enumerate(zip(tree.paths(parameters), leaves)):
            if not (hasattr(x, "dtype") and hasattr(x, "shape")):
                continue
            if not isinstance(x, (numpy.ndarray, cuda.ndarray)):
                raise TypeError(f"Link: expected NumPy or CuPy arrays, got {type(x).__module__}.{type(x).__name__}")
            name = path.replace(".", "/") or "value"
            if hasattr(self, name):
                raise ValueError(f"Link: a link has an attribute {name!r} of its own: give the array another name")
            if x.dtype.kind in "iub":
                self.add_persistent(name, x.copy())
            elif is_inexact(x) and x.dtype.kind == "f":
                parameter = chainer.Parameter(x.copy())
                parameter.initializer = chainer.initializers.Constant(x)  # for Link.copy("init")
                with self.init_scope():
                    setattr(self, name, parameter)
            else:
                raise TypeError(f"Link: expected float32 or float64 parameters, got {x.dtype} for {name!r}")
            self._rest[i] = None
            self._names.append((i, name))
        if not self._names:
            raise TypeError("Link: there is no array among the parameters: arrmb.plugins.chainer.function suffices")

    def forward(self, *inputs, **options):
        return apply(self._label, self._call, (self.parameters, *inputs), options)

    def _call(self, parameters, *inputs, **options):
        return (parameters if self._f is None else lambda *a, **k: self._f(parameters, *a, **k))(*inputs, **options)

    @property
    def parameters(self):
        """The tree that the link was made of, with Parameters where it had floating-point arrays."""
        leaves = list(self._rest)
        for i, name in self._names:
            leaves[i] = getattr(self, name)
        return self._structure.unflatten(leaves)


class SecondOrderPooling(chainer.Link):
    """Second-order pooling of local features, ``f(F^T F + eps I)``: `arrmb.layers.second_order_pooling` as a link.

    Parameters
    ----------
    eps : float
    transform : {"log", "power", "none"}
    average : bool
        Whether to divide by the number of locations, or by the sum of the weights of the region.

    The link takes ``(features, masks=None)``: features of shape (..., n, d), n locations of d channels, and regions
    (..., r, n). Of a feature map h (n, channels, height, width), the features are
    ``F.transpose(F.reshape(h, (n, channels, -1)), (0, 2, 1))``.
    """

    def __init__(self, eps=1e-3, transform="log", average=False):
        super().__init__()
        check_options("SecondOrderPooling", eps, transform)
        self.eps, self.transform, self.average = eps, transform, average

    def forward(self, features, masks=None):
        options = {"masks": masks, "eps": self.eps, "transform": self.transform, "average": self.average}
        return apply("second_order_pooling", layers.second_order_pooling, (features,), options)

    @property
    def printable_specs(self):
        yield from super().printable_specs
        yield from (("eps", self.eps), ("transform", self.transform), ("average", self.average))


class NormalizedCutsLoss(chainer.Link):
    """The loss of normalized cuts: `arrmb.layers.normalized_cuts_loss` as a link.

    Parameters
    ----------
    reduce : {"mean", "no"}
        The mean over the images, or one loss per image.

    The link takes ``(features, labels, weights=None)``: non-negative features of shape (..., n, d), integer labels
    (..., n), and weights (..., d) of the channels.
    """

    def __init__(self, reduce="mean"):
        super().__init__()
        if reduce not in ("mean", "no"):
            raise ValueError(f'NormalizedCutsLoss: reduce must be "mean" or "no", got {reduce!r}')
        self.reduce = reduce

    def forward(self, features, labels, weights=None):
        options = {"weights": weights}
        y = apply("normalized_cuts_loss", layers.normalized_cuts_loss, (features, labels), options)
        return y if self.reduce == "no" else chainer.functions.mean(y)
