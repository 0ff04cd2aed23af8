"""The example of regions, on a small set in the layout of PASCAL VOC, and in that of MSCOCO."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

for name in ("scipy", "skimage", "tqdm", "sklearn", "PIL", "threadpoolctl"):
    pytest.importorskip(name)
spec = importlib.util.spec_from_file_location("regions_o2p", Path(__file__).parents[2] / "examples" / "regions_o2p.py")
example = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


def image(rng):
    """The left half is striped, the right half noise of the same mean: their second moments differ."""
    stripes = np.broadcast_to(90 + 80 * (np.arange(24) // 2 % 2), (32, 24))
    noise = rng.integers(90, 171, (32, 24))
    gray = np.concatenate([stripes, noise], axis=1)
    return np.stack([gray] * 3, axis=-1).astype(np.uint8), np.repeat([[1, 2]], 24, axis=1).repeat(32, axis=0)


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    from PIL import Image

    root, rng = tmp_path_factory.mktemp("voc"), np.random.default_rng(0)
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationObject", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    names = [f"im{i}" for i in range(12)]
    for name in names:
        pixels, labels = image(rng)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.png")
        for folder in ("SegmentationClass", "SegmentationObject"):
            Image.fromarray(labels.astype(np.uint8)).save(root / folder / f"{name}.png")
    (root / "ImageSets" / "Segmentation" / "all.txt").write_text("\n".join(names))
    return root


def test_poolings_on_halves(voc, tmp_path, capsys):
    found = example.main(
        ["--train", str(voc), "--seeds", "2", "--epochs", "15", "--json", str(tmp_path / "found.json")]
    )
    assert list(found) == ["mean", "second-order", "log"]
    for rows in found.values():
        assert len(rows["trained"]) == len(rows["fixed"]) == 2
    assert min(found["log"]["trained"]) > 0.9
    assert json.loads((tmp_path / "found.json").read_text())["accuracy"] == found
    assert "log pooling" in capsys.readouterr().out


def test_a_folder_to_test_on(voc, tmp_path):
    options = ["--pooling", "log", "--seeds", "1", "--epochs", "5", "--json", str(tmp_path / "found.json")]
    found = example.main(["--train", str(voc), "--test", str(voc), *options])
    assert list(found) == ["log"] and len(found["log"]["trained"]) == 1


def test_descriptors():
    pixels, _ = image(np.random.default_rng(0))
    found = example.describe(pixels)
    assert found.shape == (32, 48, example.DESCRIPTORS) and found.dtype == np.float32 and np.isfinite(found).all()
    assert np.isfinite(example.describe(np.full((8, 9, 3), 7, dtype=np.uint8))).all()


def test_classes_that_training_has_not(voc):
    regions = example.read("voc", voc, "msrc", None)
    training = example.Regions(*(part[regions.classes == 1] for part in regions))
    (_, testing), classes = example.standardized(training, regions)
    assert classes == 1 and set(testing.classes) == {0, -1}


def test_coco(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "train2017").mkdir()
    (tmp_path / "annotations" / "panoptic_train2017").mkdir(parents=True)
    annotations, images = [], []
    for i in range(4):
        pixels, labels = image(rng)
        Image.fromarray(pixels).save(tmp_path / "train2017" / f"{i}.jpg")
        ids = np.stack([labels, 0 * labels, 0 * labels], axis=-1).astype(np.uint8)
        Image.fromarray(ids).save(tmp_path / "annotations" / "panoptic_train2017" / f"{i}.png")
        segments = [{"id": k, "category_id": k, "iscrowd": 0} for k in (1, 2)]
        annotations.append({"image_id": i, "file_name": f"{i}.png", "segments_info": segments})
        images.append({"id": i, "file_name": f"{i}.jpg"})
    found = {"images": images, "annotations": annotations, "categories": [{"id": k, "name": str(k)} for k in (1, 2)]}
    (tmp_path / "annotations" / "panoptic_train2017.json").write_text(json.dumps(found))
    arguments = ["--dataset", "coco", "--train", str(tmp_path), "--seeds", "1", "--epochs", "3", "--pooling", "mean"]
    assert "mean" in example.main([*arguments, "--json", str(tmp_path / "found.json")])


def test_wrong_use(voc, tmp_path):
    with pytest.raises(FileNotFoundError, match="VOC: there is no folder"):
        example.main(["--train", str(tmp_path), "--json", str(tmp_path / "found.json")])
    with pytest.raises(SystemExit):
        example.main(["--train", str(voc), "--pooling", "max", "--json", str(tmp_path / "found.json")])
