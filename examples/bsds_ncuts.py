"""Learn the affinities of normalized cuts on BSDS500, and compare with cuts that nobody trained.

    python examples/bsds_ncuts.py train --data BSDS500/data --out out/bsds
    python examples/bsds_ncuts.py evaluate --data BSDS500/data --split val --run out/bsds --json out/bsds/val.json

An image is a graph of superpixels (`bsds/cues.py`); a small network turns the cues of an edge into its weight, and is
trained through the top eigenvectors of the normalized affinity (`bsds/affinity.py`). With ``--method pixels`` it is a
convolutional network that turns pixels into features instead, trained through `normalized_cuts_loss`
(`bsds/pixels.py`). Segments, 2 to 40 of them, are read off the eigenvectors (`bsds/grouping.py`); scores are those of
the benchmark (`arrmb.metrics`). ``evaluate --baselines`` puts untrained methods into the same table.

Training goes on where it was stopped, with the same result, when the command is repeated. Results, times and pictures:
docs/experiments.md.
"""

import argparse
import json
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from backends import array_namespace
from bsds import affinity, cues, pixels, report
from bsds.baselines import BASELINES
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import arrmb
import arrmb.data
import arrmb.io
import arrmb.metrics
from arrmb.optim import adam, adam_init

RATE, BATCH = 3e-3, 2


class GraphMethod:
    """Learned weights of the edges of a graph of superpixels."""

    loss = staticmethod(affinity.loss)

    @staticmethod
    def init(xp, rng):
        return affinity.EdgeNetwork.init(xp, rng, cues.COUNT)

    @staticmethod
    def inputs(xp, graph, image, scale):
        graph = graph._replace(cues=(graph.cues - scale["mean"]) / scale["deviation"])
        return graph._replace(
            i=xp.asarray(graph.i), j=xp.asarray(graph.j), cues=xp.asarray(graph.cues, dtype=xp.float64)
        )

    @staticmethod
    def truth(graph, annotation):
        return affinity.segments_of(graph, annotation)

    @staticmethod
    def result(network, inputs, graph):
        return affinity.hand_made(graph.cues) if network is None else to_numpy(network(inputs.cues))

    segment = staticmethod(affinity.segment)


class PixelMethod:
    """Learned features of pixels."""

    loss = staticmethod(pixels.loss)

    @staticmethod
    def init(xp, rng):
        return pixels.PixelNetwork.init(xp, rng, pixels.INPUTS)

    @staticmethod
    def inputs(xp, graph, image, scale):
        return xp.asarray(pixels.measure(image))

    @staticmethod
    def truth(graph, annotation):
        return np.unique(annotation[::2, ::2].ravel(), return_inverse=True)[1]

    @staticmethod
    def result(network, inputs, graph):
        return pixels.hand_made(to_numpy(inputs)) if network is None else to_numpy(network(inputs))

    segment = staticmethod(pixels.segment)


METHODS = {"graph": GraphMethod, "pixels": PixelMethod}


@arrmb.tree.dataclass
class State:
    """What a checkpoint holds."""

    network: Any
    optimizer: Any
    epoch: int
    losses: Any  # (epochs, 2): mean loss of each epoch in training, and on the validation set after it


class Item:
    """An image of the set with its graph, and what the method makes of both."""

    def __init__(self, image, graph):
        self.name, self.image, self.annotations, self.graph = image.name, image.image, image.annotations, graph


def to_numpy(x):
    return x.get() if hasattr(x, "get") else np.asarray(x)


def processes(workers):
    """Processes of one thread each: they share the cores among them."""
    return ProcessPoolExecutor(workers, initializer=threadpool_limits, initargs=(1,))


def load(data, split, run, workers, limit=None):
    """The images of a split with their graphs, which are made once and kept in ``run/graphs``."""
    images = arrmb.data.BSDS500(data, split)
    images.names = images.names[:limit]
    vocabulary = learn_vocabulary(data, run, limit)
    folder = run / "graphs" / split
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i, name in enumerate(images.names) if not (folder / f"{name}.npz").exists()]
    if missing:
        with processes(workers) as pool:
            jobs = [pool.submit(make_graph, images, i, vocabulary, folder) for i in missing]
            for job in tqdm(jobs, f"graphs of {split}", unit="image"):
                job.result()
    return [Item(image, read_graph(folder / f"{image.name}.npz")) for image in images]


