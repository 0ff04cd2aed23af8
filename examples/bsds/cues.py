"""Superpixels of a photograph, and what is measured between two of them.

An image becomes a graph: about 500 small regions, an edge between any two that are at most three borders apart, and on
each edge the cues that tell whether both belong to one segment: differences of colour and texture, and the strength of
the weakest barrier between them. All cues are fixed; what is learned is how to weigh them (`affinity.py`).

Superpixels: Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation", IJCV 2004. Cues: Martin,
Fowlkes, Malik, "Learning to Detect Natural Image Boundaries Using Local Brightness, Color, and Texture Cues", TPAMI
2004; the barrier is the intervening contour of Leung and Malik, "Contour Continuity in Region Based Image
Segmentation", ECCV 1998.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage import color, segmentation

WORDS = 24  # of the vocabularies of colours and of textures
HOPS = 3  # borders between the two ends of an edge, at most
COUNT = 27  # cues of an edge; among them:
BARRIERS, COLOR, HUES = slice(0, 13), 16, 19  # barriers per map; differences of mean colour / 20 and of histograms
FAR = np.float32(1e9)


class Graph(NamedTuple):
    """Superpixels ``labels`` (h, w), their areas (n,), and edges (i, j) (e,) with cues (e, c)."""

    labels: np.ndarray
    areas: np.ndarray
    i: np.ndarray
    j: np.ndarray
    cues: np.ndarray


class Vocabulary(NamedTuple):
    """Typical filter responses and colours, to which those of a pixel are compared."""

    textures: np.ndarray  # (WORDS, filters)
    colors: np.ndarray  # (WORDS, 3)


def filter_responses(lab):
    """Sizes of Gaussian derivatives of the lightness at three scales (h, w, filters), their range compressed."""
    light, found = lab[..., 0], []
    for s in (1.0, 2.0, 4.0):
        dx, dy, dxx, dyy, dxy = (
            s ** sum(order) * ndimage.gaussian_filter(light, s, order=order)
            for order in ((0, 1), (1, 0), (0, 2), (2, 0), (1, 1))
        )
        found += [np.abs(dx), np.abs(dy), np.hypot(dx, dy), np.abs(dxx), np.abs(dyy), np.abs(dxy), dxx + dyy]
    found = np.stack(found, axis=-1)
    size = np.linalg.norm(found, axis=-1, keepdims=True)
    return found / (size + 1e-3) * np.log1p(size / 3)


def learn_vocabulary(images, seed=0, samples=1500):
    """k-means of filter responses and of colours at random pixels of ``images`` (h, w, 3)."""
    from scipy.cluster.vq import kmeans2

    rng, found = np.random.default_rng(seed), ([], [])
    for image in images:
        lab = color.rgb2lab(image)
        chosen = rng.integers(0, lab.shape[0] * lab.shape[1], samples)
        for values, kind in zip((filter_responses(lab), lab), found):
            kind.append(values.reshape(-1, values.shape[-1])[chosen])
    return Vocabulary(*(kmeans2(np.concatenate(kind), WORDS, minit="++", seed=seed)[0] for kind in found))


def nearest_word(values, words):
    """Index of the word nearest to each value (h, w)."""
    flat = values.reshape(-1, values.shape[-1])
    return np.argmin((words * words).sum(axis=1) - 2 * flat @ words.T, axis=1).reshape(values.shape[:-1])


def gradient_maps(lab, texture, hue):
    """How fast colour, texture and their vocabularies' words change at each pixel (h, w, maps)."""
    maps = [s * ndimage.gaussian_gradient_magnitude(lab[..., k], s) for s in (1.0, 2.0, 4.0) for k in range(3)]
    for words, s in ((texture, 3.0), (texture, 6.0), (hue, 2.0), (hue, 5.0)):
        parts = (s * ndimage.gaussian_gradient_magnitude((words == k).astype(np.float32), s) for k in range(WORDS))
        maps.append(np.sqrt(sum(part * part for part in parts)))
    return np.stack(maps, axis=-1)


