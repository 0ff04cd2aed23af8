"""The example of regions, on a small set in the layout of PASCAL VOC, and in that of MSCOCO."""

import dataclasses
import importlib
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
parts = importlib.import_module("regions.pixels")


def image(rng):
    """The left half is striped, the right half noise of the same mean: their second moments differ."""
    stripes = np.broadcast_to(90 + 80 * (np.arange(24) // 2 % 2), (32, 24))
    noise = rng.integers(90, 171, (32, 24))
    gray = np.concatenate([stripes, noise], axis=1)
    return np.stack([gray] * 3, axis=-1).astype(np.uint8), np.repeat([[1, 2]], 24, axis=1).repeat(32, axis=0)


def write(root, images):
    """A folder in the layout of PASCAL VOC; of each image its name, its pixels, and its objects, one of each class."""
    from PIL import Image

    for name, pixels, classes in images:
        found = {"JPEGImages": pixels, "SegmentationClass": classes, "SegmentationObject": classes}
        for folder, values in found.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.asarray(values, dtype=np.uint8)).save(root / folder / f"{name}.png")
    (root / "ImageSets" / "Segmentation").mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / "Segmentation" / "all.txt").write_text("\n".join(name for name, *_ in images))
    return root


def regions(root, features=None):
    return example.read(example.open_images("voc", root, "all", "msrc", None), root, features)


def command(root, tmp_path, *more):
    return example.main(
        ["--train", str(root), "--seeds", "1", "--epochs", "2", "--json", str(tmp_path / "o.json"), *more]
    )


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    rng = np.random.default_rng(0)
    return write(tmp_path_factory.mktemp("voc"), [(f"im{i}", *image(rng)) for i in range(12)])


def test_poolings_on_halves(voc, tmp_path, capsys):
    files = {"--json": tmp_path / "found.json", "--picture": tmp_path / "curves" / "picture.png"}
    given = [str(x) for pair in files.items() for x in pair]
    found = example.main(["--train", str(voc), "--seeds", "2", "--first-seed", "3", "--epochs", "15", *given])
    assert list(found) == ["mean", "second-order", "log"]
    for rows in found.values():
        assert len(rows["trained"]) == len(rows["fixed"]) == 2
    assert min(found["log"]["trained"]) > 0.9
    everything = json.loads(files["--json"].read_text())
    assert everything["accuracy"] == found and everything["seeds"] == [3, 4]
    for pooling, runs in everything["curves"].items():
        assert [run["accuracy"][-1] for run in runs] == found[pooling]["trained"]
        assert all(run["epoch"] == list(range(1, 16)) for run in runs)
    assert all(run["loss"][-1] < 0.5 * run["loss"][0] for run in everything["curves"]["log"])
    assert 0.0 < sum(everything["seconds"]["log"]["trained"]) < everything["seconds"]["all"]
    assert files["--picture"].read_bytes()[:4] == b"\x89PNG"
    assert "log pooling" in capsys.readouterr().out


def test_a_folder_to_test_on(voc, tmp_path):
    rng = np.random.default_rng(1)
    other = write(tmp_path / "other", [(f"im{i}", *image(rng)) for i in range(3)])
    options = ["--pooling", "log", "--seeds", "2", "--epochs", "15", "--json", str(tmp_path / "found.json")]
    found = example.main(["--train", str(voc), "--test", str(other), *options])
    assert list(found) == ["log"] and min(found["log"]["trained"]) > 0.9
    assert len(found["log"]["trained"]) == 2 and len(found["log"]["fixed"]) == 1
    everything = json.loads((tmp_path / "found.json").read_text())
    assert everything["data"] == {"train": {"images": 12, "regions": 24}, "test": {"images": 3, "regions": 6}}
    assert everything["options"]["epochs"] == 15 and everything["options"]["test"] == str(other)
    with pytest.raises(SystemExit, match="12 images to test on are among those to learn from"):
        example.main(["--train", str(voc), "--test", str(voc / "."), *options])


def test_lists_of_images(tmp_path):
    rng = np.random.default_rng(0)
    root = write(tmp_path / "voc", [(f"im{i}", *image(rng)) for i in range(4)])
    for name, numbers in (("train", (0, 1)), ("val", (2, 3)), ("more", (1, 2, 3))):
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("\n".join(f"im{i}" for i in numbers))
    command(root, tmp_path, "--train-set", "train", "--test-set", "val")
    found = json.loads((tmp_path / "o.json").read_text())["data"]
    assert found == {"train": {"images": 2, "regions": 4}, "test": {"images": 2, "regions": 4}}
    with pytest.raises(SystemExit, match="1 images to test on are among those to learn from"):
        command(root, tmp_path, "--train-set", "train", "--test-set", "more")


