"""Measures of segmentations: by their definitions on small images, and the benchmark's own result files."""

import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest

from arrmb import metrics

DATA = Path(os.environ.get("ARRMB_DATA", Path(__file__).parents[2] / "shared" / "data"))
FIXTURE = DATA / "bsds500" / "bench" / "data"
NAMES = ["2018", "3063", "5096", "6046", "8068"]


def random_labels(seed, shape=(5, 6), n=4):
    return np.random.default_rng(seed).integers(0, n, shape)


def entropy(*labels):
    """Of the joint distribution of labels, in bits, by counting."""
    counts = {}
    for key in zip(*(x.ravel().tolist() for x in labels)):
        counts[key] = counts.get(key, 0) + 1
    p = np.asarray(list(counts.values())) / labels[0].size
    return -np.sum(p * np.log2(p))


def by_definition(segmentation, annotations):
    s = segmentation.ravel()
    pairs = list(itertools.combinations(range(s.size), 2))
    covered = area = 0.0
    pri, voi, overlaps = [], [], []
    for annotation in annotations:
        g = annotation.ravel()
        for region in np.unique(g):
            inside = g == region
            overlap = max(np.sum(inside & (s == i)) / np.sum(inside | (s == i)) for i in np.unique(s))
            overlaps.append((np.sum(inside), overlap))
            covered, area = covered + np.sum(inside) * overlap, area + np.sum(inside)
        pri.append(np.mean([(s[i] == s[j]) == (g[i] == g[j]) for i, j in pairs]))
        voi.append(2 * entropy(s, g) - entropy(s) - entropy(g))
    return covered, area, np.mean(pri), np.mean(voi), overlaps


def test_definitions():
    segmentations = [random_labels(0), random_labels(1, n=2), random_labels(2, n=9)]
    annotations = [random_labels(3), random_labels(4, n=7) * 1000 - 3]
    found = metrics.score_image(segmentations, annotations)
    expected = [by_definition(s, annotations) for s in segmentations]
    for i, (covered, area, pri, voi, _) in enumerate(expected):
        assert found.covered[i] == pytest.approx(covered, rel=1e-14)
        assert found.area == area
        assert found.pri[i] == pytest.approx(pri, rel=1e-13)
        assert found.voi[i] == pytest.approx(voi, rel=1e-13)
    other_way = [by_definition(a, [segmentations[0]])[4] for a in annotations]
    assert found.segments_covered[0] == pytest.approx(sum(a * max(o, p) for (a, o), (_, p) in zip(*other_way)))
    assert found.pixels == 30
    areas = [a for a, _ in expected[0][4]]
    best = sum(a * max(e[4][r][1] for e in expected) for r, a in enumerate(areas))
    assert found.best == pytest.approx(best, rel=1e-14)


def test_a_perfect_segmentation_under_other_names():
    labels = random_labels(0)
    found = metrics.score_image([7 - 2 * labels], [labels, labels.astype(np.uint16)])
    assert found.covered[0] == found.area == found.best == 2 * labels.size
    assert found.pri[0] == 1.0 and abs(found.voi[0]) < 1e-14


def test_labels_of_any_size_and_kind():
    labels = random_labels(0)
    table = metrics.contingency(labels, labels.astype(np.uint8))
    assert np.array_equal(table, np.diag(np.bincount(labels.ravel())))
    assert np.array_equal(metrics.contingency(labels * 10**15, labels - 10**15), table)
    assert np.array_equal(metrics.contingency(labels * 3, labels), table)  # with gaps between the labels
    assert np.array_equal(metrics.contingency(labels > 1, labels > 1), np.diag(np.bincount((labels > 1).ravel())))


def test_of_a_set():
    rng = np.random.default_rng(0)
    images = [
        metrics.ImageScores(
            *(rng.uniform(0, a, 3), float(a), float(a)),
            *(rng.uniform(0, 1, 3), rng.uniform(0, 3, 3), rng.uniform(0, a, 3), a),
        )
        for a in (10, 1000)
    ]
    found = metrics.summarize(images, digits=None)
    covered = np.stack([image.covered for image in images])
    assert found.covering_ods == max(covered.sum(axis=0)) / 1010  # pooled, no mean of means
    assert found.covering_ois == pytest.approx(sum(max(c) for c in covered) / 1010, rel=1e-15)
    assert found.covering_best == 1.0
    assert found.covering_scale == np.argmax(covered.sum(axis=0))
    voi = np.stack([image.voi for image in images])
    assert found.voi_ods == min(voi.mean(axis=0)) and found.voi_ois == np.mean(voi.min(axis=1))
    assert f"{found.covering_ods:.3f}" in str(found)


