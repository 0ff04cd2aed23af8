"""Readers of data sets, on small sets made here; and on the real ones, where they are."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from arrmb import data

Image = pytest.importorskip("PIL.Image")
scipy_io = pytest.importorskip("scipy.io")
DATA = Path(os.environ.get("ARRMB_DATA", Path(__file__).parents[2] / "shared" / "data"))
LEFT = np.repeat([[0, 0, 0, 1, 1]], 4, axis=0)  # h, w = 4, 5


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def photograph(seed):
    return np.random.default_rng(seed).integers(0, 256, (4, 5, 3))


def ground_truth(path, *annotations):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(annotations)), dtype=object)
    for i, labels in enumerate(annotations):
        cells[0, i] = {"Segmentation": labels.astype(np.uint16), "Boundaries": np.zeros((4, 5), dtype=np.uint8)}
    scipy_io.savemat(path, {"groundTruth": cells})


@pytest.fixture
def bsds(tmp_path):
    for i, name in enumerate(["100", "24"]):
        save(tmp_path / "images" / "train" / f"{name}.jpg", photograph(i))
        ground_truth(tmp_path / "groundTruth" / "train" / f"{name}.mat", LEFT + 1, 1 + 0 * LEFT)
    return tmp_path


@pytest.fixture
def voc(tmp_path):
    for i, name in enumerate(["a", "b"]):
        save(tmp_path / "JPEGImages" / f"{name}.png", photograph(i))
        save(tmp_path / "SegmentationObject" / f"{name}.png", np.where(LEFT, 255, 3) * (np.arange(4) > 0)[:, None])
        save(tmp_path / "SegmentationClass" / f"{name}.png", 2 + 0 * LEFT)
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("b\na\n")
    return tmp_path


CATEGORIES = [{"id": 7, "name": "sky"}, {"id": 3, "name": "dog"}]
IMAGES = [{"id": 9, "file_name": "009.jpg"}, {"id": 10, "file_name": "010.jpg"}]


def write_json(path, annotations):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": IMAGES, "annotations": annotations, "categories": CATEGORIES}))


@pytest.fixture
def coco(tmp_path):
    save(tmp_path / "mini" / "009.jpg", photograph(0))
    save(tmp_path / "mini" / "010.jpg", photograph(1)[..., 0])  # a grey one
    ids = np.where(LEFT, 70000, 300)
    panoptic = []
    for image in (9, 10):
        pixels = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1)
        save(tmp_path / "annotations" / "panoptic_mini" / f"{image}.png", pixels)
        segments = [{"id": 70000, "category_id": 3, "iscrowd": 0}, {"id": 300, "category_id": 7, "iscrowd": 1}]
        panoptic.append({"image_id": image, "file_name": f"{image}.png", "segments_info": segments})
    write_json(tmp_path / "annotations" / "panoptic_mini.json", panoptic)
    polygon = {"id": 1, "image_id": 9, "category_id": 3, "iscrowd": 0, "segmentation": [[2, 0, 5, 0, 5, 4, 2, 4]]}
    runs = {"size": [4, 5], "counts": [8, 4, 8]}  # by columns: the third one
    crowd = {"id": 2, "image_id": 9, "category_id": 7, "iscrowd": 1, "segmentation": runs}
    write_json(tmp_path / "annotations" / "instances_mini.json", [polygon, crowd])
    return tmp_path


def test_bsds500(bsds):
    images = data.BSDS500(bsds, "train")
    assert len(images) == 2 and images.names == ["24", "100"]
    assert [image.name for image in images] == ["24", "100"]
    assert images[1].image.shape == (4, 5, 3) and images[1].image.dtype == np.uint8
    assert len(images[1].annotations) == 2
    assert np.array_equal(images[-1].annotations[0], LEFT + 1)


def test_voc(voc):
    images = data.VOC(voc, "train")
    assert images.names == ["b", "a"]
    found = images[0]
    assert np.array_equal(found.image, photograph(1))
    assert found.masks.shape == (1, 4, 5) and found.masks.dtype == bool
    assert np.array_equal(found.masks[0], (LEFT == 0) & (np.arange(4) > 0)[:, None])
    assert images.classes[found.classes[0]] == "bicycle"


def test_coco_panoptic(coco):
    images = data.COCOPanoptic(coco, "mini")
    assert images.classes == ("dog", "sky") and images.names == ["9", "10"]
    for found in images:
        assert np.array_equal(found.masks, [LEFT == 1])
        assert images.classes[found.classes[0]] == "dog"
    grey = images[1].image
    assert grey.shape == (4, 5, 3) and np.array_equal(grey[..., 0], grey[..., 2])
    assert data.COCOPanoptic(coco, "mini", crowds=True)[0].masks.shape == (2, 4, 5)


def test_coco_instances(coco):
    pytest.importorskip("pycocotools")
    images = data.COCOInstances(coco, "mini", crowds=True)
    found = images[0]
    assert np.array_equal(found.masks[0], np.arange(5)[None, :] >= 2 + 0 * LEFT)
    assert np.array_equal(found.masks[1], np.arange(5)[None, :] == 2 + 0 * LEFT)
    assert [images.classes[c] for c in found.classes] == ["dog", "sky"]
    assert images[1].masks.shape == (0, 4, 5)  # an image without objects
    assert data.COCOInstances(coco, "mini")[0].masks.shape == (1, 4, 5)


def damaged(path, text=b"not an image"):
    path.write_bytes(text)


DAMAGE = {  # what is done to a set, its reader, and the file that the error must name
    "image": (
        "bsds",
        lambda r: damaged(r / "images/train/100.jpg"),
        "images/train/100.jpg: cannot be read as an image",
    ),
    "no image": ("bsds", lambda r: (r / "images/train/100.jpg").unlink(), "images/train/100.jpg: the file is missing"),
    "truth": ("bsds", lambda r: damaged(r / "groundTruth/train/100.mat"), "100.mat: cannot be read as ground truth"),
    "no truth": ("bsds", lambda r: (r / "groundTruth/train/100.mat").unlink(), "100.mat: the file is missing"),
    "size": (
        "bsds",
        lambda r: ground_truth(r / "groundTruth/train/100.mat", LEFT[:3]),
        r"100.mat: labels of size \(3, 5\) for an image of size \(4, 5\)",
    ),
    "other variables": (
        "bsds",
        lambda r: scipy_io.savemat(r / "groundTruth/train/100.mat", {"x": 1}),
        "100.mat: cannot be read as ground truth",
    ),
    "cut off": (
        "voc",
        lambda r: damaged(r / "JPEGImages/a.png", (r / "JPEGImages/a.png").read_bytes()[:60]),
        "JPEGImages/a.png: cannot be read as an image",
    ),
    "labels": (
        "voc",
        lambda r: (r / "SegmentationObject/a.png").unlink(),
        "SegmentationObject/a.png: the file is missing",
    ),
    "colours": (
        "voc",
        lambda r: save(r / "SegmentationClass/a.png", photograph(0)),
        "SegmentationClass/a.png: expected an image of labels with one channel",
    ),
    "no class": (
        "voc",
        lambda r: save(r / "SegmentationClass/a.png", 0 * LEFT),
        "SegmentationObject/a.png: an object is of no class",
    ),
    "segments": (
        "coco",
        lambda r: save(r / "annotations/panoptic_mini/10.png", photograph(0)),
        r"10.png: segments \[70000\] of the json file are not in it",
    ),
}


def reader(kind, root, **options):
    return {
        "bsds": lambda: data.BSDS500(root, "train", **options),
        "voc": lambda: data.VOC(root, "train", **options),
        "coco": lambda: data.COCOPanoptic(root, "mini", **options),
    }[kind]()


@pytest.mark.parametrize("name", DAMAGE)
def test_damage(request, name):
    kind, damage, message = DAMAGE[name]
    root = request.getfixturevalue(kind)
    damage(root)
    with pytest.raises(data.DamagedFile, match=message):
        list(reader(kind, root))
    with pytest.warns(UserWarning, match="left out: .*" + message):
        assert len(list(reader(kind, root, on_damage="skip"))) == 1
    with pytest.raises(data.DamagedFile, match=message):  # asked for by its number, it is never left out
        [reader(kind, root, on_damage="skip")[i] for i in range(2)]


def test_what_is_not_there(tmp_path, bsds, voc, coco):
    for kind, message in (
        ("bsds", "BSDS500: there is no folder .*images"),
        ("voc", "VOC: there is no folder"),
        ("coco", "COCOPanoptic: there is no folder"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            reader(kind, tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"no list .*val.txt; the lists there: train"):
        data.VOC(voc, "val")
    with pytest.raises(FileNotFoundError, match=r"there is no annotation file .*panoptic_val.json"):
        data.COCOPanoptic(coco, "val")
    (coco / "annotations" / "panoptic_mini.json").write_text("{")
    with pytest.raises(data.DamagedFile, match="is not valid JSON"):
        data.COCOPanoptic(coco, "mini")
    (coco / "annotations" / "panoptic_mini.json").write_text("[]")
    with pytest.raises(data.DamagedFile, match="must have images, annotations, categories"):
        data.COCOPanoptic(coco, "mini")
    with pytest.raises(ValueError, match="on_damage must be"):
        data.BSDS500(bsds, "train", on_damage="ignore")


def test_images_are_read_when_asked_for(bsds):
    images = data.BSDS500(bsds, "train")
    damaged(bsds / "images/train/24.jpg")
    assert images[1].name == "100"


def real(*parts):
    return pytest.mark.skipif(not DATA.joinpath(*parts).exists(), reason=f"{parts[0]} is not here (set ARRMB_DATA)")


@real("bsds500", "BSDS500")
def test_the_real_bsds500():
    images = data.BSDS500(DATA / "bsds500" / "BSDS500" / "data", "val")
    assert len(images) == 100
    found = images[0]
    assert found.image.shape == (321, 481, 3) and 4 <= len(found.annotations) <= 9
    assert all(a.min() == 1 for a in found.annotations)


@real("msrc_v2")
def test_the_real_msrc():
    images = data.VOC(DATA / "msrc_v2", "all", classes=data.MSRC_CLASSES)
    assert len(images) == 296
    found = images[0]
    assert found.masks.any(axis=(1, 2)).all() and not found.masks.sum(axis=0).max() > 1


@real("coco")
def test_the_real_coco():
    images = data.COCOPanoptic(DATA / "coco", "train2017")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sizes = {found.image.shape[2] for found in images}
    assert len(images) == 40 and sizes == {3} and len(images.classes) == 133
