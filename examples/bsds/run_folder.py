"""The folder of a run: settings, vocabulary, graphs, scale of the cues, checkpoint. Each is made once, and then read.

A file comes under its name when it is whole: a run that is killed, or goes on in two processes, leaves no half of one.
"""

import json
import os
import sys
from collections import deque
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from bsds import cues
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import arrmb.data


class Item:
    """An image of the set with its graph."""

    def __init__(self, image, graph):
        self.name, self.image, self.annotations, self.graph = image.name, image.image, image.annotations, graph


def write_whole(path, write):
    """Have ``write(file)`` write a file of another name, unlike that of any other process, and rename it."""
    temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(path, **arrays):
    write_whole(path, lambda file: np.savez(file, **arrays))


def in_processes(workers, jobs):
    """Results of ``jobs``, tuples (function, *arguments), in order, from processes of one thread each.

    Jobs are made as they are needed, since all at once might not fit into memory. After an error, none is begun.
    """
    pool, waiting = ProcessPoolExecutor(workers, initializer=threadpool_limits, initargs=(1,)), deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(*job))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def load(data, split, run, workers, limit=None):
    """The images of a split with their graphs, which are kept in ``run/graphs``."""
    images = arrmb.data.BSDS500(data, split)
    if not images.names:
        sys.exit(f"--data: there are no images in {images.images}")
    images.names = images.names[:limit]
    vocabulary = learn_vocabulary(data, run, limit)
    folder = run / "graphs" / split
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i, name in enumerate(images.names) if not (folder / f"{name}.npz").exists()]
    if missing:
        jobs = ((make_graph, images, i, vocabulary, folder) for i in missing)
        for _ in tqdm(in_processes(workers, jobs), f"graphs of {split}", len(missing), unit="image"):
            pass
    return [Item(image, read_graph(folder / f"{image.name}.npz")) for image in images]


def learn_vocabulary(data, run, limit):
    """Of every other training image."""
    path = run / "vocabulary.npz"
    if not path.exists():
        images = arrmb.data.BSDS500(data, "train")
        chosen = range(0, len(images) if limit is None else min(limit, len(images)), 2)
        vocabulary = cues.learn_vocabulary(images[i].image for i in tqdm(chosen, "vocabulary", unit="image"))
        save_arrays(path, **vocabulary._asdict())
    with np.load(path) as found:
        return cues.Vocabulary(**found)


def learn_scale(run, items):
    """Mean and deviation of each cue over the training images ``items``."""
    path = run / "scale.npz"
    if not path.exists():
        some = np.concatenate([item.graph.cues[::7] for item in items])
        save_arrays(path, mean=some.mean(axis=0), deviation=some.std(axis=0) + 1e-6)
    return read_scale(run)


def read_scale(run):
    with np.load(run / "scale.npz") as found:
        return dict(found)


def make_graph(images, i, vocabulary, folder):
    image = images[i]
    save_arrays(folder / f"{image.name}.npz", **cues.build_graph(image.image, vocabulary)._asdict())


def read_graph(path):
    with np.load(path) as found:
        return cues.Graph(**found)


def remember(run, settings):
    """Write the settings of a run, or exit if it was begun with others."""
    path = run / "settings.json"
    if not path.exists():
        write_whole(path, lambda file: file.write_text(json.dumps(settings)))
    before = json.loads(path.read_text())
    if before != settings:
        sys.exit(f"{path} has {before}, this command {settings}: choose another --out, or repeat the command")
