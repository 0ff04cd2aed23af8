"""The example of normalized cuts, with tiny settings."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import arrmb

for name in ("matplotlib", "scipy", "skimage", "tqdm"):
    pytest.importorskip(name)
spec = importlib.util.spec_from_file_location(
    "segment_images", Path(__file__).parents[2] / "examples" / "segment_images.py"
)
example = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)
XP = arrmb.namespace(np.zeros(1))


@pytest.fixture(scope="module")
def results():
    return example.run(XP, steps=40, longest=48)


def test_it_learns(results):
    """The loss goes down in training, and held out both the loss and the cut get better."""
    assert len(results["losses"]) == 40 and len(results["training"]) == 4
    before, after = (np.mean([row[k][0] for row in results["training"]]) for k in (1, 2))
    assert after < before - 0.1
    ((picture, before, after),) = results["held out"]
    assert picture.name == "coffee"
    assert after[0] < before[0] and after[1] > before[1] + 0.05


def test_all_in_float32(backend):
    x = backend.put(np.random.default_rng(0).random((30, 9)), "float32")
    labels = backend.put(np.arange(30) % 2, "float32")
    network = example.PixelFeatures.init(backend.xp, np.random.default_rng(1), 9, 2)
    network = arrmb.tree.map(lambda v: backend.put(backend.get(v), "float32"), network)
    value, gradient = arrmb.value_and_grad(lambda net: example.normalized_cuts_loss(net(x), labels))(network)
    assert value.dtype == x.dtype and gradient.hidden.weight.dtype == x.dtype


@pytest.mark.parametrize("name", example.PHOTOGRAPHS)
def test_labels_are_where_the_object_is(results, name):
    """Polygons are drawn in percent: every photograph has an object, of a sixth to four fifths of it."""
    (picture,) = [row[0] for role in ("training", "held out") for row in results[role] if row[0].name == name]
    (truth,) = picture.truths
    assert picture.inputs.dtype == np.float32 and picture.inputs.shape[0] == truth.shape[0]
    assert 1 / 6 < truth.mean() < 4 / 5


def test_covering():
    truth = np.asarray([0, 0, 0, 1])
    assert example.covering(np.asarray([5, 5, 5, 2]), truth) == 1.0
    assert example.covering(np.zeros(4, dtype=int), truth) == pytest.approx((3 * 3 / 4 + 1 / 4) / 4)


def test_folder(tmp_path):
    """Pictures and ground truth in the layout and the file formats of BSDS500."""
    from scipy.io import savemat
    from skimage.io import imsave

    rng = np.random.default_rng(0)
    for part, n in (("train", 3), ("val", 2)):
        for folder in ("images", "groundTruth"):
            (tmp_path / folder / part).mkdir(parents=True)
        for i in range(n):
            segments = np.ones((48, 64), dtype=np.uint16)
            segments[10:40, 10 + i : 40] = 2
            cells = np.empty((1, 2), dtype=object)
            cells[0, 0] = {"Segmentation": segments, "Boundaries": segments == 0}
            cells[0, 1] = {"Segmentation": np.ones_like(segments), "Boundaries": segments == 0}  # one segment: left out
            savemat(tmp_path / "groundTruth" / part / f"{i}.mat", {"groundTruth": cells})
            image = np.where(segments[..., None] == 2, 180, 60) + rng.integers(0, 30, (48, 64, 3))
            imsave(tmp_path / "images" / part / f"{i}.jpg", image.astype(np.uint8))
    results = example.run(XP, data=tmp_path, steps=4, segments=2, longest=32, counts=(2, 2))
    assert len(results["training"]) == len(results["held out"]) == 2
    picture, _, after = results["held out"][0]
    assert len(picture.truths) == 1 and after[2].shape == picture.image.shape[:2] == (24, 32)


def test_command_line(tmp_path, monkeypatch, capsys, results):
    monkeypatch.setattr(example, "run", lambda xp, **options: results)
    example.main(["--out", str(tmp_path)])
    assert {path.name for path in tmp_path.iterdir()} == {
        "loss.png", "held_out_coffee.png",
        *(f"training_{name}.png" for name in example.PHOTOGRAPHS if name != "coffee"),
    }  # fmt: skip
    assert "covering before" in capsys.readouterr().out


def test_no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(SystemExit, match="--backend cupy needs CuPy and a GPU"):
        example.main(["--backend", "cupy"])


def test_empty_folder(tmp_path):
    with pytest.raises(SystemExit, match=r"no \*\.jpg in"):
        example.main(["--data", str(tmp_path)])
