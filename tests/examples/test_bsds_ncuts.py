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


@pytest.mark.parametrize("method", ["graph", "edges", "pixels"])
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
    if options:  # by no more scales than what it is compared with, since OIS and best grow with their number
        other = written["scores"]["Felzenszwalb and Huttenlocher"]
        assert len(other["by scale"]["covering"]) == len(trained["by scale"]["covering"])
    assert "cuts, trained by number" in capsys.readouterr().out
    assert all(
        (tmp_path / "pictures" / f"{name}.png").exists() == bool(options) for name in ("images", "segments", "curves")
    )


def test_stopped_and_resumed(example, folder, tmp_path, monkeypatch, capsys):
    """Stopped while each kind of file is written: the same network, to the last bit, as without the stops."""
    train(example, folder, tmp_path / "whole")
    run, real_save, real_savez = tmp_path / "stopped", arrmb.io.save, np.savez

    def half(path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    def stop_at(kind):
        def savez(path, **arrays):
            return half(path) if kind in arrays else real_savez(path, **arrays)

        def save(path, state):
            return half(path) if kind == "checkpoint" and state.epoch == 2 else real_save(path, state)

        monkeypatch.setattr(np, "savez", savez)
        monkeypatch.setattr(arrmb.io, "save", save)

    for kind in ("textures", "cues", "deviation", "checkpoint"):
        stop_at(kind)
        with pytest.raises(KeyboardInterrupt):
            train(example, folder, run)
        assert not list(run.rglob("*.tmp.*"))
    arguments = ["evaluate", "--data", str(folder), "--run", str(run), "--json", str(tmp_path / "s.json")]
    example.main([*arguments, "--limit", "1"])
    assert "training is not finished: epoch 1 of 2" in capsys.readouterr().err
    assert json.loads((tmp_path / "s.json").read_text())["run"]["epochs"] == 2
    stop_at(None)
    train(example, folder, run)
    assert "goes on after epoch 1" in capsys.readouterr().out
    files = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert files[0] == files[1]


def test_two_processes_write_one_file(example, tmp_path, monkeypatch):
    from bsds import run_folder

    def write(file):
        file.write_text("first")
        monkeypatch.setattr(run_folder.os, "getpid", lambda: -1)
        run_folder.write_whole(tmp_path / "x.txt", lambda other: other.write_text("second"))

    run_folder.write_whole(tmp_path / "x.txt", write)
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"] and (tmp_path / "x.txt").read_text() == "first"


def test_an_error_in_a_process(example):
    """The others' results before it, and no more jobs begun after it."""
    from bsds import run_folder

    begun = []
    jobs = ((divmod, begun.append(i) or 7, 3 - i) for i in range(1000))
    found = run_folder.in_processes(1, jobs)
    with pytest.raises(ZeroDivisionError):
        for result, i in zip(found, range(1000)):
            assert result == divmod(7, 3 - i)
    assert len(begun) < 10


@pytest.mark.parametrize("method", ["graph", "edges", "pixels"])
def test_on_another_backend(example, far, method):
    """The loss, its gradient and what is cut are those of NumPy."""
    from bsds import cues

    rng = np.random.default_rng(0)
    picture = (rng.random((40, 60, 3)) * np.linspace(40, 255, 60)[:, None]).astype(np.uint8)
    graph = cues.build_graph(picture, cues.learn_vocabulary([picture]))
    method, annotation = example.METHODS[method], np.arange(60) // 30 + np.zeros((40, 1), dtype=int)
    scale, found = {"mean": 0.5, "deviation": 2.0}, []
    for xp in (arrmb.namespace(np.zeros(1)), far):
        network = method.init(xp, np.random.default_rng(0))
        inputs, truth = method.inputs(xp, graph, picture, scale), method.truth(graph, annotation)
        value, gradient = arrmb.value_and_grad(method.loss)(network, inputs, truth)
        leaves = arrmb.tree.flatten(gradient)[0]
        found.append([float(value), *map(example.to_numpy, leaves), method.result(network, inputs, graph)])
        assert isinstance(method.result(None, inputs, graph), np.ndarray)
    # Norms of differences: the graph is in float64 (measured 7e-15), the pixels in float32, and their gradient goes
    # through a QR of 600 rows with a condition number of 190 (measured 2e-5).
    tolerance = 1e-4 if method is example.PixelMethod else 1e-12
    for one, other in zip(*found):
        assert np.linalg.norm(np.subtract(one, other)) <= tolerance * np.linalg.norm(one)


@pytest.mark.parametrize("method", ["graph", "edges", "pixels"])
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


def test_wrong_use(example, folder, tmp_path, capsys):
    with pytest.raises(SystemExit, match="there is no checkpoint in"):
        example.main(["evaluate", "--data", str(folder), "--run", str(tmp_path), "--json", str(tmp_path / "s.json")])
    with pytest.raises(FileNotFoundError, match="BSDS500: there is no folder"):
        train(example, tmp_path, tmp_path / "run")
    train(example, folder, tmp_path / "run")
    with pytest.raises(SystemExit, match="choose another --out"):
        train(example, folder, tmp_path / "run", "--seed", "1")
    with pytest.raises(SystemExit, match="choose another --out"):
        train(example, folder, tmp_path / "run", "--limit", "2")
    for wrong, said in (
        (["--limit", "0"], "argument --limit: must be 1 or more, got 0"),
        (["--epochs", "0"], "argument --epochs: must be 1 or more, got 0"),
        (["--workers", "0"], "argument --workers: must be 1 or more, got 0"),
        (["--seed", "-1"], "argument --seed: must be 0 or more, got -1"),
    ):
        with pytest.raises(SystemExit):
            train(example, folder, tmp_path / "run", *wrong)
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        example.main(["evaluate", "--data", str(folder), "--run", str(tmp_path / "run"), "--json", str(tmp_path)])
    assert "argument --json: must be a file" in capsys.readouterr().err


def test_nothing_to_learn_from(example, tmp_path):
    for split in ("train", "val"):
        for part in ("images", "groundTruth"):
            (tmp_path / part / split).mkdir(parents=True)
    with pytest.raises(SystemExit, match="there are no images in"):
        train(example, tmp_path, tmp_path / "empty")
    for split in ("train", "val"):
        write(tmp_path, split, "one", np.random.default_rng(0).random((40, 60, 3)), [np.zeros((40, 60))])
    with pytest.raises(SystemExit, match="no training image has an annotation with two segments"):
        train(example, tmp_path, tmp_path / "one")


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


def test_loss_edge_by_edge(example):
    """The cross-entropy of the weights, by its definition; and its gradient."""
    from bsds import affinity, cues

    rng, (i, j) = np.random.default_rng(0), np.triu_indices(6, 1)
    segments, given = np.asarray([0, 0, 0, 1, 1, 2]), rng.standard_normal((len(i), cues.COUNT))
    network = affinity.EdgeNetwork.init(arrmb.namespace(given), rng)
    graph, same = cues.Graph(None, np.ones(6), i, j, given), segments[i] == segments[j]
    weights = network(given)
    expected = -np.mean(np.log(np.where(same, weights, 1.0 - weights)))
    np.testing.assert_allclose(affinity.edge_loss(network, graph, segments), expected, rtol=1e-12)
    layer = arrmb.layers.Linear.init(arrmb.namespace(given), rng, cues.COUNT, 1, dtype=given.dtype)
    smooth = affinity.EdgeNetwork([layer])  # finite differences would see the corners of relu
    arrmb.testing.check_grads(lambda c: affinity.edge_loss(smooth, graph._replace(cues=c), segments), (given,))


def test_cues_of_two_halves(example):
    """Named columns are what they are called, and weights that nobody learned are low across the middle."""
    from bsds import affinity, cues

    picture = np.random.default_rng(0).integers(0, 60, (60, 90, 3)).astype(np.uint8)
    picture[:, 45:] += 150
    graph = cues.build_graph(picture, cues.learn_vocabulary([picture]))
    assert graph.cues.shape[1] == cues.COUNT
    off = graph.cues[:, cues.COLOR - 3 : cues.COLOR]
    np.testing.assert_allclose(graph.cues[:, cues.COLOR], np.linalg.norm(off, axis=1), rtol=1e-5)
    right = affinity.segments_of(graph, np.arange(90) // 45 + np.zeros((60, 1), dtype=int))
    across, weights = right[graph.i] != right[graph.j], affinity.hand_made(graph.cues)
    assert 0 < across.sum() < len(across)
    assert weights[across].max() < 0.01 * weights[~across].min()
    barriers = graph.cues[:, cues.BARRIERS][:, [0, 3, 6]]  # those of lightness
    assert (barriers[across].min(axis=0) > np.median(barriers[~across], axis=0)).all()


def test_cut_of_a_tree(example):
    from bsds import grouping

    merges = [(0, 1), (3, 4), (5, 2)]  # of 5 leaves; 3 and 4 and the rest are left apart
    merges.append((7, 6))
    for k, expected in ((1, [0, 0, 0, 0, 0]), (2, [1, 1, 1, 0, 0]), (3, [1, 1, 0, 2, 2]), (5, [0, 1, 2, 3, 4])):
        found = grouping.cut(np.asarray(merges), 5, k)
        assert len(set(found)) == k
        assert len(set(zip(found.tolist(), expected))) == k  # the same partition
