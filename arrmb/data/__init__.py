"""Readers of public data sets: images with the segmentations of several people, or with regions of known classes.

`BSDS500`, `VOC` and what has its layout, `COCOPanoptic`, `COCOInstances`. Each is a sequence of images, read when they
are asked for. Reading needs the extra ``data``: pip install 'arrmb[data]'.
"""

from .bsds import BSDS500
from .coco import COCOInstances, COCOPanoptic
from .reading import AnnotatedImage, DamagedFile, RegionImage
from .voc import MSRC_CLASSES, PASCAL_CLASSES, VOC

__all__ = [
    "BSDS500",
    "MSRC_CLASSES",
    "PASCAL_CLASSES",
    "VOC",
    "AnnotatedImage",
    "COCOInstances",
    "COCOPanoptic",
    "DamagedFile",
    "RegionImage",
]
