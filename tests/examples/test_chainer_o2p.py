"""The example of Chainer's Trainer, with tiny settings."""

import importlib.util
import json
import sys
import warnings
from pathlib import Path

import chainer_here
import numpy as np
import pytest

chainer = chainer_here.import_chainer()
for name in ("matplotlib", "skimage", "tqdm"):
    pytest.importorskip(name)
FOLDER = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example():
    sys.path.insert(0, str(FOLDER))  # as for a script: it takes its patches from its neighbour
    try:
        spec = importlib.util.spec_from_file_location("chainer_o2p", FOLDER / "chainer_o2p.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


def run(example, out, *arguments):
    with warnings.catch_warnings():
        # Chainer 7.8.1 on a Matplotlib and a NumPy that are younger: nothing that the example could do about it
        warnings.simplefilter("ignore", DeprecationWarning)
        example.main(["--per-class", "1", "--noprogress", "--out", str(out), *arguments])


def log(out, pooling):
    entries = json.loads((out / pooling / "log").read_text())
    return [{k: v for k, v in entry.items() if k != "elapsed_time"} for entry in entries]


def test_it_learns_and_resumes(example, tmp_path):
    """A run that is resumed from a snapshot ends with the log and the parameters of one that was not interrupted."""
    run(example, tmp_path / "whole", "--epoch", "3")
    for pooling in ("mean", "o2p"):
        files = {path.name for path in (tmp_path / "whole" / pooling).iterdir()}
        snapshots = {f"snapshot_epoch-{i}" for i in (1, 2, 3)}
        assert files == snapshots | {"log", "loss.png", "accuracy.png"}
        whole = log(tmp_path / "whole", pooling)
        assert whole[2]["main/loss"] < whole[0]["main/loss"]
        snapshot = str(tmp_path / "whole" / pooling / "snapshot_epoch-1")
        run(example, tmp_path / "again", "--epoch", "3", "--pooling", pooling, "--resume", snapshot)
        assert log(tmp_path / "again", pooling) == whole
        with (
            np.load(tmp_path / "whole" / pooling / "snapshot_epoch-3") as one,
            np.load(tmp_path / "again" / pooling / "snapshot_epoch-3") as two,
        ):
            names = [name for name in one if "/model:main/" in name]
            assert len(names) == 11 and all(np.array_equal(one[name], two[name]) for name in names)
    assert (tmp_path / "whole" / "both.png").exists()


def test_resume_is_of_one_network(example, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(example, tmp_path, "--resume", "snapshot")
    assert "--resume is for one network" in capsys.readouterr().err


def test_data(example):
    train, test = example.get_textures(0, 2)
    assert len(train) == 10 * 2 * 8 and len(test) == 40
    patch, label = train[0]
    assert patch.shape == (1, 32, 32) and patch.dtype == np.float32 and label.dtype == np.int32
    order = example.shuffle(np.arange(50), 0)
    assert sorted(order) == list(range(50)) and not np.array_equal(order, np.arange(50))
    assert np.array_equal(order, example.shuffle(np.arange(50), 0))
