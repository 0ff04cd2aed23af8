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
    """Three images for training, two for validation, one of them of one colour; two annotations each."""
    from PIL import Image
    from scipy.io import savemat
    from skimage import data, transform

    root = tmp_path_factory.mktemp("bsds")
    pictures = {"train": ["coffee", "chelsea", "camera"], "val": ["astronaut", None]}
    for split, names in pictures.items():
        for part in ("images", "groundTruth"):
            (root / part / split).mkdir(parents=True)
        for i, name in enumerate(names):
            image = np.full((65, 97, 3), 0.5) if name is None else transform.resize(getattr(data, name)(), (65, 97))
            image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image
            Image.fromarray((255 * image).astype(np.uint8)).save(root / "images" / split / f"{i}.jpg", quality=95)
            bright = 1 + (image.mean(axis=-1) > image.mean()).astype(np.uint16)
            sides = 1 + (np.arange(97) > 40).astype(np.uint16) + 0 * bright
            cells = np.empty((1, 2), dtype=object)
            for k, labels in enumerate((bright, sides)):
                cells[0, k] = {"Segmentation": labels, "Boundaries": 0 * labels}
            savemat(root / "groundTruth" / split / f"{i}.mat", {"groundTruth": cells})
    return root


def train(example, folder, out, *options):
    example.main(["train", "--data", str(folder), "--out", str(out), "--epochs", "2", "--workers", "1", *options])


@pytest.mark.parametrize("method", ["graph", "pixels"])
def test_train_and_evaluate(example, folder, tmp_path, method, capsys):
    run = tmp_path / "run"
    train(example, folder, run, "--method", method)
    assert len((run / "losses.txt").read_text().splitlines()) == 2
    options = ["--baselines", "--pictures", str(tmp_path / "p.png")] if method == "graph" else []
    arguments = ["evaluate", "--data", str(folder), "--run", str(run), "--json", str(tmp_path / "s.json")]
    scores = example.main([*arguments, "--workers", "1", *options])
    assert len(scores) == (5 if options else 2)
    written = json.loads((tmp_path / "s.json").read_text())
    trained = written["scores"]["normalized cuts, trained"]
    assert trained["covering"]["ODS"] == scores["normalized cuts, trained"].covering_ods
    assert 0.3 < trained["covering"]["ODS"] <= trained["covering"]["OIS"] <= trained["covering"]["best"] <= 1.0
    assert len(trained["by scale"]["covering"]) == len(written["segments"])
    assert "normalized cuts, trained" in capsys.readouterr().out
    assert (tmp_path / "p.png").exists() == bool(options)


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
