"""What the readers share: images and their regions, a sequence that reads lazily, and files that are damaged."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np


class DamagedFile(ValueError):
    """A file of a data set that is missing, cannot be read, or does not hold what it should. The message names it."""


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An image and its segmentations by several people.

    Attributes
    ----------
    name : str
    image : array (h, w, 3) of uint8
        RGB.
    annotations : tuple of integer arrays (h, w)
        One per person; equal labels make a region.
    """

    name: str
    image: np.ndarray
    annotations: tuple


@dataclasses.dataclass(frozen=True)
class RegionImage:
    """An image and regions in it, each of a class. Regions may overlap, and need not cover the image.

    Attributes
    ----------
    name : str
    image : array (h, w, 3) of uint8
        RGB; a grey image has three equal channels.
    masks : array (r, h, w) of bool
    classes : integer array (r,)
        Indices into ``classes`` of the data set.
    """

    name: str
    image: np.ndarray
    masks: np.ndarray
    classes: np.ndarray


class Images(Sequence):
    """A sequence of images, read one by one as they are asked for.

    Parameters
    ----------
    names : sequence of str
    on_damage : {"raise", "skip"}
        Of iterating over a damaged image: raise `DamagedFile`, or warn and go on with the next. Asking for one image by
        its number always raises.
    """

    def __init__(self, names, on_damage):
        if on_damage not in ("raise", "skip"):
            raise ValueError(f'on_damage must be "raise" or "skip", got {on_damage!r}')
        self.names = list(names)
        self.on_damage = on_damage

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        return self.read(self.names[i])

    def __iter__(self):
        for name in self.names:
            try:
                yield self.read(name)
            except DamagedFile as error:
                if self.on_damage == "raise":
                    raise
                warnings.warn(f"left out: {error}", stacklevel=2)

    def read(self, name):
        """The image of that name."""
        raise NotImplementedError


def folder(root, *parts, what):
    """The folder ``root/parts``, or an error that says what was expected there."""
    path = Path(root).joinpath(*parts)
    if not path.is_dir():
        raise FileNotFoundError(f"{what}: there is no folder {path}; root must be the one with {'/'.join(parts)} in it")
    return path


def rgb(path):
    """An image file as an array (h, w, 3) of uint8."""
    return _pixels(path, "RGB")


def labels(path):
    """An image file of labels (palette or grey-level) as an integer array (h, w), without the colours."""
    found = _pixels(path, None)
    if found.ndim != 2:
        raise DamagedFile(f"{path}: expected an image of labels with one channel, found shape {found.shape}")
    return found


def _pixels(path, mode):
    Image = _pillow()
    try:
        with Image.open(path) as image:
            return np.array(image if mode is None else image.convert(mode))
    except FileNotFoundError:
        raise DamagedFile(f"{path}: the file is missing") from None
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three on damaged files
        raise DamagedFile(f"{path}: cannot be read as an image ({error})") from error


def _pillow():
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("reading images needs Pillow: pip install 'arrmb[data]'") from None
    return Image


def regions(name, image, ids, class_of):
    """A `RegionImage` from an image of ids and the classes of those that are regions, as a dict."""
    check_size(name, image, ids)
    masks = np.asarray([ids == i for i in class_of], dtype=bool).reshape(len(class_of), *ids.shape)
    return RegionImage(name, image, masks, np.asarray(list(class_of.values()), dtype=np.int64))


def check_size(path, image, other):
    """Raise unless the labels in ``other`` are of the size of the image."""
    if other.shape[:2] != image.shape[:2]:
        raise DamagedFile(f"{path}: labels of size {other.shape[:2]} for an image of size {image.shape[:2]}")
