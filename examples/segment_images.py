"""Learn pixel features for normalized cuts, and cut a photograph that was not among those learned from.

    python examples/segment_images.py                         # seconds; pictures in out/segment_images
    python examples/segment_images.py --held-out astronaut    # learn from the others, cut this one
    python examples/segment_images.py --data BSDS500/data     # a folder of the Berkeley segmentation data set

A small network turns what is measured at a pixel into d non-negative features, F; the affinity of pixels is
W = F F^T. Adam on `normalized_cuts_loss` brings the column space of D^-½ W D^-½ close to the true segments: a step
costs a thin QR of F per picture, and no n × n matrix exists. There are as many features as segments to cut into, so
that the subspace that the loss measures is the one that the cut is made from.

By default, four photographs that ship with scikit-image teach the network, by polygons drawn around their main object,
and a fifth is cut into two. What is measured tells how a pixel differs from the margin of its picture, not its colour:
from so few pictures, "orange belongs to the astronaut" would be learned by heart. With --data, colour is used as well.

Covering of the held-out picture before and after, seeds 0, 1, 2: coffee .45 .81, .70 .79, .54 .79; astronaut .43 .61,
.49 .62, .47 .63; camera .39 .58, .86 .57, .48 .59. The cat, which fills its picture, stays at .43; the motorcycle in
its garage gets worse, .48 .42, .41 .40, .54 .43: four pictures teach little, and the settings were chosen by looking at
coffee and astronaut. BSDS500, 100 training pictures, mean of 20 of the validation set: .28 .39, .26 .36, .27 .38.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from backends import array_namespace
from tqdm import tqdm

import arrmb
from arrmb.layers import Linear, normalized_cuts_loss, normalized_cuts_segment, relu
from arrmb.optim import adam, adam_init


def ellipse(x, y, rx, ry):
    t = np.linspace(0, 2 * np.pi, 25)[:-1]
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], axis=1)


# The main object of each photograph: polygons of corners (x, y), in percent of width and height, drawn by hand.
PHOTOGRAPHS = {
    "astronaut": [
        [(30, 15), (34, 6), (45, 3), (54, 6), (59, 17), (57, 24), (53, 27), (52, 33), (58, 40), (60, 48), (68, 54),
         (71, 68), (60, 78), (57, 100), (4, 100), (6, 62), (12, 52), (23, 41), (25, 32), (36, 28), (34, 25)],
        ellipse(77, 88, 22, 20),  # her helmet
    ],
    "camera": [
        [(0, 52), (4, 40), (13, 27), (25, 24), (31, 20), (34, 15), (40, 12), (48, 15), (53, 23), (51, 28), (63, 27),
         (64, 33), (65, 40), (60, 47), (59, 57), (50, 61), (40, 59), (28, 74), (30, 100), (0, 100)],
    ],
    "chelsea": [
        [(10, 0), (11, 10), (8, 30), (0, 42), (0, 100), (78, 100), (74, 88), (79, 70), (81, 45), (78, 22), (84, 8),
         (89, 0)],
    ],
    "coffee": [ellipse(46.5, 56, 33.5, 41), ellipse(48.5, 27.5, 19.5, 24)],  # saucer and cup
    "stereo_motorcycle": [
        [(13, 50), (13, 41), (20, 31), (30, 34), (45, 39), (58, 33), (66, 27), (72, 15), (79, 26), (77, 40), (82, 54),
         (87, 62), (72, 65), (65, 72), (55, 77), (40, 75), (35, 57), (20, 50)],
        ellipse(27, 64, 10.5, 16.5), ellipse(81, 73, 10.5, 17.5),  # its wheels
    ],
}  # fmt: skip


class Picture(NamedTuple):
    name: str
    image: np.ndarray  # (h, w, 3), in [0, 1]
    inputs: np.ndarray  # (h w, c): what is measured at each pixel
    truths: list  # each (h w,): segment ids, one array per person who drew them


@arrmb.tree.dataclass
class PixelFeatures:
    """Two linear maps and a softmax: every pixel has a share in each of d channels, so all degrees are positive."""

    hidden: Any
    out: Any

    @classmethod
    def init(cls, xp, rng, inputs, d, width=64):
        return cls(Linear.init(xp, rng, inputs, width), Linear.init(xp, rng, width, d))

    def __call__(self, x):
        y = self.out(relu(self.hidden(x)))
        xp = arrmb.namespace(y)
        share = xp.exp(y - xp.max(y, axis=-1, keepdims=True))
        return share / xp.sum(share, axis=-1, keepdims=True)


def measure(image, colors):
    """Inputs (h w, c): contrast to the margin, edges, texture at two scales; position; on request, Lab colours."""
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude
    from skimage.color import rgb2lab

    h, w = image.shape[:2]
    lab = rgb2lab(image)
    light, unit, found = lab[..., 0], w / 100, []
    margin, t = np.zeros((h, w), dtype=bool), max(2, w // 25)
    margin[:t] = margin[: 2 * h // 3, :t] = margin[: 2 * h // 3, -t:] = True  # not below, where things stand
    for scale in (unit, 3 * unit):
        smooth = gaussian_filter(lab, (scale, scale, 0))
        off = smooth - smooth[margin].mean(axis=0)
        spread = np.cov(smooth[margin].T) + 25 * np.eye(3)
        found.append(np.log1p(np.einsum("hwi,ij,hwj->hw", off, np.linalg.inv(spread), off)))
        found.append(np.log1p(gaussian_gradient_magnitude(light, scale)))
        variance = gaussian_filter(light**2, scale) - gaussian_filter(light, scale) ** 2
        found.append(np.log1p(np.sqrt(np.maximum(variance, 0))))
        if colors:
            found += list(np.moveaxis(smooth, -1, 0))
    found = [(channel - channel.mean()) / (channel.std() + 1e-3) for channel in found]
    y, x = np.meshgrid(np.linspace(-1.5, 1.5, h), np.linspace(-1.5, 1.5, w), indexing="ij")
    return np.stack([*found, x, y, (x * x + y * y) / 1.5], axis=-1).reshape(h * w, -1).astype(np.float32)


def reduce(image, longest):
    from skimage import transform, util

    image = util.img_as_float32(image)
    image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image[..., :3]
    scale = longest / max(image.shape[:2])
    return transform.resize(image, [round(n * scale) for n in image.shape[:2]], anti_aliasing=True).clip(0, 1)


def load_photographs(longest, held_out):
    """Pictures for training, and the one held out."""
    from skimage import data, draw

    pictures = {}
    for name, polygons in PHOTOGRAPHS.items():
        image = getattr(data, name)()
        image = reduce(image[0] if isinstance(image, tuple) else image, longest)
        h, w = image.shape[:2]
        truth = np.zeros((h, w), dtype=np.int64)
        for x, y in (np.transpose(polygon) for polygon in polygons):
            truth[draw.polygon(y * h / 100 - 0.5, x * w / 100 - 0.5, (h, w))] = 1
        pictures[name] = Picture(name, image, measure(image, colors=False), [truth.ravel()])
    testing = [pictures.pop(held_out)]
    return list(pictures.values()), testing


def load_folder(folder, longest, counts):
    """Pictures for training from images/train, and held out from images/val, evenly spread over the folder."""
    from scipy.io import loadmat
    from skimage.io import imread

    sets = []
    for part, count in zip(("train", "val"), counts):
        files = sorted(Path(folder).glob(f"images/{part}/*.jpg"))
        if not files:
            sys.exit(f"--data: no *.jpg in {Path(folder) / 'images' / part}; expected the folders of BSDS500/data")
        sets.append([])
        for i in np.unique(np.linspace(0, len(files) - 1, count).round().astype(int)):
            image = reduce(imread(files[i]), longest)
            cells = loadmat(Path(folder) / "groundTruth" / part / f"{files[i].stem}.mat")["groundTruth"][0]
            maps = [cell["Segmentation"][0, 0].astype(np.int64) for cell in cells]
            nearest = [((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip(image.shape, maps[0].shape)]
            truths = [segments[np.ix_(*nearest)].ravel() for segments in maps]
            truths = [truth for truth in truths if truth.min() < truth.max()]
            if truths:
                sets[-1].append(Picture(files[i].stem, image, measure(image, colors=True), truths))
    return sets


def train(xp, network, pictures, rng, *, steps, lr=1e-2, batch=2):
    """Minimise the mean loss by Adam with a cosine schedule; yields the network and the loss after each step."""
    inputs = [xp.asarray(p.inputs) for p in pictures]
    truths = [[xp.asarray(truth) for truth in p.truths] for p in pictures]

    def loss(network, chosen):
        return sum(normalized_cuts_loss(network(inputs[i]), truths[i][j]) for i, j in chosen) / len(chosen)

    value_and_grad, state = arrmb.value_and_grad(loss), adam_init(network)
    order = np.concatenate([rng.permutation(len(pictures)) for _ in range(steps * batch // len(pictures) + 1)])
    for step in range(steps):
        chosen = order[step * batch : (step + 1) * batch]
        value, gradient = value_and_grad(network, [(i, rng.integers(len(truths[i]))) for i in chosen])
        rate = lr * 0.5 * (1.0 + math.cos(math.pi * step / steps))
        network, state = adam(network, gradient, state, lr=rate)
        yield network, float(value)


def covering(found, truth):
    """How well the true segments are covered: the mean over pixels of the best intersection over union."""
    both = np.zeros((truth.max() + 1, found.max() + 1))
    np.add.at(both, (truth, found), 1)
    sizes = both.sum(axis=1, keepdims=True)
    overlap = both / np.maximum(sizes + both.sum(axis=0) - both, 1)
    return float((sizes[:, 0] * overlap.max(axis=1)).sum() / truth.size)


def evaluate(xp, network, picture, segments):
    """Loss, covering (means over the truths), and the cut itself (h, w)."""
    features = network(xp.asarray(picture.inputs))
    losses = [float(normalized_cuts_loss(features, xp.asarray(truth))) for truth in picture.truths]
    found = normalized_cuts_segment(features, segments)
    found = found.get() if hasattr(found, "get") else np.asarray(found)
    scores = [covering(found, truth) for truth in picture.truths]
    return float(np.mean(losses)), float(np.mean(scores)), found.reshape(picture.image.shape[:2])


def run(xp, *, data=None, held_out="coffee", seed=0, steps=None, segments=None, longest=120, counts=(100, 20)):
    """Train on arrays of ``xp``. Returns the pictures of both sets, evaluated before and after, and the losses."""
    training, testing = load_folder(data, longest, counts) if data else load_photographs(longest, held_out)
    steps, segments = steps or (400 if data else 150), segments or (8 if data else 2)
    rng = np.random.default_rng(seed)
    start = PixelFeatures.init(xp, rng, training[0].inputs.shape[-1], segments)
    losses, bar = [], tqdm(train(xp, start, training, rng, steps=steps), "training", steps)
    for network, value in bar:
        losses.append(value)
        trained = network
        bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)
    results = {"losses": losses}
    for role, pictures in (("training", training), ("held out", testing)):
        results[role] = [(p, *(evaluate(xp, net, p, segments) for net in (start, trained))) for p in pictures]
    return results


def plot_cuts(picture, before, after):
    """The photograph, both cuts, and the truth. A segment has the colour of the true one that it overlaps most."""
    from scipy.optimize import linear_sum_assignment
    from skimage.segmentation import mark_boundaries

    shape = picture.image.shape[:2]
    truth = np.unique(picture.truths[0], return_inverse=True)[1].reshape(shape)
    figure, axes = plt.subplots(1, 4, figsize=(16, 4 * shape[0] / shape[1] + 0.6), layout="tight")
    titles = "photograph", f"before: covering {before[1]:.2f}", f"after: covering {after[1]:.2f}", "drawn by hand"
    for axis, title, segments in zip(axes, titles, (None, before[2], after[2], truth)):
        image = picture.image
        if segments is not None:
            n = max(segments.max(), truth.max()) + 1
            both = np.zeros((n, n))
            np.add.at(both, (segments.ravel(), truth.ravel()), 1)
            colors = plt.get_cmap("tab20")(linear_sum_assignment(-both)[1][segments] % 20)[..., :3]
            image = mark_boundaries(0.45 * image + 0.55 * colors, segments, color=(1, 1, 1), mode="inner")
        axis.imshow(image, interpolation="nearest")
        axis.set(title=title, xticks=[], yticks=[])
    return figure


def plot_losses(losses):
    figure, axis = plt.subplots(figsize=(6, 4), layout="tight")
    smooth = [np.mean(losses[max(i - 10, 0) : i + 10]) for i in range(len(losses))]
    axis.plot(losses, color="C0", alpha=0.25)
    axis.plot(smooth, color="C0", label="mean of 20 steps")
    axis.set(title="Distance of the cuts to the true segments", xlabel="step", ylabel="normalized cuts loss")
    axis.legend(frameon=False)
    return figure


def print_table(results):
    print(f"\n{'':28}{'loss before':>13}{'after':>8}{'covering before':>18}{'after':>8}")
    for role in ("training", "held out"):
        rows = [(p.name, *before[:2], *after[:2]) for p, before, after in results[role]]
        if len(rows) > 1:
            mean = (f"mean of {len(rows)}", *np.mean([row[1:] for row in rows], axis=0))
            rows = [*rows, mean] if len(rows) <= 8 else [mean]
        for name, loss0, score0, loss1, score1 in rows:
            print(f"{role:10}{name:18}{loss0:13.3f}{loss1:8.3f}{score0:18.3f}{score1:8.3f}")


def main(arguments=None):
    plt.switch_backend("Agg")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with images/ and groundTruth/, as BSDS500/data")
    parser.add_argument("--held-out", choices=PHOTOGRAPHS, default="coffee", help="photograph not to learn from")
    parser.add_argument("--steps", type=int, help="default: 150, with --data 400")
    parser.add_argument("--segments", type=int, help="segments to cut into; default: 2, with --data 8")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=["numpy", "cupy"], default="numpy")
    parser.add_argument("--out", type=Path, default=Path("out/segment_images"))
    options = vars(parser.parse_args(arguments))
    out = options.pop("out")
    results = run(array_namespace(options.pop("backend")), **options)
    out.mkdir(parents=True, exist_ok=True)
    for role in ("held out", "training"):
        for picture, before, after in results[role][:8]:
            plot_cuts(picture, before, after).savefig(out / f"{role.replace(' ', '_')}_{picture.name}.png", dpi=80)
            plt.close()
    plot_losses(results["losses"]).savefig(out / "loss.png", dpi=110)
    print_table(results)
    print(f"\npictures: {out}")


if __name__ == "__main__":
    main()
