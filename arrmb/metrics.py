"""Measures of segmentations against the annotations of several people, exactly as the benchmark of BSDS500 has them.

Of a segmentation S and an annotation G, with the table N[i, j] of the pixels in segment i of S and region j of G:

    covering         Σ_j |G_j| max_i IoU(S_i, G_j) / Σ_j |G_j|                        0 … 1, larger is better
    PRI              Rand index: the fraction of pairs of pixels on which they agree,   averaged over the annotations
    VoI              variation of information, H(S) + H(G) - 2 I(S, G), in bits,        averaged; smaller is better

Over a set of images and a range of scales (numbers of segments, thresholds): ODS takes the one scale that is best for
the whole set, OIS the best of each image. "Best" covering takes the best segment for each region from all scales.
Coverings are pooled over the regions of all images and annotations, the other two are means of the images' means.

Source: Arbeláez, Maire, Fowlkes, Malik, "Contour Detection and Hierarchical Image Segmentation", TPAMI 2011, section 3;
its benchmark code. Integer label images, on the CPU.
"""

from __future__ import annotations

import dataclasses

import numpy as np

__all__ = ["ImageScores", "SetScores", "contingency", "score_image", "summarize", "ucm_segmentations"]


def contingency(segmentation, annotation):
    """Numbers of pixels in each segment and each region.

    Parameters
    ----------
    segmentation, annotation : integer arrays of one shape
        Any integers, 0 too: equal ones make a segment.

    Returns
    -------
    array (segments, regions) of int64
        The labels in ascending order.
    """
    a, b = _labels("segmentation", segmentation), _labels("annotation", annotation)
    if a.shape != b.shape:
        raise ValueError(f"a segmentation of shape {a.shape} and an annotation of shape {b.shape}: they must be equal")
    (a, m), (b, n) = _compact(a), _compact(b)
    return np.bincount(a * n + b, minlength=m * n).reshape(m, n)


def _labels(name, x):
    x = np.asarray(x)
    if x.dtype.kind not in "iub":
        raise TypeError(f"{name}: labels must be integers, got dtype {x.dtype}; round them with x.astype(int)")
    if x.size == 0:
        raise ValueError(f"{name}: an image without pixels, of shape {x.shape}")
    return x


def _compact(x):
    """Labels 0 … n - 1 as a vector, and n."""
    x = x.reshape(-1).astype(np.int64)
    low, high = int(x.min()), int(x.max())
    if high - low >= 4 * x.size:  # a table of the labels that occur would be larger than the image
        found, x = np.unique(x, return_inverse=True)
        return x, len(found)
    x -= low
    present = np.bincount(x, minlength=high - low + 1) > 0
    if present.all():
        return x, len(present)
    return (np.cumsum(present) - 1)[x], int(present.sum())


@dataclasses.dataclass(frozen=True)
class ImageScores:
    """Scores of the segmentations of one image, at each of its scales.

    Attributes
    ----------
    covered : array (scales,)
        Σ area · max IoU over the regions of all annotations.
    area : float
        Σ area: the covering is ``covered / area``.
    best : float
        As ``covered``, with the best segment from all scales for each region.
    pri, voi : arrays (scales,)
        Means over the annotations; VoI in bits.
    segments_covered : array (scales,)
        The other way round: Σ area · max IoU over the segments, with the best region of any annotation.
    pixels : int
        ``segments_covered / pixels`` is the covering of the segments.
    """

    covered: np.ndarray
    area: float
    best: float
    pri: np.ndarray
    voi: np.ndarray
    segments_covered: np.ndarray
    pixels: int


def score_image(segmentations, annotations):
    """Score the segmentations of one image, one per scale, against its annotations.

    Parameters
    ----------
    segmentations : sequence of integer arrays (h, w)
        In the order of the scales, the same for all images of a set.
    annotations : sequence of integer arrays (h, w)

    Returns
    -------
    ImageScores

    Raises
    ------
    TypeError, ValueError
        Labels that are no integers, shapes that differ, no segmentation or no annotation.
    """
    segmentations, annotations = list(segmentations), list(annotations)
    for name, given in (("segmentation", segmentations), ("annotation", annotations)):
        if not given:
            raise ValueError(f"score_image: there is no {name}")
    overlaps, pri, voi, segments = [], [], [], []
    for segmentation in segmentations:
        tables = [contingency(segmentation, annotation) for annotation in annotations]
        overlap = [_overlap(table) for table in tables]
        overlaps.append(np.concatenate([o.max(axis=0) for o in overlap]))
        segments.append(tables[0].sum(axis=1) @ np.max([o.max(axis=1) for o in overlap], axis=0))
        pri.append(np.mean([_rand_index(table) for table in tables]))
        voi.append(np.mean([_variation_of_information(table) for table in tables]))
    areas = np.concatenate([table.sum(axis=0) for table in tables])
    overlaps = np.asarray(overlaps)
    best = float(areas @ overlaps.max(axis=0))
    return ImageScores(
        covered=overlaps @ areas,
        area=float(areas.sum()),
        best=best,
        pri=np.asarray(pri),
        voi=np.asarray(voi),
        segments_covered=np.asarray(segments),
        pixels=int(tables[0].sum()),
    )


