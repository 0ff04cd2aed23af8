"""The example of texture classification, with tiny settings."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import arrmb

for name in ("matplotlib", "skimage", "tqdm"):
    pytest.importorskip(name)
spec = importlib.util.spec_from_file_location(
    "classify_regions", Path(__file__).parents[2] / "examples" / "classify_regions.py"
)
example = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)


@pytest.fixture(scope="module")
def results():
    return example.run(arrmb.namespace(np.zeros(1)), steps=25, per_class=4, per_class_test=3)


@pytest.mark.parametrize("pooling", example.POOLINGS)
def test_it_learns(results, pooling):
    losses = results[pooling]["losses"]
    assert len(losses) == 25 and np.mean(losses[-5:]) < np.mean(losses[:5])


def test_patches(results):
    for patches, labels in results["sets"]:
        assert patches.dtype == np.float32 and patches.shape == (len(labels), example.SIZE, example.SIZE, 1)
        assert np.array_equal(np.unique(labels), np.arange(len(example.TEXTURES)))


def test_float32_throughout(backend):
    """No op of the loss or of its gradient leaves float32."""
    rng = np.random.default_rng(0)
    patches = backend.put(rng.standard_normal((2, 16, 16, 1)), "float32")
    labels = backend.xp.asarray(np.asarray([3, 1]), device=backend.device)
    for pooling in example.POOLINGS:
        network = example.Network.init(backend.xp, rng, pooling)
        network = arrmb.tree.map(lambda p: backend.put(backend.get(p), "float32"), network)  # to the device under test
        value, gradient = arrmb.value_and_grad(example.loss)(network, patches, labels)
        assert value.dtype == backend.xp.float32
        assert all(g.dtype == backend.xp.float32 for g in arrmb.tree.flatten(gradient)[0])


@pytest.mark.parametrize("part", [0, 1])
def test_training_and_testing_see_different_stripes(part):
    """Where the other part's stripes are the only ones that are not constant, patches are constant."""
    picture = np.zeros((40, 100 * example.STRIPES))
    for stripe in range(1 - part, example.STRIPES, 2):
        picture[:, 100 * stripe : 100 * (stripe + 1)] = np.random.default_rng(0).standard_normal((40, 100))
    assert not np.any(example.cut_patches(np.random.default_rng(1), picture, part, 200))
    assert np.all(np.any(example.cut_patches(np.random.default_rng(1), picture, 1 - part, 200), axis=(1, 2)))


def test_pictures_and_table(results, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(example, "run", lambda *args, **options: results)
    example.main(["--out", str(tmp_path / "out")])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"patches.png", "curves.png"}
    table = capsys.readouterr().out
    assert "mean pooling" in table and "second-order pooling" in table and "\nall " in table


def test_without_cupy(monkeypatch):
    """One line and exit status 1."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(SystemExit, match=r"^--backend cupy needs CuPy and a GPU: .*$"):
        example.main(["--backend", "cupy"])