@pytest.mark.parametrize("pooling", ["mean", "second-order", "log"])
def test_on_another_backend(voc, far, pooling):
    """The same learning curves as on NumPy."""
    (training, testing), classes, reduction = example.prepared(*example.halves(regions(voc), 0))
    curves = [
        example.train(xp, training, testing, classes, reduction, pooling, 0, 2)[2]
        for xp in (importlib.import_module("backends").array_namespace("numpy"), far)
    ]
    one, other = (curve["loss"] for curve in curves)
    assert len(one) == 2
    np.testing.assert_allclose(one[0], other[0], rtol=1e-6)
    # A first step of AdamW is the sign of the gradient: where an entry is 0 to rounding, in float32, two backends move
    # one weight of thousands to two sides. Measured after it: 1e-5 (mean) to 6e-4 (second-order).
    np.testing.assert_allclose(one[1], other[1], rtol=1e-3)


def test_descriptors():
    pixels, _ = image(np.random.default_rng(0))
    found = parts.describe(pixels)
    assert found.shape == (32, 48, parts.DESCRIPTORS) and found.dtype == np.float32 and np.isfinite(found).all()
    assert np.isfinite(parts.describe(np.full((8, 9, 3), 7, dtype=np.uint8))).all()


def test_rows_of_regions(voc):
    """The rows of a region are pixels of its own, and of its own image."""
    found = regions(voc)
    assert found.rows.shape == (24, parts.PIXELS) and found.images.tolist() == np.arange(12).repeat(2).tolist()
    across = found.table[found.rows][..., -1]  # 30 |x / w - 1 / 2|
    left = found.classes == 1
    assert across[left].max() == 15.0 and across[~left].max() == 30.0 * (47 / 48 - 0.5)


def test_classes_that_training_has_not(voc):
    found = regions(voc)
    found = found._replace(classes=np.where(found.images == 5, 9, found.classes))
    (_, testing), classes, reduction = example.prepared(found[found.images != 5], found)
    assert classes == 2 and set(testing.classes) == {0, 1, -1} and reduction is None


def test_prepared_channels(voc):
    """Mean 0 and deviation 1 in training, each pixel counted as often as it was drawn; rounding is not blown up."""
    found, rng = regions(voc), np.random.default_rng(0)
    size = len(found.table)
    nearly = 70.0 * (1.0 + 1e-7 * rng.standard_normal(size))
    table = np.stack([50.0 + 9.0 * rng.standard_normal(size), np.full(size, 0.1), nearly], axis=1)
    first, second = example.halves(found._replace(table=table.astype(np.float32)), 0)
    assert not set(first.images) & set(second.images) and len(first.images) + len(second.images) == 24
    (training, testing), _, _ = example.prepared(first, second)
    assert testing.table is training.table
    pixels = training.table[training.rows].reshape(-1, 3).astype(np.float64)
    rounding = 4e-6  # a table around 70 in float32, half a unit in its last place, over a deviation of 1 or more
    np.testing.assert_allclose(pixels.mean(axis=0), 0.0, atol=rounding)
    np.testing.assert_allclose(pixels.std(axis=0)[:2], [1.0, 0.0], atol=rounding)
    assert pixels[:, 2].std() < 1e-5  # the noise of 7e-6 that it has, in units of its own


@pytest.mark.parametrize("pooling", ["mean", "second-order", "log"])
def test_images_of_one_colour(tmp_path, pooling):
    """Nothing to learn, and no NaN."""
    labels = image(np.random.default_rng(0))[1]
    root = write(tmp_path / "voc", [(f"im{i}", np.full((32, 48, 3), 90), labels) for i in range(4)])
    found = command(root, tmp_path, "--pooling", pooling)
    assert 0.0 <= found[pooling]["fixed"][0] <= 1.0
    assert np.isfinite(json.loads((tmp_path / "o.json").read_text())["curves"][pooling][0]["loss"]).all()


def test_grey_level_files(tmp_path):
    rng = np.random.default_rng(0)
    images = [(f"im{i}", *image(rng)) for i in range(4)]
    colour = regions(write(tmp_path / "rgb", images))
    grey = regions(write(tmp_path / "grey", [(name, pixels[..., 0], labels) for name, pixels, labels in images]))
    np.testing.assert_array_equal(grey.table, colour.table)


def test_empty_regions(voc, capsys):
    images = list(example.open_images("voc", voc, "all", "msrc", None))
    images[3] = dataclasses.replace(images[3], masks=images[3].masks & np.array([False, True])[:, None, None])
    found = example.read(images, voc)
    assert len(found.classes) == 23 and "1 regions without a pixel are left out" in capsys.readouterr().err


def test_masks_of_another_size(tmp_path):
    rng = np.random.default_rng(0)
    images = [(f"im{i}", *image(rng)) for i in range(3)]
    images[1] = ("im1", images[1][1], images[1][2][:-1])
    with pytest.warns(UserWarning, match=r"left out: im1: labels of size \(31, 48\) for an image of"):
        assert set(regions(write(tmp_path, images)).images) == {0, 1}


