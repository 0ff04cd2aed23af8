"""Name the regions of photographs: mean, second-order and log second-order pooling of learned features, compared.

    python examples/regions_o2p.py --train MSRC --json out/regions.json                      # halves of the images
    python examples/regions_o2p.py --train MSRC --test OTHER --pooling log --json out/log.json
    python examples/regions_o2p.py --dataset coco --train COCO --json out/coco.json

The folders are in the layout of PASCAL VOC (`arrmb.data.VOC`) or MSCOCO. 20 descriptors are measured at each pixel:
colour at two scales, edges and texture, place. A small network adds 24 features of its own, the features of a region's
pixels are pooled, and a linear classifier names the region; everything is trained end to end, through the pooling, by
AdamW, on random pixels of each region with random changes of the descriptors. Beside each network stands its fixed
counterpart: logistic regression on the same pooling of the 20 descriptors.

Without --test, the images are split into halves, anew for each seed. Results, times: docs/experiments.md.
"""

import argparse
import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from backends import array_namespace
from tqdm import tqdm

import arrmb
import arrmb.data
from arrmb.layers import Linear, relu, second_order_pooling, softmax_cross_entropy
from arrmb.optim import adam, adam_init

POOLINGS = ("mean", "second-order", "log")
DESCRIPTORS = 20
PIXELS = 1024  # kept of each region
SAMPLE = 256  # of them, in a training step
BATCH, RATE, DECAY, JITTER, EPS = 32, 2e-3, 0.05, 0.15, 1e-2


class Regions(NamedTuple):
    """Descriptors (r, PIXELS, DESCRIPTORS) of regions, their classes (r,), and the number of the image of each (r,)."""

    pixels: np.ndarray
    classes: np.ndarray
    images: np.ndarray


def describe(image):
    """20 descriptors (h, w, 20) of an image (h, w, 3) of uint8."""
    from scipy.ndimage import gaussian_filter
    from skimage.color import rgb2lab

    lab = rgb2lab(image)
    light, found = lab[..., 0], [*np.moveaxis(lab, -1, 0), *(gaussian_filter(lab[..., k], 4.0) for k in range(3))]
    for s in (1.0, 2.5):
        orders = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 1))
        found += [np.abs(s ** sum(order) * gaussian_filter(light, s, order=order)) for order in orders]
    for s in (2.0, 6.0):
        variance = gaussian_filter(light * light, s) - gaussian_filter(light, s) ** 2
        found.append(np.sqrt(np.maximum(variance, 0.0)))
    h, w = light.shape
    y, x = np.indices((h, w))
    return np.stack([*found, 30.0 * y / h, 30.0 * np.abs(x / w - 0.5)], axis=-1).astype(np.float32)


def read(dataset, folder, classes, limit):
    """The regions of all images of a folder."""
    if dataset == "coco":
        images = arrmb.data.COCOPanoptic(folder, "train2017", on_damage="skip")
    else:
        names = arrmb.data.MSRC_CLASSES if classes == "msrc" else arrmb.data.PASCAL_CLASSES
        images = arrmb.data.VOC(folder, "all", classes=names, on_damage="skip")
    images.names = images.names[:limit]
    rng, pixels, labels, numbers = np.random.default_rng(0), [], [], []
    for i, image in enumerate(tqdm(images, f"descriptors of {Path(folder).name}", unit="image")):
        described = describe(image.image).reshape(-1, DESCRIPTORS)
        for mask, label in zip(image.masks, image.classes):
            inside = np.flatnonzero(mask)
            if len(inside):
                pixels.append(described[rng.choice(inside, PIXELS, replace=len(inside) < PIXELS)])
                labels.append(label)
                numbers.append(i)
    if not pixels:
        sys.exit(f"{folder}: there is no region in it")
    return Regions(np.stack(pixels), np.asarray(labels), np.asarray(numbers))