def _overlap(table):
    """Intersection over union of each segment with each region."""
    return table / (table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table)


def _rand_index(table):
    n = float(table.sum())
    pairs = 0.5 * n * (n - 1.0)
    if pairs == 0.0:
        return 1.0  # one pixel
    squares = [float(np.sum(np.square(v, dtype=np.float64))) for v in (table, table.sum(axis=0), table.sum(axis=1))]
    return 1.0 - (0.5 * (squares[1] + squares[2]) - squares[0]) / pairs


def _variation_of_information(table):
    p = table / table.sum()
    return 2.0 * _entropy(p) - _entropy(p.sum(axis=0)) - _entropy(p.sum(axis=1))


def _entropy(p):
    p = p[p > 0.0]
    return -float(np.sum(p * np.log2(p)))


@dataclasses.dataclass(frozen=True)
class SetScores:
    """Scores of a set of images. Scales are numbered from 0.

    Attributes
    ----------
    covering_ods, covering_ois, covering_best : float
    pri_ods, pri_ois, voi_ods, voi_ois : float
        VoI in bits.
    covering, pri, voi : arrays (scales,)
        At one scale for all images.
    covering_scale, pri_scale, voi_scale : int
        The scale of the ODS.
    """

    covering_ods: float
    covering_ois: float
    covering_best: float
    pri_ods: float
    pri_ois: float
    voi_ods: float
    voi_ois: float
    covering: np.ndarray
    pri: np.ndarray
    voi: np.ndarray
    covering_scale: int
    pri_scale: int
    voi_scale: int

    def __str__(self):
        return (
            f"covering {self.covering_ods:.3f} / {self.covering_ois:.3f} / {self.covering_best:.3f}   "
            f"PRI {self.pri_ods:.3f} / {self.pri_ois:.3f}   VoI {self.voi_ods:.3f} / {self.voi_ois:.3f}"
        )


def summarize(images, *, digits=6):
    """Scores of a set of images from those of each.

    Parameters
    ----------
    images : sequence of ImageScores
        All with the same number of scales.
    digits : int or None
        Significant digits to which the scores of an image are rounded first. The benchmark's own code rounds to 6, on
        its way through text files, which shows in the last digit that it prints. None: not at all.

    Returns
    -------
    SetScores
    """
    images = list(images)
    if not images:
        raise ValueError("summarize: there is no image")
    scales = {len(image.covered) for image in images}
    if len(scales) > 1:
        raise ValueError(f"summarize: images with different numbers of scales, {sorted(scales)}")
    covered, areas, best, pri, voi = (
        _rounded(np.asarray([getattr(image, name) for image in images]), digits)
        for name in ("covered", "area", "best", "pri", "voi")
    )
    covering = covered.sum(axis=0) / areas.sum()
    means = pri.mean(axis=0), voi.mean(axis=0)
    return SetScores(
        covering_ods=float(covering.max()),
        covering_ois=float(covered.max(axis=1).sum() / areas.sum()),
        covering_best=float(best.sum() / areas.sum()),
        pri_ods=float(means[0].max()),
        pri_ois=float(pri.max(axis=1).mean()),
        voi_ods=float(means[1].min()),
        voi_ois=float(voi.min(axis=1).mean()),
        covering=covering,
        pri=means[0],
        voi=means[1],
        covering_scale=int(covering.argmax()),
        pri_scale=int(means[0].argmax()),
        voi_scale=int(means[1].argmin()),
    )


def _rounded(x, digits):
    if digits is None:
        return x
    return np.asarray([float(f"{v:.{digits}g}") for v in x.reshape(-1)]).reshape(x.shape)


def ucm_segmentations(ucm2, thresholds):
    """Segmentations of an ultrametric contour map at several thresholds.

    Parameters
    ----------
    ucm2 : array (2h + 1, 2w + 1)
        Strengths of the contours between pixels, at double resolution; pixel (i, j) is entry (2i + 1, 2j + 1).
    thresholds : sequence of float

    Returns
    -------
    list of integer arrays (h, w)
        Connected components (8 neighbours) of ``ucm2 <= t``, numbered from 1.
    """
    from scipy import ndimage

    ucm2 = np.asarray(ucm2)
    if ucm2.ndim != 2 or not all(n % 2 for n in ucm2.shape):
        raise ValueError(f"ucm_segmentations: ucm2 must have an odd number of rows and columns, got {ucm2.shape}")
    return [ndimage.label(ucm2 <= t, structure=np.ones((3, 3)))[0][1::2, 1::2] for t in thresholds]
