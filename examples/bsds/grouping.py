"""From eigenvectors to segments: superpixels are merged two by two, those first that are nearest in the eigenvectors.

The coordinates of superpixel i are those of the vibration modes of a graph: u_2(i), u_3(i), ... over √(1 - λ), with u
the eigenvectors of D^-1 W. One tree of merges gives the segmentations of every scale. A scale is a number of segments,
the same for all images, or the height of the merges that are left undone: then a plain image gets fewer segments than
a crowded one.

Source: Ward, "Hierarchical Grouping to Optimize an Objective Function", 1963; the weights: Arbeláez, Maire, Fowlkes,
Malik, "Contour Detection and Hierarchical Image Segmentation", TPAMI 2011, section 3.2.
"""

import numpy as np

MODES = 30
COUNTS = [2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 26, 30, 35, 40]
HEIGHTS = [round(2 * 2000 ** (i / 23), 1) for i in range(24)]  # 2 ... 4000
SCALES = {"by number": COUNTS, "by height": HEIGHTS}


def coordinates(values, vectors, degrees):
    """Rows for clustering, from the largest eigenvalues (descending) of D^-½ W D^-½, its eigenvectors, and D."""
    stiffness = np.sqrt(np.maximum(1.0 - values[1:MODES], 1e-3))
    return vectors[:, 1:MODES] / np.sqrt(degrees)[:, None] * np.sqrt(degrees.sum()) / stiffness


def merge(rows, i, j):
    """Ward's tree of merges of neighbours: pairs (a, b), the m-th of which makes the cluster n + m; and its height."""
    from scipy.sparse import coo_array
    from sklearn.cluster import ward_tree

    n = len(rows)
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(n, n))
    merges, _, _, _, heights = ward_tree(rows, connectivity=(graph + graph.T).tocsr(), return_distance=True)
    return merges, np.maximum.accumulate(heights)  # where only neighbours merge, a later merge may be a lower one


def cut(merges, n, k):
    """The k clusters of n leaves that are left when all merges but the last k - 1 are done, numbered from 0."""
    root = np.arange(n + len(merges))
    for m in range(len(merges) - 1, -1, -1):  # from the last down: a cluster's children take its root, or are roots
        inside = m < n - k
        a, b = merges[m]
        root[a], root[b] = (root[n + m], root[n + m]) if inside else (a, b)
    return np.unique(root[:n], return_inverse=True)[1]


def segmentations(rows, graph):
    """For both kinds of SCALES, the label images; ``rows`` (n, c) are the coordinates of the superpixels."""
    n = len(graph.areas)
    if n == 1:  # an image of one colour
        return {kind: [graph.labels for _ in scales] for kind, scales in SCALES.items()}
    merges, heights = merge(rows, graph.i, graph.j)
    above = [int(np.sum(heights > height)) + 1 for height in HEIGHTS]
    counts = {"by number": COUNTS, "by height": np.clip(above, COUNTS[0], COUNTS[-1])}
    return {kind: [cut(merges, n, min(k, n))[graph.labels] for k in ks] for kind, ks in counts.items()}