def halves(regions, seed):
    """Regions of one half of the images, and of the other."""
    order = np.random.default_rng(seed).permutation(regions.images.max() + 1)
    first = np.isin(regions.images, order[: len(order) // 2])
    return [Regions(*(part[chosen] for part in regions)) for chosen in (first, ~first)]


def standardized(training, testing):
    """Both, with descriptors of mean 0 and deviation 1 in training; classes that do not occur there become -1."""
    mean, deviation = training.pixels.mean(axis=(0, 1)), training.pixels.std(axis=(0, 1)) + 1e-6
    kinds = np.unique(training.classes)
    return [
        Regions(
            (part.pixels - mean) / deviation,
            np.where(np.isin(part.classes, kinds), np.searchsorted(kinds, part.classes), -1),
            part.images,
        )
        for part in (training, testing)
    ], len(kinds)


def pool(features, pooling):
    """Vectors (r, ...) of regions from the features (r, n, d) of their pixels."""
    xp = arrmb.namespace(features)
    if pooling == "mean":
        return xp.mean(features, axis=1)
    one = xp.ones_like(features[..., :1])  # so that means are among the second-order statistics
    features = xp.concat([features, one], axis=-1)
    transform = "log" if pooling == "log" else "none"
    pooled = second_order_pooling(features, average=True, eps=EPS, transform=transform)
    return xp.reshape(pooled, (pooled.shape[0], pooled.shape[1] ** 2))


@arrmb.tree.dataclass
class Network:
    """Two linear maps that make features of descriptors, the pooling, and a linear classifier."""

    hidden: Any
    features: Any
    head: Any
    pooling: str = arrmb.tree.static()

    @classmethod
    def init(cls, xp, rng, pooling, classes, width=48, features=24):
        d = DESCRIPTORS + features
        head = Linear.init(xp, rng, d if pooling == "mean" else (d + 1) ** 2, classes)
        head = Linear(0.1 * head.weight, head.bias)
        return cls(Linear.init(xp, rng, DESCRIPTORS, width), Linear.init(xp, rng, width, features), head, pooling)

    def __call__(self, pixels):
        """Scores (r, classes) of regions from the descriptors (r, n, DESCRIPTORS) of their pixels."""
        learned = self.features(relu(self.hidden(pixels)))
        xp = arrmb.namespace(learned)
        return self.head(pool(xp.concat([xp.asarray(pixels), xp.tanh(learned)], axis=-1), self.pooling))


def loss(network, pixels, classes):
    losses = softmax_cross_entropy(network(pixels), classes)
    return arrmb.namespace(losses).mean(losses)


def train(xp, training, classes, pooling, seed, epochs):
    """A network, trained on the regions."""
    rng = np.random.default_rng(seed)
    network = Network.init(xp, rng, pooling, classes)
    state, value_and_grad = adam_init(network), arrmb.value_and_grad(loss)
    count = len(training.classes)
    batch = min(BATCH, count)
    steps = epochs * (count // batch)
    with tqdm(total=steps, desc=f"{pooling}, seed {seed}", unit="step", leave=False) as bar:
        for _ in range(epochs):
            order = rng.permutation(count)
            for start in range(0, count - batch + 1, batch):
                chosen = order[start : start + batch]
                pixels = training.pixels[chosen][:, rng.integers(0, PIXELS, SAMPLE)]
                pixels = pixels + (JITTER * rng.standard_normal((batch, 1, DESCRIPTORS))).astype(np.float32)
                value, gradient = value_and_grad(network, xp.asarray(pixels), xp.asarray(training.classes[chosen]))
                rate = RATE * 0.5 * (1.0 + math.cos(math.pi * bar.n / steps))
                network, state = adam(network, gradient, state, lr=rate, weight_decay=DECAY)
                bar.update()
                if bar.n % 20 == 0:
                    bar.set_postfix(loss=f"{float(value):.3f}")
    return network


def accuracy(predicted, classes):
    return float(np.mean(predicted == classes))


def predict(xp, network, pixels):
    found = [network(xp.asarray(pixels[i : i + BATCH])) for i in range(0, len(pixels), BATCH)]
    return np.concatenate([np.argmax(x.get() if hasattr(x, "get") else np.asarray(x), axis=1) for x in found])


def fixed(training, testing, pooling):
    """The accuracy of logistic regression on the pooled descriptors; its penalty by cross-validation over images."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    pooled = [pool(part.pixels.astype(np.float64), pooling) for part in (training, testing)]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    folds = GroupKFold(min(3, len(np.unique(training.images))))
    search = GridSearchCV(model, {"logisticregression__C": [1e-2, 1e-1, 1.0]}, cv=folds, error_score=0.0)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the weakest penalty, where it is not the best
        search.fit(pooled[0], training.classes, groups=training.images)
    return accuracy(search.predict(pooled[1]), testing.classes)


def run(xp, options):
    """Accuracies ``{pooling: {"fixed": [...], "trained": [...]}}``, one per seed."""
    regions = read(options.dataset, options.train, options.classes, options.limit)
    others = read(options.dataset, options.test, options.classes, options.limit) if options.test else None
    found = {pooling: {"fixed": [], "trained": []} for pooling in options.pooling}
    for seed in range(options.seeds):
        parts = halves(regions, seed) if others is None else (regions, others)
        (training, testing), classes = standardized(*parts)
        for pooling, rows in found.items():
            network = train(xp, training, classes, pooling, seed, options.epochs)
            rows["trained"].append(accuracy(predict(xp, network, testing.pixels), testing.classes))
            if others is None or seed == 0:  # it knows no seed but that of the halves
                rows["fixed"].append(fixed(training, testing, pooling))
    return found


def print_table(found):
    print(f"\n{'accuracy of regions':22}{'fixed features':>18}{'trained':>18}")
    for pooling, rows in found.items():
        cells = [f"{np.mean(v):.3f} ± {np.std(v):.3f}" if len(v) > 1 else f"{v[0]:.3f}" for v in rows.values()]
        print(f"{pooling + ' pooling':22}" + "".join(f"{cell:>18}" for cell in cells))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="folder to learn from")
    parser.add_argument("--test", type=Path, help="folder to test on; default: the other half of the images of --train")
    parser.add_argument("--dataset", choices=["voc", "coco"], default="voc", help="layout of the folders")
    parser.add_argument(
        "--classes", choices=["msrc", "pascal"], default="msrc", help="names of the classes of --dataset voc"
    )
    parser.add_argument("--pooling", choices=POOLINGS, action="append", help="one or several; default: all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--backend", choices=["numpy", "cupy"], default="numpy")
    parser.add_argument("--limit", type=int, help="only so many images, to try")
    parser.add_argument("--json", type=Path, required=True, help="file for the accuracies")
    options = parser.parse_args(arguments)
    options.pooling = options.pooling or list(POOLINGS)
    found = run(array_namespace(options.backend), options)
    print_table(found)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"accuracy": found, "seeds": options.seeds, "epochs": options.epochs}, indent=1))
    return found


if __name__ == "__main__":
    main()
