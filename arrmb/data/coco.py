"""MSCOCO: panoptic segments, and instances.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; Kirillov et al., "Panoptic Segmentation", CVPR 2019.
"""

from __future__ import annotations

import json
import warnings

import numpy as np

from .reading import DamagedFile, Images, RegionImage, check_size, folder, regions, rgb


class _COCO(Images):
    """``classes``: names of the categories; a region's class is the place of its category in ascending order of ids."""

    def __init__(self, root, split, categories, images, on_damage):
        self.images = folder(root, split, what=type(self).__name__)
        self.category_ids = sorted(categories)
        self.classes = tuple(categories[i] for i in self.category_ids)
        self._number = {category: i for i, category in enumerate(self.category_ids)}
        self._file = {str(image["id"]): image["file_name"] for image in images}
        super().__init__(sorted(self._file, key=int), on_damage)

    def _class(self, path, category):
        if category not in self._number:
            raise DamagedFile(f"{path}: a segment of category {category}, which the annotations do not list")
        return self._number[category]


class COCOPanoptic(_COCO):
    """Images with their panoptic segments, things and stuff: a sequence of `RegionImage`.

    Parameters
    ----------
    root : path
        The folder that has ``annotations`` and the images in ``<split>``.
    split : str
        ``train2017``, ``val2017``: there must be ``annotations/panoptic_<split>.json`` and the folder of that name.
    crowds : bool
        Whether regions that stand for a crowd of objects are taken, too.
    on_damage : {"raise", "skip"}
        What to do about a file that cannot be read while iterating.

    Raises
    ------
    FileNotFoundError
        The folders or the json file are not there.
    DamagedFile
        On reading: a file is missing or damaged, or does not belong to the json file.
    """

    def __init__(self, root, split, *, crowds=False, on_damage="raise"):
        annotations = folder(root, "annotations", what="COCOPanoptic")
        found = _json(annotations / f"panoptic_{split}.json", ("images", "annotations", "categories"))
        self.segments = folder(root, "annotations", f"panoptic_{split}", what="COCOPanoptic")
        self.crowds = crowds
        self._annotation = {str(a["image_id"]): a for a in found["annotations"]}
        categories = {c["id"]: c["name"] for c in found["categories"]}
        super().__init__(root, split, categories, found["images"], on_damage)

    def read(self, name):
        image = rgb(self.images / self._file[name])
        if name not in self._annotation:
            raise DamagedFile(f"{self.images / self._file[name]}: the json file has no annotation of it")
        annotation = self._annotation[name]
        path = self.segments / annotation["file_name"]
        ids = rgb(path).astype(np.int64) @ np.asarray([1, 256, 65536])
        class_of = {
            segment["id"]: self._class(path, segment["category_id"])
            for segment in annotation["segments_info"]
            if self.crowds or not segment.get("iscrowd", 0)
        }
        missing = set(class_of) - set(np.unique(ids).tolist())
        if missing:
            raise DamagedFile(f"{path}: segments {sorted(missing)} of the json file are not in it")
        return regions(name, image, ids, class_of)


class COCOInstances(_COCO):
    """Images with the masks of single objects, which may overlap: a sequence of `RegionImage`.

    Read with pycocotools: pip install 'arrmb[coco]'. Parameters and errors as `COCOPanoptic`, of
    ``annotations/instances_<split>.json``.
    """

    def __init__(self, root, split, *, crowds=False, on_damage="raise"):
        self.path = folder(root, "annotations", what="COCOInstances") / f"instances_{split}.json"
        found = _json(self.path, ("images", "annotations", "categories"))
        self.crowds = crowds
        self._objects = {}
        for a in found["annotations"]:
            if crowds or not a.get("iscrowd", 0):
                self._objects.setdefault(str(a["image_id"]), []).append(a)
        categories = {c["id"]: c["name"] for c in found["categories"]}
        super().__init__(root, split, categories, found["images"], on_damage)

    def read(self, name):
        image = rgb(self.images / self._file[name])
        objects = self._objects.get(name, [])
        masks = [_decoded(self.path, a, image.shape[:2]) for a in objects]
        for mask in masks:
            check_size(self.path, image, mask)
        stacked = np.asarray(masks, dtype=bool).reshape(len(masks), *image.shape[:2])
        classes = [self._class(self.path, a["category_id"]) for a in objects]
        return RegionImage(name, image, stacked, np.asarray(classes, dtype=np.int64))


def _decoded(path, annotation, size):
    """A polygon or a run-length encoded mask as an array of bool."""
    try:
        from pycocotools import mask
    except ImportError:
        raise ImportError("reading instance masks needs pycocotools: pip install 'arrmb[coco]'") from None
    try:
        segmentation = annotation["segmentation"]
        if isinstance(segmentation, list):
            segmentation = mask.merge(mask.frPyObjects(segmentation, *size))
        elif isinstance(segmentation["counts"], list):
            segmentation = mask.frPyObjects(segmentation, *size)
        with warnings.catch_warnings():  # its __array__ has no copy argument, of which NumPy 2 warns
            warnings.simplefilter("ignore", DeprecationWarning)
            return mask.decode(segmentation).astype(bool)
    except Exception as error:  # whatever its parser runs into
        raise DamagedFile(f"{path}: annotation {annotation.get('id')} cannot be decoded ({error})") from error


def _json(path, keys):
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no annotation file {path}") from None
    except ValueError as error:
        raise DamagedFile(f"{path}: is not valid JSON ({error})") from error
    if not isinstance(found, dict) or not all(key in found for key in keys):
        raise DamagedFile(f"{path}: must have {', '.join(keys)}")
    return found
