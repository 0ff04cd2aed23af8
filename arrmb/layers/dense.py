"""Linear maps of features, the rectifier, and the cross-entropy loss."""

from __future__ import annotations

import math
from typing import Any

from .. import tree
from .._xp import device, is_complex, namespace, raw, raw_namespace
from ..ops.matmul import matmul
from ..ops.relu import relu as _relu
from . import _check


@tree.dataclass
class Linear:
    """The affine map ``x @ weight + bias`` of the last axis.

    Attributes
    ----------
    weight : array (channels in, channels out)
    bias : array (channels out,) or None
    """

    weight: Any
    bias: Any = None

    @classmethod
    def init(cls, xp, rng, channels_in, channels_out, *, bias=True, dtype=None, device=None):
        """A layer with He initialisation: weights of variance 2 / ``channels_in``, biases of zero.

        Parameters
        ----------
        xp : module
            Array namespace: ``numpy``, ``cupy``, ``torch``, or any other of the Array API standard.
        rng : numpy.random.Generator
            Source of the weights, so that one seed gives the same weights on every backend.
        channels_in, channels_out : int
        bias : bool
        dtype : dtype of xp, optional
            Default: ``xp.float32``.
        device : optional
            Default: the default device of xp.
        """
        weight = he_normal(xp, rng, (channels_in, channels_out), channels_in, dtype, device)
        return cls(weight, namespace(weight).zeros_like(weight[0, :]) if bias else None)

    def __call__(self, x):
        """Map ``x`` (..., channels in) to (..., channels out)."""
        _check.features("Linear", x, ("c",), self.weight.shape[0])
        return affine(x, self.weight, self.bias)


def affine(x, weight, bias):
    """``x @ weight + bias`` with x (..., k) as the rows of one matrix: one large product, not many small ones."""
    xp = namespace(x, weight)
    *batch, k = x.shape
    y = matmul(xp.reshape(x, (math.prod(batch), k)), weight)  # the op's threads: BLAS's would spin on
    if bias is not None:
        y = namespace(y, bias).add(y, bias)
    return namespace(y).reshape(y, (*batch, weight.shape[-1]))


def he_normal(xp, rng, shape, fan_in, dtype, device):
    """Normal random weights of variance 2 / ``fan_in``.

    Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers" (2015).
    """
    xp = namespace(xp.zeros(()))  # cupy or torch as well as the Array API namespace over it
    if not hasattr(rng, "standard_normal"):
        raise TypeError(f"rng must be a numpy.random.Generator, whatever the arrays are, got {type(rng).__name__}")
    weight = rng.standard_normal(shape) * math.sqrt(2.0 / fan_in)
    return xp.asarray(weight, dtype=xp.float32 if dtype is None else dtype, device=device)


def relu(x):
    """Rectifier, max(x, 0), of a real array of any shape. Its derivative at 0 is 0."""
    _check.features("relu", x, ())
    if is_complex(x):
        raise TypeError(f"relu: x has dtype {x.dtype}, and the order that a rectifier needs is that of real numbers")
    return _relu(x)


def softmax_cross_entropy(logits, labels):
    """Cross-entropy of the softmax of ``logits`` with integer class labels, ``log sum exp(logits) - logits[label]``.

    Parameters
    ----------
    logits : array (..., k)
        Real floating-point scores of k classes.
    labels : array (...)
        Integers from 0 to k - 1. Values are not checked (it would make a GPU wait): a label out of that range gives a
        finite loss without meaning.

    Returns
    -------
    array (...)
        One loss per label, finite for finite logits of any size; take the mean with ``xp.mean``.

    Raises
    ------
    TypeError
        ``logits`` are not real floating-point numbers, ``labels`` not integers, or they belong to different backends.
    ValueError
        The shape of ``labels`` is not that of ``logits`` without its last axis.
    """
    op = "softmax_cross_entropy"
    _check.features(op, logits, ("k",), name="logits")
    if is_complex(logits):
        raise TypeError(f"{op}: logits must be real, got dtype {logits.dtype}")
    if not hasattr(labels, "dtype"):
        raise TypeError(f"{op}: labels must be an array of integers, got {type(labels).__name__}")
    labels = raw(labels)
    xp = namespace(logits, labels)
    if not raw_namespace(xp).isdtype(labels.dtype, "integral"):
        raise TypeError(f"{op}: labels must be integers, got dtype {labels.dtype}")
    if tuple(labels.shape) != tuple(logits.shape[:-1]):
        raise ValueError(
            f"{op}: labels must have the shape of logits without the last axis, {tuple(logits.shape[:-1])}, "
            f"got {tuple(labels.shape)}"
        )
    # log sum exp does not change when a constant is taken off and put back, nor do its derivatives: no trace of it.
    values = raw(logits)
    top = raw_namespace(xp).max(values, axis=-1, keepdims=True)
    shifted = logits - top
    classes = raw_namespace(xp).arange(logits.shape[-1], dtype=labels.dtype, device=device(labels))
    chosen = xp.where(labels[..., None] == classes, shifted, 0.0)  # not a product: a logit may be -inf, to mask a class
    return xp.log(xp.sum(xp.exp(shifted), axis=-1)) - xp.sum(chosen, axis=-1)