def learn_vocabulary(data, run, limit):
    path = run / "vocabulary.npz"
    if not path.exists():
        images = arrmb.data.BSDS500(data, "train")
        chosen = range(0, len(images) if limit is None else min(limit, len(images)), 2)
        vocabulary = cues.learn_vocabulary(images[i].image for i in tqdm(chosen, "vocabulary", unit="image"))
        np.savez(path, **vocabulary._asdict())
    with np.load(path) as found:
        return cues.Vocabulary(**found)


def learn_scale(run, items):
    """Mean and deviation of each cue over the training images; made once."""
    path = run / "scale.npz"
    if not path.exists():
        some = np.concatenate([item.graph.cues[::7] for item in items])
        np.savez(path, mean=some.mean(axis=0), deviation=some.std(axis=0) + 1e-6)
    with np.load(path) as found:
        return dict(found)


def make_graph(images, i, vocabulary, folder):
    image = images[i]
    np.savez(folder / f"{image.name}.tmp.npz", **cues.build_graph(image.image, vocabulary)._asdict())
    (folder / f"{image.name}.tmp.npz").rename(folder / f"{image.name}.npz")  # never half a file under its name


def read_graph(path):
    with np.load(path) as found:
        return cues.Graph(**found)


def train(options):
    """Train, one checkpoint per epoch; begins with the last checkpoint, if there is one."""
    xp, method, run = array_namespace(options.backend), METHODS[options.method], options.out
    run.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(options, name) for name in ("method", "epochs", "seed", "limit")}
    remember(run / "settings.json", settings)
    items = load(options.data, "train", run, options.workers, options.limit)
    scale = learn_scale(run, items)
    inputs, truths = prepare(xp, method, items, scale)
    others = prepare(xp, method, load(options.data, "val", run, options.workers, options.limit), scale)
    network = method.init(xp, np.random.default_rng(options.seed))
    state = State(network, adam_init(network), 0, np.full((options.epochs, 2), np.nan))
    path = run / "checkpoint.safetensors"
    if path.exists():
        state = arrmb.io.load(path, like=state)
        print(f"goes on after epoch {state.epoch}: {path}")

    def loss(network, chosen):
        return sum(method.loss(network, inputs[i], truths[i][k]) for i, k in chosen) / len(chosen)

    def validate(network):
        pairs = [(x, found[0]) for x, found in zip(*others) if found]
        return np.mean([float(method.loss(network, *pair)) for pair in pairs]) if pairs else np.nan

    value_and_grad, useful = arrmb.value_and_grad(loss), [i for i, found in enumerate(truths) if found]
    steps = -(-len(useful) // BATCH)
    while state.epoch < options.epochs:
        rng, losses = np.random.default_rng([options.seed, state.epoch]), []  # an epoch is the same whoever begins it
        order = rng.permutation(useful)
        bar = tqdm(range(steps), f"epoch {state.epoch + 1}/{options.epochs}", unit="step")
        for step in bar:
            chosen = [(i, int(rng.integers(len(truths[i])))) for i in order[step * BATCH : (step + 1) * BATCH]]
            value, gradient = value_and_grad(state.network, chosen)
            done = (state.epoch * steps + step) / (options.epochs * steps)
            rate = RATE * 0.5 * (1.0 + math.cos(math.pi * done))
            network, optimizer = adam(state.network, gradient, state.optimizer, lr=rate, weight_decay=1e-3)
            state = State(network, optimizer, state.epoch, state.losses)
            losses.append(float(value))
            bar.set_postfix(loss=f"{np.mean(losses):.4f}", refresh=False)
        state.losses[state.epoch] = np.mean(losses), validate(state.network)
        state = State(state.network, state.optimizer, state.epoch + 1, state.losses)
        arrmb.io.save(run / "checkpoint.tmp", state)
        (run / "checkpoint.tmp").rename(path)  # never half a checkpoint
        print("after epoch {}: loss {:.4f}, validation {:.4f}".format(state.epoch, *state.losses[state.epoch - 1]))


def prepare(xp, method, items, scale):
    """Inputs of the images, and for each the annotations in which there is something to cut."""
    inputs = [method.inputs(xp, item.graph, item.image, scale) for item in items]
    truths = [[method.truth(item.graph, a) for a in item.annotations] for item in items]
    return inputs, [[t for t in found if t.max() > 0] for found in truths]


def remember(path, settings):
    """Write the settings of a run, or raise if it was begun with others."""
    if path.exists():
        before = json.loads(path.read_text())
        if before != settings:
            sys.exit(f"{path} has {before}, this command {settings}: choose another --out, or repeat the command")
    path.write_text(json.dumps(settings))


def load_run(xp, run):
    """The method of a run, its network before training, and its last checkpoint."""
    if not (run / "checkpoint.safetensors").exists():
        sys.exit(f"--run: there is no checkpoint in {run}: train first, with --out {run}")
    settings = json.loads((run / "settings.json").read_text())
    method = METHODS[settings["method"]]
    network = method.init(xp, np.random.default_rng(settings["seed"]))
    like = State(network, adam_init(network), 0, np.zeros((settings["epochs"], 2)))
    return method, network, arrmb.io.load(run / "checkpoint.safetensors", like=like)


def score(segment, arguments, annotations):
    """In a process of its own: the scores of an image, per kind of scale."""
    return {kind: arrmb.metrics.score_image(found, annotations) for kind, found in segment(*arguments).items()}


def evaluate(options):
    """Score a run on a split, beside the same cuts by weights that nobody trained, and the baselines on request."""
    xp = array_namespace(options.backend)
    method, untrained, state = load_run(xp, options.run)
    items = load(options.data, options.split, options.run, options.workers, options.limit)
    scale = learn_scale(options.run, [])

    def by(network):  # what `method.segment` takes
        return lambda item: (
            method.result(network, method.inputs(xp, item.graph, item.image, scale), item.graph),
            item.graph,
        )

    methods = {}
    if options.baselines:
        methods = {name: (segment, lambda item: (item.image,)) for name, segment in BASELINES.items()}
    for name, network in (("hand-made", None), ("untrained", untrained), ("trained", state.network)):
        methods[f"cuts, {name}"] = (method.segment, by(network))
    scores = {}
    with processes(options.workers) as pool:
        for name, (segment, arguments) in methods.items():
            jobs = [pool.submit(score, segment, arguments(item), item.annotations) for item in items]
            for job in tqdm(jobs, name, unit="image"):
                for kind, of_image in job.result().items():
                    scores.setdefault(f"{name} {kind}".strip(), []).append(of_image)
    summaries = {name: arrmb.metrics.summarize(of_images) for name, of_images in scores.items()}
    report.print_table(summaries)
    report.write_json(options.json, summaries, epoch=state.epoch, images=[item.name for item in items])
    if options.pictures:
        report.draw(options.pictures, items, methods, scores, summaries)
        report.draw_curves(options.pictures / "curves.png", state.losses[: state.epoch])
    return summaries


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, required=True, help="folder with images/ and groundTruth/: BSDS500/data")
    common.add_argument("--backend", choices=["numpy", "cupy"], default="numpy")
    common.add_argument("--workers", type=int, default=2, help="processes that make graphs and cut images")
    common.add_argument("--limit", type=int, help="only so many images, to try")
    one = commands.add_parser("train", parents=[common], help="train, or go on training")
    one.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoint, settings, graphs")
    one.add_argument("--method", choices=METHODS, default="graph")
    one.add_argument("--epochs", type=int, default=10)
    one.add_argument("--seed", type=int, default=0)
    two = commands.add_parser("evaluate", parents=[common], help="score a trained run")
    two.add_argument("--run", type=Path, required=True, help="the --out of training")
    two.add_argument("--split", choices=["train", "val", "test"], default="val")
    two.add_argument("--json", type=Path, required=True, help="file for the scores")
    two.add_argument("--baselines", action="store_true", help="score methods without training as well")
    two.add_argument("--pictures", type=Path, help="folder for pictures: images, learning curves")
    options = parser.parse_args(arguments)
    with threadpool_limits(1):  # matrices of this size gain nothing from more, and lose much where cores are busy
        return train(options) if options.command == "train" else evaluate(options)


if __name__ == "__main__":
    main()
