"""From eigenvectors to segments: superpixels are merged two by two, those first that are nearest in the eigenvectors.

The coordinates of superpixel i are those of the vibration modes of a graph: u_2(i), u_3(i), ... over √(1 - λ), with u
the eigenvectors of D^-1 W. One tree of merges gives the segmentations into every number of segments.

Source: Ward, "Hierarchical Grouping to Optimize an Objective Function", 1963; the weights: Arbeláez, Maire, Fowlkes,
Malik, "Contour Detection and Hierarchical Image Segmentation", TPAMI 2011, section 3.2.
"""

import numpy as np

MODES = 30


def coordinates(values, vectors, degrees):
    """Rows for clustering, from the largest eigenvalues (descending) of D^-½ W D^-½, its eigenvectors, and D."""
    stiffness = np.sqrt(np.maximum(1.0 - values[1:MODES], 1e-3))
    return vectors[:, 1:MODES] / np.sqrt(degrees)[:, None] * np.sqrt(degrees.sum()) / stiffness


def merge(rows, i, j):
    """Ward's tree of merges of neighbours: pairs (a, b), the m-th of which makes the cluster n + m."""
    from scipy.sparse import coo_array
    from sklearn.cluster import ward_tree

    n = len(rows)
    graph = coo_array((np.ones(len(i)), (i, j)), shape=(n, n))
    return ward_tree(rows, connectivity=(graph + graph.T).tocsr())[0]


def cut(merges, n, k):
    """The k clusters of n leaves that are left when all merges but the last k - 1 are done, numbered from 0."""
    root = np.arange(n + len(merges))
    for m in range(len(merges) - 1, -1, -1):  # from the last down: a cluster's children take its root, or are roots
        inside = m < n - k
        a, b = merges[m]
        root[a], root[b] = (root[n + m], root[n + m]) if inside else (a, b)
    return np.unique(root[:n], return_inverse=True)[1]