def test_one_segment_and_one_pixel():
    one = np.zeros((3, 4), dtype=int)
    found = metrics.score_image([one], [np.arange(12).reshape(3, 4)])
    assert found.covered[0] == 1.0 and found.pri[0] == 0.0 and found.voi[0] == pytest.approx(np.log2(12))
    assert metrics.score_image([one[:1, :1]], [one[:1, :1]]).pri[0] == 1.0


def test_wrong_input():
    labels = random_labels(0)
    with pytest.raises(TypeError, match=r"segmentation: labels must be integers, got dtype float64"):
        metrics.score_image([labels * 1.0], [labels])
    with pytest.raises(ValueError, match=r"shape \(5, 6\) and an annotation of shape \(6, 5\)"):
        metrics.score_image([labels], [labels.T])
    with pytest.raises(ValueError, match="without pixels"):
        metrics.score_image([labels[:0]], [labels[:0]])
    with pytest.raises(ValueError, match="there is no annotation"):
        metrics.score_image([labels], [])
    with pytest.raises(ValueError, match="there is no image"):
        metrics.summarize([])
    scores = [metrics.score_image([labels] * k, [labels]) for k in (1, 2)]
    with pytest.raises(ValueError, match=r"different numbers of scales, \[1, 2\]"):
        metrics.summarize(scores)
    with pytest.raises(ValueError, match=r"odd number of rows and columns, got \(4, 6\)"):
        metrics.ucm_segmentations(np.zeros((4, 6)), [0.5])


def test_contours():
    """Two pixels side by side with a contour of strength 0.3 between them."""
    pytest.importorskip("scipy")
    ucm2 = np.ones((3, 5))
    ucm2[1, 1:4] = 0.0, 0.3, 0.0
    apart, together = metrics.ucm_segmentations(ucm2, [0.1, 0.5])
    assert apart.shape == (1, 2) and apart[0, 0] != apart[0, 1] and together[0, 0] == together[0, 1]


# ------------------------------------------------------------------------------------ the benchmark's own result files

fixture = pytest.mark.skipif(not FIXTURE.exists(), reason="BSDS500 is not here (set ARRMB_DATA)")


def annotations(name):
    from scipy import io

    found = io.loadmat(FIXTURE / "groundTruth" / f"{name}.mat")["groundTruth"].ravel()
    return [cell["Segmentation"][0, 0] for cell in found]


def segmentations(test, name):
    from scipy import io

    if test == "test_1":
        ucm2 = io.loadmat(FIXTURE / "ucm2" / f"{name}.mat")["ucm2"]
        return metrics.ucm_segmentations(ucm2, np.linspace(1 / 6, 5 / 6, 5))
    return list(io.loadmat(FIXTURE / "segs" / f"{name}.mat")["segs"].ravel())


def rounded(x):
    """As the benchmark's text files do."""
    return float(f"{x:g}")


@fixture
@pytest.mark.parametrize("test", ["test_1", "test_4", "test_5"])
def test_result_files(test):
    """Every printed digit of the benchmark's files."""
    pytest.importorskip("scipy")
    images = [metrics.score_image(segmentations(test, name), annotations(name)) for name in NAMES]
    found = metrics.summarize(images)
    scales = np.linspace(1 / 6, 5 / 6, 5) if test == "test_1" else np.arange(1, 6)
    files = {
        "eval_cover.txt": [(scales[found.covering_scale], found.covering_ods, found.covering_ois, found.covering_best)],
        "eval_cover_th.txt": list(zip(scales, found.covering)),
        "eval_cover_img.txt": [
            (i + 1, scales[k], rounded(s.covered[k]) / s.area, rounded(s.segments_covered[k]) / s.pixels)
            for i, s in enumerate(images)
            for k in [np.argmax(s.covered)]
        ],
        "eval_RI_VOI.txt": [
            (
                *(scales[found.pri_scale], found.pri_ods, found.pri_ois),
                *(scales[found.voi_scale], found.voi_ods, found.voi_ois),
            )
        ],
        "eval_RI_VOI_thr.txt": list(zip(scales, found.pri, found.voi)),
    }
    for file, rows in files.items():
        printed = [" ".join(f"{v:g}" for v in row) for row in rows]
        official = [" ".join(line.split()) for line in (FIXTURE / test / file).read_text().splitlines()]
        assert printed == official, file


@fixture
def test_speed():
    """100 images × 5 annotations × 10 scales take under 30 s; here 1/50 of it, with room for a busy machine."""
    pytest.importorskip("scipy")
    truth, found = annotations("2018"), segmentations("test_4", "2018")
    start = time.process_time()
    for _ in range(2):
        metrics.score_image(found * 2, truth)
    assert time.process_time() - start < 30.0 * 2 / 100