def borders(labels, maps):
    """Pairs i < j of neighbours, the number of pixel pairs on each border, and the mean of ``maps`` along it."""
    n, pairs, values = int(labels.max()) + 1, [], []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        a, b = labels[here], labels[there]
        across = a != b
        pairs.append((np.minimum(a, b) * n + np.maximum(a, b))[across])
        values.append(np.maximum(maps[here], maps[there])[across])
    key, where, length = np.unique(np.concatenate(pairs), return_inverse=True, return_counts=True)
    values = np.concatenate(values)
    means = [np.bincount(where, values[:, k], len(key)) / length for k in range(values.shape[1])]
    return key // n, key % n, length, np.stack(means, axis=1)


def barriers(n, i, j, strengths):
    """For pairs up to HOPS borders apart: the number of borders, and the lowest highest border on a path, per map."""
    step = np.full((n, n, strengths.shape[1]), FAR, dtype=np.float32)
    step[i, j] = step[j, i] = strengths
    step[np.arange(n), np.arange(n)] = 0.0
    hops = np.where(step[..., 0] < FAR, 1, 0)
    neighbours = [np.flatnonzero(hops[k]) for k in range(n)]
    lowest = step.copy()
    for count in range(2, HOPS + 1):
        longer = lowest.copy()
        for k in range(n):
            for end in neighbours[k]:
                np.minimum(longer[:, end], np.maximum(lowest[:, k], step[k, end]), out=longer[:, end])
        lowest = longer
        hops[(hops == 0) & (lowest[..., 0] < FAR)] = count
    np.fill_diagonal(hops, 0)
    return hops, lowest


def chi_squared(p, q):
    return 0.5 * ((p - q) ** 2 / (p + q + 1e-9)).sum(axis=1)


def build_graph(image, vocabulary):
    """The graph of an image (h, w, 3) of uint8."""
    lab = color.rgb2lab(image)
    h, w = lab.shape[:2]
    labels = segmentation.felzenszwalb(image, scale=20, sigma=0.5, min_size=60)
    labels = np.unique(labels, return_inverse=True)[1].reshape(h, w)
    n = int(labels.max()) + 1
    areas = np.bincount(labels.ravel(), minlength=n).astype(float)
    texture, hue = nearest_word(filter_responses(lab), vocabulary.textures), nearest_word(lab, vocabulary.colors)
    bi, bj, length, strengths = borders(labels, gradient_maps(lab, texture, hue))
    hops, lowest = barriers(n, bi, bj, strengths)
    i, j = np.nonzero(np.triu(hops))

    def mean(values):
        return np.bincount(labels.ravel(), values.ravel(), n) / areas

    def histogram(words, share):  # of the superpixel, and with a share of its neighbours
        counts = np.bincount(labels.ravel() * WORDS + words.ravel(), minlength=n * WORDS).reshape(n, WORDS)
        counts = counts + share * (hops == 1) @ counts
        return counts / counts.sum(axis=1, keepdims=True)

    colors = np.stack([mean(lab[..., k]) for k in range(3)], axis=1) / 20
    place = np.stack([mean(v) for v in np.indices((h, w))], axis=1) * 10 / np.hypot(h, w)
    lengths = np.zeros((n, n))
    lengths[bi, bj] = length
    off = colors[i] - colors[j]
    cues = [
        *np.log1p(lowest[i, j]).T,
        *np.abs(off).T,
        np.linalg.norm(off, axis=1),
        *(chi_squared(p[i], p[j]) for p in (histogram(texture, 0.5), histogram(hue, 0.5), histogram(hue, 0.0))),
        np.linalg.norm(place[i] - place[j], axis=1),
        np.log(np.minimum(areas[i], areas[j])),
        np.log(np.maximum(areas[i], areas[j])),
        np.log1p(lengths[i, j]),
        *(hops[i, j] == count for count in range(1, HOPS + 1)),
    ]
    return Graph(labels, areas, i, j, np.stack(cues, axis=1).astype(np.float32))
