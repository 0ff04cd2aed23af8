"""The pixels of regions: descriptors of colour and texture, or the activations of another network, read from files."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

import arrmb.data

DESCRIPTORS = 20
PIXELS = 1024  # kept of each region
LARGE, REDUCED = 64, 32  # more channels than the first are reduced to the second


class Regions(NamedTuple):
    """Regions as sets of rows of a table: a cell of a feature map that many regions share is kept once.

    table (n, c) of float32; rows (r, PIXELS) of each region; its class, the number of its image, both (r,).
    """

    table: np.ndarray
    rows: np.ndarray
    classes: np.ndarray
    images: np.ndarray

    def __getitem__(self, chosen):
        return Regions(self.table, self.rows[chosen], self.classes[chosen], self.images[chosen])


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


def activations(folder, name):
    """The one array (h', w', c) in ``folder/name.npz`` or ``.safetensors``, as float32."""
    names = (name, name.zfill(12))  # the second: an id of MSCOCO, as in the names of its images
    paths = [folder / f"{n}{end}" for n in names for end in (".npz", ".safetensors")]
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        sys.exit(f"{folder}: there is no {name}.npz and no {name}.safetensors; every image needs its activations")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                found = dict(file)
        else:
            from safetensors.numpy import load_file

            found = load_file(path)
    except ImportError:
        sys.exit(f"{path}: reading it needs safetensors: pip install safetensors")
    except Exception as error:  # what NumPy, zipfile and safetensors raise on damaged files
        sys.exit(f"{path}: cannot be read ({type(error).__name__}: {error})")
    if len(found) != 1:
        sys.exit(f"{path}: must hold one array, holds {len(found)} ({', '.join(found) or 'none'})")
    (array,) = found.values()
    if array.ndim != 3 or 0 in array.shape or array.dtype.kind not in "fiu":
        sys.exit(f"{path}: must be real activations of shape (h, w, channels), found {array.dtype} {array.shape}")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        sys.exit(f"{path}: has values that are not finite")
    return array


def open_images(dataset, folder, image_set, classes, limit):
    if dataset == "coco":
        images = arrmb.data.COCOPanoptic(folder, image_set, on_damage="skip")
    else:
        names = arrmb.data.MSRC_CLASSES if classes == "msrc" else arrmb.data.PASCAL_CLASSES
        images = arrmb.data.VOC(folder, image_set, classes=names, on_damage="skip")
    images.names = images.names[:limit]
    return images


def read(images, folder, features=None):
    """The regions of a sequence of images; their activations from the folder ``features``, if there is one."""
    rng, tables, rows, classes, numbers, size, empty = np.random.default_rng(0), [], [], [], [], 0, 0
    for i, image in enumerate(tqdm(images, f"descriptors of {Path(folder).name}", unit="image")):
        values = describe(image.image) if features is None else activations(features, image.name)
        if tables and values.shape[-1] != tables[0].shape[-1]:
            sys.exit(
                f"{features}: the activations of {image.name} have {values.shape[-1]} channels, those before it "
                f"{tables[0].shape[-1]}; the channels are the last axis"
            )
        cells = nearest(image.image.shape[:2], values.shape[:2])
        values = values.reshape(-1, values.shape[-1])
        chosen = []
        for mask, label in zip(image.masks, image.classes):
            inside = np.flatnonzero(mask)
            if len(inside) == 0:
                empty += 1
                continue
            chosen.append(cells[rng.choice(inside, PIXELS, replace=len(inside) < PIXELS)])
            classes.append(label)
            numbers.append(i)
        if chosen:
            kept, places = np.unique(chosen, return_inverse=True)
            tables.append(values[kept])
            rows.append(size + places.reshape(len(chosen), PIXELS))
            size += len(kept)
    if not tables:
        sys.exit(f"{folder}: there is no region in it")
    if empty:
        print(f"{folder}: {empty} regions without a pixel are left out", file=sys.stderr)
    return Regions(np.concatenate(tables), np.concatenate(rows), np.asarray(classes), np.asarray(numbers))


def nearest(size, grid):
    """For each pixel of an image, the number of the cell of a feature map that it lies in."""
    y, x = (np.arange(n) * k // n for n, k in zip(size, grid))
    return (grid[1] * y[:, None] + x).ravel()


def halves(regions, seed):
    """Regions of one half of the images, and of the other."""
    images = np.unique(regions.images)
    if len(images) < 2:
        sys.exit("halves need two images with regions, and there is one; or pass --test FOLDER")
    order = np.random.default_rng(seed).permutation(images)
    first = np.isin(regions.images, order[: len(order) // 2])
    return regions[first], regions[~first]


def prepared(training, testing):
    """Both, with channels of mean 0 and deviation 1 in training; the number of classes; and the reduction (c, REDUCED).

    The reduction is made of the principal components of the training pixels, None for up to LARGE channels. Classes
    that do not occur in training become -1.
    """
    kinds = np.unique(training.classes)
    if len(kinds) < 2:
        sys.exit("the regions to learn from are all of one class, and naming needs two")
    weights = np.bincount(training.rows.ravel(), minlength=len(training.table)) / training.rows.size
    columns = training.table.T  # one by one: the table may be large
    mean = np.asarray([weights @ column for column in columns])
    deviation = np.sqrt([weights @ (column - m) ** 2 for column, m in zip(columns, mean)])
    # A constant channel, or one that is so but for rounding, stays: no noise is made large.
    deviation = np.where(deviation > 1e-5 * deviation.max(), deviation, 1.0).astype(np.float32)
    found = []
    for part in (training, testing):
        same = found and part.table is training.table
        table = found[0].table if same else (part.table - mean.astype(np.float32)) / deviation
        classes = np.where(np.isin(part.classes, kinds), np.searchsorted(kinds, part.classes), -1)
        found.append(Regions(table, part.rows, classes, part.images))
    return found, len(kinds), principal(found[0].table, weights) if len(mean) > LARGE else None


def principal(table, weights):
    """Weights (c, REDUCED) of the first principal components, each of deviation 1."""
    table = table[weights > 0.0]
    values, vectors = np.linalg.eigh((table * weights[weights > 0.0, None].astype(np.float32)).T @ table)
    values, vectors = values[-REDUCED:], vectors[:, -REDUCED:]
    return (vectors / np.sqrt(np.maximum(values, 1e-5 * values[-1]))).astype(np.float32)
