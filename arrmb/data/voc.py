"""The layout of PASCAL VOC: images, and label images of classes and of objects.

Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 2015.
"""

from __future__ import annotations

import numpy as np

from .reading import DamagedFile, Images, check_size, folder, labels, regions, rgb

PASCAL_CLASSES = tuple(
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor".split()
)
MSRC_CLASSES = tuple(
    "void building grass tree cow horse sheep sky mountain aeroplane water face car bicycle flower sign bird book "
    "chair road cat dog body boat".split()
)
_EXTENSIONS = (".jpg", ".png", ".jpeg", ".bmp")


class VOC(Images):
    """Images with the regions of objects: a sequence of `RegionImage`.

    Parameters
    ----------
    root : path
        The folder that has ``JPEGImages``, ``SegmentationClass``, ``SegmentationObject`` and ``ImageSets``.
    image_set : str
        The list ``ImageSets/Segmentation/<image_set>.txt`` of names of images.
    classes : sequence of str, optional
        Names of the classes, by their number in ``SegmentationClass``. Default: `PASCAL_CLASSES`; for MSRC v2 in this
        layout, `MSRC_CLASSES`.
    on_damage : {"raise", "skip"}
        What to do about a file that cannot be read while iterating.

    Raises
    ------
    FileNotFoundError
        The folders or the list are not there.
    DamagedFile
        On reading: a file is missing or damaged, or an object has no class.

    Notes
    -----
    Object 0 (background, void) and 255 (the border of objects) are no regions. The class of a region is the one that
    most of its pixels have.
    """

    def __init__(self, root, image_set, *, classes=PASCAL_CLASSES, on_damage="raise"):
        self.images, self.class_labels, self.object_labels = (
            folder(root, name, what="VOC") for name in ("JPEGImages", "SegmentationClass", "SegmentationObject")
        )
        self.classes = tuple(classes)
        path = folder(root, "ImageSets", "Segmentation", what="VOC") / f"{image_set}.txt"
        if not path.is_file():
            there = ", ".join(sorted(p.stem for p in path.parent.glob("*.txt"))) or "none"
            raise FileNotFoundError(f"VOC: there is no list {path}; the lists there: {there}")
        super().__init__(path.read_text(encoding="utf-8").split(), on_damage)

    def read(self, name):
        found = [path for e in _EXTENSIONS if (path := self.images / f"{name}{e}").is_file()]
        image = rgb(found[0] if found else self.images / f"{name}.jpg")
        path = self.object_labels / f"{name}.png"
        objects, classes = labels(path), labels(self.class_labels / f"{name}.png")
        check_size(self.class_labels / f"{name}.png", objects, classes)
        class_of = {int(i): _majority(classes[objects == i]) for i in np.unique(objects) if i not in (0, 255)}
        if any(c is None or c >= len(self.classes) for c in class_of.values()):
            raise DamagedFile(f"{path}: an object is of no class, or of one beyond the {len(self.classes)} names")
        return regions(name, image, objects, class_of)


def _majority(values):
    counts = np.bincount(values[(values != 0) & (values != 255)].astype(np.int64))
    return int(counts.argmax()) if counts.size else None
