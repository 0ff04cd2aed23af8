"""Learn the affinities of normalized cuts on BSDS500, and compare with cuts that nobody trained.

    python examples/bsds_ncuts.py train --data BSDS500/data --out out/bsds
    python examples/bsds_ncuts.py evaluate --data BSDS500/data --split val --run out/bsds --json out/bsds/val.json

An image is a graph of superpixels (`bsds/cues.py`); a small network turns the cues of an edge into its weight, and is
trained through the top eigenvectors of the normalized affinity (`bsds/affinity.py`). For comparison, ``--method edges``
trains the same network edge by edge, without eigenvectors. With ``--method pixels`` it is a convolutional network that
turns pixels into features instead, trained through `normalized_cuts_loss` (`bsds/pixels.py`). Segments, 2 to 40 of
them, are read off the eigenvectors (`bsds/grouping.py`); scores are those of the benchmark (`arrmb.metrics`).
``evaluate --baselines`` puts untrained methods into the same table.

Training goes on where it was stopped, with the same result, when the command is repeated. Results, times and pictures:
docs/experiments.md.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from arguments import at_least, file_to_write
from backends import array_namespace, to_numpy
from bsds import affinity, pixels, report
from bsds.baselines import BASELINES
from bsds.run_folder import in_processes, learn_scale, load, read_scale, remember, write_whole
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import arrmb
import arrmb.io
import arrmb.metrics
from arrmb.optim import adam, adam_init

RATE, BATCH = 3e-3, 2


class GraphMethod:
    """Learned weights of the edges of a graph of superpixels."""

    loss = staticmethod(affinity.loss)

    @staticmethod
    def init(xp, rng):
        return affinity.EdgeNetwork.init(xp, rng)

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


class EdgeMethod(GraphMethod):
    """The same network, trained edge by edge, without eigenvectors: what training through those is worth.

    Its weights are probabilities, too flat to cut by as they are: they are raised to a power.
    """

    loss = staticmethod(affinity.edge_loss)

    @staticmethod
    def result(network, inputs, graph):
        weights = GraphMethod.result(network, inputs, graph)
        return weights if network is None else weights**affinity.SHARP


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


METHODS = {"graph": GraphMethod, "edges": EdgeMethod, "pixels": PixelMethod}


@arrmb.tree.dataclass
class State:
    """What a checkpoint holds."""

    network: Any
    optimizer: Any
    epoch: int
    losses: Any  # (epochs, 2): mean loss of each epoch in training, and on the validation set after it


def train(options):
    """Train, one checkpoint per epoch; begins with the last checkpoint, if there is one."""
    xp, method, run = array_namespace(options.backend), METHODS[options.method], options.out
    run.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(options, name) for name in ("method", "epochs", "seed", "limit")}
    remember(run, settings)
    items = load(options.data, "train", run, options.workers, options.limit)
    scale = learn_scale(run, items)
    inputs, truths = prepare(xp, method, items, scale)
    del items  # a gigabyte of annotations
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
    if not useful:
        sys.exit("--data: no training image has an annotation with two segments, and there is nothing to learn")
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
        write_whole(path, lambda file, state=state: arrmb.io.save(file, state))
        print("after epoch {}: loss {:.4f}, validation {:.4f}".format(state.epoch, *state.losses[state.epoch - 1]))


def prepare(xp, method, items, scale):
    """Inputs of the images, and for each the annotations in which there is something to cut."""
    inputs = [method.inputs(xp, item.graph, item.image, scale) for item in items]
    truths = [[method.truth(item.graph, a) for a in item.annotations] for item in items]
    return inputs, [[t for t in found if t.max() > 0] for found in truths]


def load_run(xp, run):
    """The settings of a run, its network before training, and its last checkpoint."""
    if not (run / "checkpoint.safetensors").exists():
        sys.exit(f"--run: there is no checkpoint in {run}: train first, with --out {run}")
    settings = json.loads((run / "settings.json").read_text())
    network = METHODS[settings["method"]].init(xp, np.random.default_rng(settings["seed"]))
    like = State(network, adam_init(network), 0, np.zeros((settings["epochs"], 2)))
    state = arrmb.io.load(run / "checkpoint.safetensors", like=like)
    if state.epoch < settings["epochs"]:
        print(f"--run: training is not finished: epoch {state.epoch} of {settings['epochs']}", file=sys.stderr)
    return settings, network, state


def score(segment, arguments, annotations):
    """In a process of its own: the scores of an image, per kind of scale."""
    return {kind: arrmb.metrics.score_image(found, annotations) for kind, found in segment(*arguments).items()}


def evaluate(options):
    """Score a run on a split, beside the same cuts by weights that nobody trained, and the baselines on request."""
    xp = array_namespace(options.backend)
    settings, untrained, state = load_run(xp, options.run)
    method = METHODS[settings["method"]]
    items = load(options.data, options.split, options.run, options.workers, options.limit)
    scale = read_scale(options.run)

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
    for name, (segment, arguments) in methods.items():
        jobs = ((score, segment, arguments(item), item.annotations) for item in items)
        for found in tqdm(in_processes(options.workers, jobs), name, len(items), unit="image"):
            for kind, of_image in found.items():
                scores.setdefault(f"{name} {kind}".strip(), []).append(of_image)
    summaries = {name: arrmb.metrics.summarize(of_images) for name, of_images in scores.items()}
    report.print_table(summaries)
    report.write_json(options.json, summaries, run=settings, epoch=state.epoch, images=[i.name for i in items])
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
    common.add_argument("--workers", type=at_least(1), default=2, help="processes that make graphs and cut images")
    common.add_argument("--limit", type=at_least(1), help="only so many images, to try")
    one = commands.add_parser("train", parents=[common], help="train, or go on training")
    one.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoint, settings, graphs")
    one.add_argument("--method", choices=METHODS, default="graph")
    one.add_argument("--epochs", type=at_least(1), default=10)
    one.add_argument("--seed", type=at_least(0), default=0)
    two = commands.add_parser("evaluate", parents=[common], help="score a trained run")
    two.add_argument("--run", type=Path, required=True, help="the --out of training")
    two.add_argument("--split", choices=["train", "val", "test"], default="val")
    two.add_argument("--json", type=file_to_write, required=True, help="file for the scores")
    two.add_argument("--baselines", action="store_true", help="score methods without training as well")
    two.add_argument("--pictures", type=Path, help="folder for pictures: images, learning curves")
    options = parser.parse_args(arguments)
    with threadpool_limits(1):  # matrices of this size gain nothing from more, and lose much where cores are busy
        return train(options) if options.command == "train" else evaluate(options)


if __name__ == "__main__":
    main()