def test_too_little(tmp_path):
    rng = np.random.default_rng(0)
    one, two = (("one", *image(rng)), ("two", *image(rng)))
    with pytest.raises(SystemExit, match="two images"):
        command(write(tmp_path / "one", [one]), tmp_path)
    same = [(name, pixels, np.ones_like(labels)) for name, pixels, labels in (one, two)]
    with pytest.raises(SystemExit, match="all of one class"):
        command(write(tmp_path / "class", same), tmp_path)
    with pytest.raises(SystemExit, match="no region"):
        command(write(tmp_path / "none", [(name, pixels, 0 * labels) for name, pixels, labels in same]), tmp_path)
    found = command(write(tmp_path / "two", [one, two]), tmp_path, "--pooling", "mean")  # no folds of one image
    assert len(found["mean"]["fixed"]) == 1


@pytest.fixture(scope="module")
def backbone(voc, tmp_path_factory):
    """Activations of stride 8 that know the class, of few channels and of many."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("features")
    safetensors = pytest.importorskip("safetensors.numpy")
    for channels in (5, 80):
        (root / str(channels)).mkdir()
        for i in range(12):
            maps = rng.standard_normal((4, 6, channels))
            maps[:, 3:, :3] *= 10.0  # means tell nothing
            maps = maps.astype(np.float16 if i % 3 else np.float32)
            if i % 2:
                np.savez(root / str(channels) / f"im{i}.npz", maps)
            else:
                safetensors.save_file({"maps": maps}, root / str(channels) / f"im{i}.safetensors")
    return root


@pytest.mark.parametrize("channels", [5, 80])
def test_activations_of_a_backbone(voc, backbone, tmp_path, channels):
    found = regions(voc, backbone / str(channels))
    assert found.table.shape == (12 * 24, channels) and len(np.unique(found.rows[0])) == 12
    (training, _), _, reduction = example.prepared(*example.halves(found, 0))
    assert (reduction is None) == (channels == 5)
    if channels == 80:
        components = training.table[training.rows].reshape(-1, channels).astype(np.float64) @ reduction
        covariance = components.T @ components / len(components)
        np.testing.assert_allclose(covariance, np.eye(32), atol=2e-6)  # of a Gram matrix in float32, measured 1.4e-7
    more = ["--features", str(backbone / str(channels)), "--pooling", "log", "--epochs", "30"]
    accuracies = command(voc, tmp_path, *more)["log"]
    assert channels == 80 or min(accuracies["fixed"] + accuracies["trained"]) > 0.8


def test_cells_of_a_feature_map():
    assert parts.nearest((4, 6), (2, 3)).reshape(4, 6).tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2
    assert parts.nearest((3, 2), (1, 1)).tolist() == [0] * 6
    assert parts.nearest((2, 2), (4, 4)).tolist() == [0, 2, 8, 10]


@pytest.mark.parametrize(
    "arrays, said",
    [
        ({}, "must hold one array, holds 0"),
        ({"a": np.ones((2, 2, 3)), "b": np.ones(3)}, r"must hold one array, holds 2 \(a, b\)"),
        ({"a": np.ones((2, 3))}, r"of shape \(h, w, channels\), found float64 \(2, 3\)"),
        ({"a": np.ones((2, 0, 3))}, "found float64"),
        ({"a": np.ones((2, 2, 3), dtype=complex)}, "must be real"),
        ({"a": np.full((2, 2, 3), np.nan)}, "not finite"),
        ({"a": np.ones((2, 2, 4))}, "activations of im1 have 4 channels, those before it 3"),
    ],
)
def test_activations_that_do_not_fit(voc, tmp_path, arrays, said):
    for i in range(12):
        np.savez(tmp_path / f"im{i}.npz", **(arrays if i == 1 else {"a": np.ones((2, 2, 3))}))
    with pytest.raises(SystemExit, match=said):
        regions(voc, tmp_path)


def test_activations_that_are_not_there(voc, tmp_path):
    with pytest.raises(SystemExit, match=r"there is no im0\.npz and no im0\.safetensors"):
        regions(voc, tmp_path)
    for end in ("safetensors", "npz"):
        (tmp_path / f"im0.{end}").write_bytes(b"nothing of the kind")
        with pytest.raises(SystemExit, match=rf"im0\.{end}: cannot be read"):
            regions(voc, tmp_path)


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


def test_wrong_use(voc, tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match="VOC: there is no folder"):
        example.main(["--train", str(tmp_path), "--json", str(tmp_path / "found.json")])
    for wrong, said in (
        (["--pooling", "max"], "argument --pooling: invalid choice"),
        (["--seeds", "0"], "argument --seeds: must be 1 or more, got 0"),
        (["--epochs", "0"], "argument --epochs: must be 1 or more, got 0"),
        (["--limit", "-1"], "argument --limit: must be 1 or more, got -1"),
        (["--json", str(tmp_path)], "argument --json: must be a file"),
    ):
        with pytest.raises(SystemExit):
            command(voc, tmp_path, *wrong)
        assert said in capsys.readouterr().err
