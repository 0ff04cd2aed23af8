"""Convolution and pooling of images with channels last."""

from __future__ import annotations

from typing import Any

from .. import tree
from .._xp import namespace
from ..ops.unfold import unfold
from . import _check
from .dense import affine, he_normal


@tree.dataclass
class Conv2d:
    """Two-dimensional convolution (cross-correlation, as in every framework) of images with channels last.

    Attributes
    ----------
    weight : array (kernel height, kernel width, channels in, channels out)
    bias : array (channels out,) or None
    stride : int or pair of int
    padding : {"same", "valid"}
        "same": zeros around the image such that the output has ``ceil(H / stride)`` rows, with the odd row or column of
        zeros below and right. "valid": none.
    """

    weight: Any
    bias: Any = None
    stride: Any = tree.static(default=1)
    padding: str = tree.static(default="same")

    @classmethod
    def init(
        cls,
        xp,
        rng,
        channels_in,
        channels_out,
        kernel=3,
        *,
        stride=1,
        padding="same",
        bias=True,
        dtype=None,
        device=None,
    ):
        """A layer with He initialisation. ``kernel`` is an int or a pair; for the rest see `Linear.init`."""
        kh, kw = _check.pair("Conv2d.init", "kernel", kernel)
        shape = (kh, kw, channels_in, channels_out)
        weight = he_normal(xp, rng, shape, kh * kw * channels_in, dtype, device)
        return cls(weight, namespace(weight).zeros_like(weight[0, 0, 0, :]) if bias else None, stride, padding)

    def __call__(self, x):
        """Map ``x`` (..., H, W, channels in) to (..., H', W', channels out)."""
        kh, kw, channels_in, channels_out = self.weight.shape
        _check.features("Conv2d", x, ("H", "W", "C"), channels_in)
        stride = _check.pair("Conv2d", "stride", self.stride)
        padding = _padding("Conv2d", x, (kh, kw), stride, self.padding)
        patches = unfold(x, kernel=(kh, kw), stride=stride, padding=padding)
        weight = namespace(self.weight).reshape(self.weight, (kh * kw * channels_in, channels_out))
        return affine(patches, weight, self.bias)


def max_pool2d(x, window=2, *, stride=None):
    """Maximum over windows of each channel of images; rows and columns left over are dropped.

    Parameters
    ----------
    x : array (..., H, W, C), real
    window : int or pair of int
    stride : int or pair of int, optional
        Default: the window.

    Returns
    -------
    array (..., H', W', C)
        With ``H' = (H - window) // stride + 1``. Entries that tie for a maximum share the derivative equally.

    Raises
    ------
    TypeError, ValueError
        ``x`` is not a floating-point array of such a shape, or is smaller than the window.
    """
    windows = _windows("max_pool2d", x, window, stride)
    return namespace(windows).max(windows, axis=-2)


def mean_pool2d(x, window=2, *, stride=None):
    """Mean over windows of each channel of images (..., H, W, C). Arguments and errors as for `max_pool2d`."""
    windows = _windows("mean_pool2d", x, window, stride)
    return namespace(windows).sum(windows, axis=-2) * (1.0 / windows.shape[-2])


def _windows(op, x, window, stride):
    """The entries under each window, (..., H', W', kh kw, C)."""
    _check.features(op, x, ("H", "W", "C"))
    window = _check.pair(op, "window", window)
    stride = window if stride is None else _check.pair(op, "stride", stride)
    patches = unfold(x, kernel=window, stride=stride, padding=_padding(op, x, window, stride, "valid"))
    return namespace(patches).reshape(patches, (*patches.shape[:-1], window[0] * window[1], x.shape[-1]))


def _padding(op, x, kernel, stride, padding):
    """Rows of zeros ((above, below), (left, right)); raises where the kernel does not fit."""
    if padding == "same":
        lacking = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(x.shape[-3:-1], kernel, stride)]
        return tuple((n // 2, n - n // 2) for n in lacking)
    if padding != "valid":
        raise ValueError(f'{op}: padding must be "same" or "valid", got {padding!r}')
    if any(n < k for n, k in zip(x.shape[-3:-1], kernel)):
        raise ValueError(f"{op}: x of shape {tuple(x.shape)} is smaller than the window {kernel[0]} × {kernel[1]}")
    return ((0, 0), (0, 0))
