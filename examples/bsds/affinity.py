"""Normalized cuts of a graph of superpixels whose edge weights are learned, through the eigenvectors.

    W_ij = σ(-network(cues_ij))        M = D^-½ W D^-½        V = the top k eigenvectors of M
    J = 1 - ‖V^T D^½ Y (Y^T D Y)^-½‖² / k

with Y the indicator vectors of the k true segments. J is 0 where the cut is the truth, and depends on the subspace of V
only, so that equal eigenvalues in it do no harm: `arrmb.linalg.eigh_top` is exact there.

Source: Ionescu, Vantzos, Sminchisescu, "Training Deep Networks with Structured Layers by Matrix Backpropagation",
arXiv:1509.07838, section 5, with the top eigenvectors in the place of the column space; Bach and Jordan, "Learning
Spectral Clustering", NIPS 2003.
"""

import itertools
from typing import Any

import numpy as np
from bsds import cues, grouping

import arrmb
from arrmb.layers import Linear, relu

SHARP = 16  # exponent of weights trained edge by edge: of 2, 4, ... 32 that of the best OIS on 20 training images
FLOOR = 1e-7  # of every entry of W: no part of the graph is ever cut off


@arrmb.tree.dataclass
class EdgeNetwork:
    """Three linear maps of the cues of an edge; its weight is the sigmoid of the last, negated."""

    layers: Any

    @classmethod
    def init(cls, xp, rng, width=48):
        sizes = itertools.pairwise([cues.COUNT, width, width, 1])
        return cls([Linear.init(xp, rng, a, b, dtype=xp.float64) for a, b in sizes])

    def __call__(self, x):
        """Weights (e,) of edges with cues (e, c) of mean 0 and deviation 1."""
        x = self.logits(x)
        return arrmb.namespace(x).exp(-softplus(x))

    def logits(self, x):
        """What the weights are the sigmoids of, negated."""
        for layer in self.layers[:-1]:
            x = relu(layer(x))
        return self.layers[-1](x)[:, 0]


def softplus(x):
    """log(1 + exp(x))"""
    return arrmb.namespace(x).logaddexp(x, 0.0 * x)


def hand_made(edges):
    """Weights that nobody learned: Gaussians of the differences in colour, and the intervening contour.

    15 Lab units, and 6 per unit of barrier, are the best of four pairs on every tenth training image.
    """
    differences = (20 * edges[:, cues.COLOR] / 15) ** 2 + edges[:, cues.HUES] ** 2
    return np.exp(-6.0 * edges[:, cues.BARRIERS].mean(axis=1) - differences / 2)


def normalized_affinity(weights, i, j, n):
    """D^-½ W D^-½ of the graph with these edges, and the degrees D."""
    xp = arrmb.namespace(weights)
    w = xp.zeros((n, n), dtype=weights.dtype)
    w[i, j] = weights
    w = w + xp.matrix_transpose(w) + FLOOR
    degrees = xp.sum(w, axis=1)
    scale = 1.0 / xp.sqrt(degrees)
    return w * scale[:, None] * scale, degrees


def loss(network, graph, segments):
    """J for one image; ``segments`` (n,) are the true segments of the superpixels, numbered from 0."""
    m, degrees = normalized_affinity(network(graph.cues), graph.i, graph.j, len(graph.areas))
    xp = arrmb.namespace(m)
    k = int(segments.max()) + 1
    indicators = xp.astype(xp.asarray(segments)[:, None] == xp.arange(k), m.dtype)
    b = xp.sqrt(degrees)[:, None] * indicators
    b = b / xp.sqrt(xp.sum(b * b, axis=0))
    _, v = arrmb.linalg.eigh_top(m, k)
    overlap = xp.matrix_transpose(v) @ b
    return 1.0 - xp.sum(overlap * overlap) / k


def edge_loss(network, graph, segments):
    """Without eigenvectors: the cross-entropy of the weights with whether both ends are in one true segment."""
    x = network.logits(graph.cues)
    xp = arrmb.namespace(x)
    segments = xp.asarray(segments)
    same = xp.astype(segments[graph.i] == segments[graph.j], x.dtype)
    return xp.mean(softplus(x * (2.0 * same - 1.0)))


def segments_of(graph, annotation):
    """The segment that most pixels of each superpixel are in, numbered from 0."""
    table = arrmb.metrics.contingency(graph.labels, annotation)
    return np.unique(np.argmax(table, axis=1), return_inverse=True)[1]


def segment(weights, graph):
    """Label images at the scales of `grouping`, from the weights of the edges (a NumPy array)."""
    m, degrees = normalized_affinity(np.asarray(weights, dtype=np.float64), graph.i, graph.j, len(graph.areas))
    values, vectors = np.linalg.eigh(m)
    order = np.argsort(-values)[: grouping.MODES]
    return grouping.segmentations(grouping.coordinates(values[order], vectors[:, order], degrees), graph)
