"""Normalized cuts of learned pixel features: a convolutional network trained through `normalized_cuts_loss`.

The network sees colours at three scales, edges, texture and place at half resolution, and gives every pixel a share in
each of d channels; W = F F^T is never formed. Its cuts are grouped like those of the graph (`affinity.py`): the
eigenvectors of D^-½ W D^-½ at the pixels, averaged over superpixels.

Source: Ionescu, Vantzos, Sminchisescu, "Training Deep Networks with Structured Layers by Matrix Backpropagation",
arXiv:1509.07838, section 5.
"""

from typing import Any

import numpy as np
from bsds import grouping
from scipy import ndimage
from skimage import color

import arrmb
from arrmb.layers import Conv2d, GroupNorm, Linear, normalized_cuts_loss, relu

CHANNELS = 48
INPUTS = 18  # what is measured at a pixel


def measure(image):
    """Inputs (h/2, w/2, c) of the network, float32."""
    lab = color.rgb2lab(image)
    light, found = lab[..., 0], [lab / 30]
    found += [ndimage.gaussian_filter(lab, (s, s, 0)) / 30 for s in (2.0, 5.0)]
    found += [np.log1p(s * ndimage.gaussian_gradient_magnitude(light, s))[..., None] for s in (1.0, 2.0, 4.0)]
    for s in (3.0, 6.0):
        variance = ndimage.gaussian_filter(light * light, s) - ndimage.gaussian_filter(light, s) ** 2
        found.append(0.5 * np.log1p(np.maximum(variance, 0.0))[..., None])
    h, w = light.shape
    y, x = np.meshgrid(np.linspace(-1, 1, h), np.linspace(-1, 1, w), indexing="ij")
    found.append(np.stack([x, y, x * x, y * y], axis=-1))
    found = np.concatenate(found, axis=-1)
    found = np.pad(found, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return found.reshape(-(-h // 2), 2, -(-w // 2), 2, -1).mean(axis=(1, 3)).astype(np.float32)


@arrmb.tree.dataclass
class PixelNetwork:
    """Convolutions at a half and a quarter of the resolution, beside the input itself; then channels of a softmax."""

    convs: Any
    norms: Any
    hidden: Any
    out: Any

    @classmethod
    def init(cls, xp, rng, inputs, width=32):
        convs = [
            Conv2d.init(xp, rng, inputs, width, stride=2, bias=False),
            Conv2d.init(xp, rng, width, width, stride=2, bias=False),
            Conv2d.init(xp, rng, width, width, bias=False),
        ]
        norms = [GroupNorm.init(xp, width, groups=4) for _ in convs]
        hidden = Linear.init(xp, rng, inputs + 2 * width, 2 * width)
        return cls(convs, norms, hidden, Linear.init(xp, rng, 2 * width, CHANNELS))

    def __call__(self, x):
        """Features (h w, CHANNELS) of an input (h, w, c)."""
        h, w, _ = x.shape
        half, quarter, wide = [], x, []
        for conv, norm in zip(self.convs, self.norms):
            quarter = relu(norm(conv(quarter)))
            half = half or [quarter]
        for y, factor in ((half[0], 2), (quarter, 4)):
            xp = arrmb.namespace(y)
            wide.append(xp.repeat(xp.repeat(y, factor, axis=0), factor, axis=1)[:h, :w, :])
        x = xp.concat([xp.asarray(x), *wide], axis=-1)
        y = self.out(relu(self.hidden(xp.reshape(x, (h * w, x.shape[-1])))))
        share = xp.exp(y - xp.max(y, axis=-1, keepdims=True))
        return share / xp.sum(share, axis=-1, keepdims=True)


def loss(network, inputs, segments):
    """The distance of the cuts of an image to its true segments (h w,), per channel."""
    features = network(inputs)
    return normalized_cuts_loss(features, arrmb.namespace(features).asarray(segments)) / CHANNELS


def hand_made(inputs, seed=0):
    """Features that nobody learned: Gaussians of distances in colour and place to CHANNELS random pixels."""
    x = np.concatenate([inputs[..., 3:6] * 2, inputs[..., 14:16] * 2.5], axis=-1).reshape(-1, 5)
    centres = x[np.random.default_rng(seed).choice(len(x), CHANNELS, replace=len(x) < CHANNELS)]
    squares = (x * x).sum(axis=1)[:, None] - 2 * x @ centres.T + (centres * centres).sum(axis=1)
    return np.exp(-0.5 * (squares - squares.min(axis=1, keepdims=True)))


def segment(features, graph):
    """Label images at the scales of `grouping`, from features (h w, d) at half resolution."""
    features, n = np.asarray(features, dtype=np.float64), len(graph.areas)
    degrees = features @ features.sum(axis=0)
    a = features / np.sqrt(degrees)[:, None]
    values, vectors = np.linalg.eigh(a.T @ a)
    order = np.argsort(-values)[: grouping.MODES]
    vectors = a @ (vectors[:, order] / np.sqrt(np.maximum(values[order], 1e-9)))
    rows = grouping.coordinates(values[order], vectors, degrees)
    where = graph.labels[::2, ::2].ravel()
    size = np.maximum(np.bincount(where, minlength=n), 1)
    return grouping.segmentations(np.stack([np.bincount(where, row, n) / size for row in rows.T], axis=1), graph)
