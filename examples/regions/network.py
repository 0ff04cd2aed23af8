"""A network over the pixels of regions, trained end to end through the pooling; and its counterpart that is not."""

import math
from typing import Any

import numpy as np
from backends import to_numpy
from tqdm import tqdm

import arrmb
from arrmb.layers import Linear, relu, second_order_pooling, softmax_cross_entropy
from arrmb.optim import adam, adam_init

from .pixels import PIXELS

POOLINGS = ("mean", "second-order", "log")
SAMPLE = 256  # pixels of a region in a training step
BATCH, RATE, DECAY, JITTER, EPS, NORM = 32, 8e-3, 0.05, 0.2, 1e-2, 8.0
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # C of logistic regression


def pool(features, pooling):
    """Vectors (r, ...) of regions from the features (r, n, d) of their pixels."""
    xp = arrmb.namespace(features)
    if pooling == "mean":
        return xp.mean(features, axis=1)
    one = xp.ones_like(features[..., :1])  # so that means are among the second-order statistics
    features = xp.concat([features, one], axis=-1)
    transform = "log" if pooling == "log" else "none"
    pooled = second_order_pooling(features, average=True, eps=EPS, transform=transform)
    d = pooled.shape[-1]
    i, j = np.triu_indices(d)  # a symmetric matrix has every other entry twice
    return xp.take(xp.reshape(pooled, (pooled.shape[0], d * d)), xp.asarray(i * d + j), axis=1)


@arrmb.tree.dataclass
class Network:
    """A reduction of many channels, two linear maps that make more features, the pooling, a linear classifier."""

    reduction: Any
    hidden: Any
    features: Any
    head: Any
    pooling: str = arrmb.tree.static()

    @classmethod
    def init(cls, xp, rng, pooling, channels, classes, reduction=None, width=48, features=12):
        if reduction is not None:
            channels, reduction = reduction.shape[1], Linear(xp.asarray(reduction))
        d = channels + features
        head = Linear.init(xp, rng, d if pooling == "mean" else (d + 1) * (d + 2) // 2, classes)
        head = Linear(xp.zeros_like(head.weight), head.bias)  # all classes alike, for whatever pooling
        return cls(
            reduction, Linear.init(xp, rng, channels, width), Linear.init(xp, rng, width, features), head, pooling
        )

    def pooled(self, pixels):
        """Vectors of regions from the pixels (r, n, channels) of each."""
        given = pixels if self.reduction is None else self.reduction(pixels)
        learned = self.features(relu(self.hidden(given)))
        xp = arrmb.namespace(learned)
        return pool(xp.concat([xp.asarray(given), xp.tanh(learned)], axis=-1), self.pooling)

    def __call__(self, pixels, standard):
        """Scores (r, classes); ``standard``: what is taken off pooled vectors, and what they are divided by."""
        mean, deviation = standard
        return self.head((self.pooled(pixels) - mean) / deviation)


def loss(network, pixels, classes, standard):
    losses = softmax_cross_entropy(network(pixels, standard), classes)
    return arrmb.namespace(losses).mean(losses)


def all_pixels(part, chosen):
    return part.table[part.rows[chosen]]


def changed(rng):
    """A function like `all_pixels`: random pixels of each region, its channels shifted at random."""

    def pixels(part, chosen):
        found = part.table[part.rows[chosen][:, rng.integers(0, PIXELS, SAMPLE)]]
        shift = JITTER * rng.standard_normal((len(found), 1, found.shape[-1]))
        return found + shift.astype(np.float32)

    return pixels


def in_batches(xp, f, part, pixels=all_pixels):
    """f of the pixels of all regions."""
    batches = (slice(i, i + BATCH) for i in range(0, len(part.rows), BATCH))
    return np.concatenate([to_numpy(f(xp.asarray(pixels(part, batch)))) for batch in batches])


def accuracy(xp, network, standard, part):
    scores = in_batches(xp, lambda pixels: network(pixels, standard), part)
    return float(np.mean(np.argmax(scores, axis=1) == part.classes))


def train(xp, training, testing, classes, reduction, pooling, seed, epochs):
    """A network, trained on the regions; how pooled vectors are standardised; and its learning curves.

    The vectors of the three poolings differ in size, and in their number of entries (some 30 or 500), by far. Before
    the first step, those of the changed training regions are standardised and scaled to a root mean square norm of
    NORM, so that a step of AdamW, which moves each weight as far, moves the scores alike. These constants stay.
    """
    rng, channels = np.random.default_rng(seed), training.table.shape[1]
    network = Network.init(xp, rng, pooling, channels, classes, reduction)
    draw = changed(rng)
    pooled = in_batches(xp, network.pooled, training, draw)
    size = math.sqrt(pooled.shape[1]) / NORM
    standard = xp.asarray(pooled.mean(axis=0)), xp.asarray(size * (pooled.std(axis=0) + 1e-3))
    state, value_and_grad = adam_init(network), arrmb.value_and_grad(loss)
    count = len(training.classes)
    batch = min(BATCH, count)
    steps, often = epochs * (count // batch), max(1, epochs // 20)
    curves, values = {"epoch": [], "loss": [], "accuracy": []}, []
    with tqdm(total=steps, desc=f"{pooling}, seed {seed}", unit="step", leave=False) as bar:
        for epoch in range(1, epochs + 1):
            order = rng.permutation(count)
            for start in range(0, count - batch + 1, batch):
                chosen = order[start : start + batch]
                pixels = xp.asarray(draw(training, chosen))
                labels = xp.asarray(training.classes[chosen])
                value, gradient = value_and_grad(network, pixels, labels, standard)
                rate = RATE * 0.5 * (1.0 + math.cos(math.pi * bar.n / steps))
                network, state = adam(network, gradient, state, lr=rate, weight_decay=DECAY)
                values.append(value)
                bar.update()
            if epoch % often == 0 or epoch == epochs:
                curves["epoch"].append(epoch)
                curves["loss"].append(float(np.mean([float(v) for v in values])))
                curves["accuracy"].append(accuracy(xp, network, standard, testing))
                bar.set_postfix(loss=f"{curves['loss'][-1]:.3f}")
                values = []
    return network, standard, curves


def fixed(training, testing, reduction, pooling):
    """The accuracy of logistic regression on the pooled channels; its penalty by cross-validation over images."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    def pooled(part):
        def one(pixels):
            pixels = pixels if reduction is None else pixels @ reduction
            return pool(pixels.astype(np.float64), pooling)

        return in_batches(np, one, part)

    def scores(fitting, scoring):
        """Accuracies by penalty, strongest first: each fit goes on from the one before it."""
        scale = StandardScaler().fit(fitting[0])
        model, found = LogisticRegression(max_iter=1000, warm_start=True), []
        for c in PENALTIES:
            model.set_params(C=c).fit(scale.transform(fitting[0]), fitting[1])
            found.append(model.score(scale.transform(scoring[0]), scoring[1]))
        return np.asarray(found)

    x, y, images = pooled(training), training.classes, training.images
    folds = min(3, len(np.unique(images)))
    splits = GroupKFold(folds).split(x, y, images) if folds > 1 else ()  # of one image nothing can be held out
    with threadpool_limits(1):
        tried = [scores((x[i], y[i]), (x[j], y[j])) for i, j in splits if len(np.unique(y[i])) > 1]
        best = np.argmax(np.mean(tried, axis=0)) if tried else PENALTIES.index(1.0)
        return float(scores((x, y), (pooled(testing), testing.classes))[best])
