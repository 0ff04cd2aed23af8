"""Layers: structured matrix layers, and what a small network around them needs."""

from .conv import Conv2d, max_pool2d, mean_pool2d
from .dense import Linear, relu, softmax_cross_entropy
from .norm import GroupNorm, group_norm
from .normalized_cuts import normalized_cuts_loss, normalized_cuts_segment
from .second_order_pooling import second_order_pooling

__all__ = [
    "Conv2d",
    "GroupNorm",
    "Linear",
    "group_norm",
    "max_pool2d",
    "mean_pool2d",
    "normalized_cuts_loss",
    "normalized_cuts_segment",
    "relu",
    "second_order_pooling",
    "softmax_cross_entropy",
]
