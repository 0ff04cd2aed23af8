"""What normalized cuts of learned affinities are compared with: nothing in here is trained.

Each returns label images per kind of scale, as `grouping.segmentations` does.
"""

import numpy as np
from bsds.grouping import COUNTS, HEIGHTS
from skimage import color, segmentation
from sklearn.cluster import KMeans

# As many scales as the cuts have by height: OIS and best covering grow with their number, whatever the method.
FELZENSZWALB = [round(float(scale)) for scale in np.geomspace(50, 5000, len(HEIGHTS))]


def k_means(image):
    """k-means of the pixels' Lab colours and places."""
    lab = color.rgb2lab(image)
    h, w = lab.shape[:2]
    place = np.moveaxis(np.indices((h, w)), 0, -1) * (100 / np.hypot(h, w))
    x = np.concatenate([lab, place], axis=-1).reshape(-1, 5).astype(np.float32)
    some = x[::11] if len(x) > 11 * max(COUNTS) else x
    models = (KMeans(min(k, len(some)), n_init=1, max_iter=30, random_state=0) for k in COUNTS)
    return {"by number": [model.fit(some).predict(x).reshape(h, w) for model in models]}


def slic_normalized_cuts(image):
    """Normalized cuts of 300 SLIC superpixels, by Gaussians of distances in colour and place; k-means of the rows."""
    lab = color.rgb2lab(image)
    labels = segmentation.slic(image, n_segments=300, compactness=10, start_label=0)
    labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
    n, (h, w) = labels.max() + 1, labels.shape
    channels = [*np.moveaxis(lab, -1, 0) / 15, *np.indices((h, w)) * (10 / np.hypot(h, w))]
    x = np.stack([np.bincount(labels.ravel(), c.ravel(), n) for c in channels], axis=1)
    x = x / np.bincount(labels.ravel())[:, None]
    affinity = np.exp(-0.5 * ((x[:, None] - x) ** 2).sum(axis=-1))
    scale = 1.0 / np.sqrt(affinity.sum(axis=1))
    vectors = np.linalg.eigh(affinity * scale[:, None] * scale)[1]
    found = []
    for k in (min(k, n) for k in COUNTS):
        rows = vectors[:, -k:] / np.linalg.norm(vectors[:, -k:], axis=1, keepdims=True)
        found.append(KMeans(k, n_init=3, random_state=0).fit_predict(rows)[labels])
    return {"by number": found}


def felzenszwalb(image):
    """Felzenszwalb and Huttenlocher's graph-based segmentation; the least size of a segment grows with the scale."""
    found = (segmentation.felzenszwalb(image, scale=s, sigma=0.8, min_size=round(0.7 * s)) for s in FELZENSZWALB)
    return {"": list(found)}


BASELINES = {
    "k-means of Lab and place": k_means,
    "normalized cuts of SLIC superpixels": slic_normalized_cuts,
    "Felzenszwalb and Huttenlocher": felzenszwalb,
}
