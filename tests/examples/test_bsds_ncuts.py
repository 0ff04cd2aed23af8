"""The example of normalized cuts on BSDS500, on a small set in its layout, made of pictures of scikit-image."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import arrmb

for name in ("matplotlib", "scipy", "skimage", "tqdm", "sklearn", "safetensors", "PIL", "threadpoolctl"):
    pytest.importorskip(name)
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example():
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec = importlib.util.spec_from_file_location("bsds_ncuts", EXAMPLES / "bsds_ncuts.py")
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three images for training, one of them grey, two for validation; two annotations each."""
    from skimage import data, transform

    root = tmp_path_factory.mktemp("bsds")
    pictures = {"train": ["coffee", "chelsea", "camera"], "val": ["astronaut", "rocket"]}
    for split, names in pictures.items():
        for name in names:
            image = transform.resize(getattr(data, name)(), (65, 97))
            grey = image.mean(axis=-1) if image.ndim == 3 else image
            write(root, split, name, image, [grey > grey.mean(), np.arange(97) > 40 + 0 * grey])
    return root


def write(root, split, name, image, annotations):
    """An image (h, w) or (h, w, 3) of numbers from 0 to 1, with its annotations (h, w)."""
    from PIL import Image
    from scipy.io import savemat

    for part in ("images", "groundTruth"):
        (root / part / split).mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * image).astype(np.uint8)).save(root / "images" / split / f"{name}.jpg", quality=95)
    cells = np.empty((1, len(annotations)), dtype=object)
    for k, labels in enumerate(annotations):
        cells[0, k] = {"Segmentation": 1 + labels.astype(np.uint16), "Boundaries": 0 * labels.astype(np.uint8)}
    savemat(root / "groundTruth" / split / f"{name}.mat", {"groundTruth": cells})


def train(example, folder, out, *options):
    example.main(["train", "--data", str(folder), "--out", str(out), "--epochs", "2", "--workers", "1", *options])


@pytest.mark.parametrize("method", ["graph", "pixels"])
def test_train_and_evaluate(example, folder, tmp_path, method, capsys):
    run = tmp_path / "run"
    train(example, folder, run, "--method", method)
    options = ["--baselines", "--pictures", str(tmp_path / "pictures")] if method == "graph" else []
    arguments = ["evaluate", "--data", str(folder), "--run", str(run), "--json", str(tmp_path / "s.json")]
    scores = example.main([*arguments, "--workers", "1", *options])
    assert len(scores) == (9 if options else 6)
    written = json.loads((tmp_path / "s.json").read_text())
    trained = written["scores"]["cuts, trained by height"]
    assert trained["covering"]["ODS"] == scores["cuts, trained by height"].covering_ods
    assert 0.3 < trained["covering"]["ODS"] <= trained["covering"]["OIS"] <= trained["covering"]["best"] <= 1.0
    assert len(trained["by scale"]["covering"]) == len(written["scales"]["by height"])
    assert "cuts, trained by number" in capsys.readouterr().out
    assert all(
        (tmp_path / "pictures" / f"{name}.png").exists() == bool(options) for name in ("images", "segments", "curves")
    )


def test_stopped_and_resumed(example, folder, tmp_path, monkeypatch, capsys):
    """The same network, to the last bit, as without the stop."""
    train(example, folder, tmp_path / "whole")
    real_save = arrmb.io.save

    def stop_after_one(path, state):
        real_save(path, state)
        (tmp_path / "stopped" / "checkpoint.tmp").rename(tmp_path / "stopped" / "checkpoint.safetensors")
        raise KeyboardInterrupt

    monkeypatch.setattr(arrmb.io, "save", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        train(example, folder, tmp_path / "stopped")
    monkeypatch.setattr(arrmb.io, "save", real_save)
    train(example, folder, tmp_path / "stopped")
    assert "goes on after epoch 1" in capsys.readouterr().out
    files = [(tmp_path / run / "checkpoint.safetensors").read_bytes() for run in ("whole", "stopped")]
    assert files[0] == files[1]


@pytest.mark.parametrize("method", ["graph", "pixels"])
def test_images_that_leave_nothing_to_cut(example, tmp_path, method):
    """One colour; a truth of one segment; fewer pixels than segments: trained on, cut and scored, all finite."""
    rng, everything = np.random.default_rng(0), np.zeros((40, 60))
    for split in ("train", "val"):
        write(tmp_path, split, "one_colour", everything + 0.5, [np.arange(60) > 20 + everything])
        write(tmp_path, split, "one_segment", rng.random((40, 60, 3)), [everything])
        write(tmp_path, split, "tiny", rng.random((5, 7)), [np.arange(7) > 2 + np.zeros((5, 1))])
    write(
        tmp_path,
        "train",
        "usual",
        rng.random((40, 60, 3)) * [[[1.0]] * 30 + [[0.2]] * 30],
        [everything, np.arange(60) > 29 + everything],
    )
    run = tmp_path / "run"
    train(example, tmp_path, run, "--method", method)
    arguments = ["evaluate", "--data", str(tmp_path), "--run", str(run), "--json", str(tmp_path / "s.json")]
    scores = example.main([*arguments, "--workers", "1", "--baselines"])
    assert all(np.isfinite(s.covering_ods) and np.isfinite(s.voi_ods) for s in scores.values())


def test_wrong_use(example, folder, tmp_path):
    with pytest.raises(SystemExit, match="there is no checkpoint in"):
        example.main(["evaluate", "--data", str(folder), "--run", str(tmp_path), "--json", str(tmp_path / "s.json")])
    with pytest.raises(FileNotFoundError, match="BSDS500: there is no folder"):
        train(example, tmp_path, tmp_path / "run")
    train(example, folder, tmp_path / "run")
    with pytest.raises(SystemExit, match="choose another --out"):
        train(example, folder, tmp_path / "run", "--seed", "1")


def test_loss_and_its_gradient(example):
    """J is 0 at the truth, at most 1, and differentiable twice."""
    from bsds import affinity, cues

    i, j = np.triu_indices(6, 1)
    segments = np.asarray([0, 0, 0, 1, 1, 2])
    same = segments[i] == segments[j]

    class Given:
        def __call__(self, weights):
            return weights

    graph = cues.Graph(None, np.ones(6), i, j, np.where(same, 1.0, 1e-9))
    assert abs(affinity.loss(Given(), graph, segments)) < 1e-6
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.2, 1.0, len(i))
    value = affinity.loss(Given(), graph._replace(cues=weights), segments)
    assert 0.0 < value < 1.0
    arrmb.testing.check_grads(lambda w: affinity.loss(Given(), graph._replace(cues=w), segments), (weights,))


def test_cut_of_a_tree(example):
    from bsds import grouping

    merges = [(0, 1), (3, 4), (5, 2)]  # of 5 leaves; 3 and 4 and the rest are left apart
    merges.append((7, 6))
    for k, expected in ((1, [0, 0, 0, 0, 0]), (2, [1, 1, 1, 0, 0]), (3, [1, 1, 0, 2, 2]), (5, [0, 1, 2, 3, 4])):
        found = grouping.cut(np.asarray(merges), 5, k)
        assert len(set(found)) == k
        assert len(set(zip(found.tolist(), expected))) == k  # the same partition
