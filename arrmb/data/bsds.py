"""The Berkeley Segmentation Data Set and Benchmarks 500.

Arbeláez, Maire, Fowlkes, Malik, "Contour Detection and Hierarchical Image Segmentation", TPAMI 2011.
"""

from __future__ import annotations

from .reading import AnnotatedImage, DamagedFile, Images, check_size, folder, rgb


class BSDS500(Images):
    """Images of BSDS500 with 4 to 9 segmentations each: a sequence of `AnnotatedImage`.

    Parameters
    ----------
    root : path
        The folder that has ``images/<split>/*.jpg`` and ``groundTruth/<split>/*.mat``: ``BSDS500/data`` of the archive.
    split : {"train", "val", "test"}
    on_damage : {"raise", "skip"}
        What to do about a file that cannot be read while iterating.

    Raises
    ------
    FileNotFoundError
        The folders are not there.
    DamagedFile
        On reading: a file is missing or damaged.
    """

    def __init__(self, root, split, *, on_damage="raise"):
        self.images = folder(root, "images", split, what="BSDS500")
        self.truth = folder(root, "groundTruth", split, what="BSDS500")
        names = {path.stem for path in self.images.glob("*.jpg")} | {path.stem for path in self.truth.glob("*.mat")}
        super().__init__(sorted(names, key=lambda name: (len(name), name)), on_damage)

    def read(self, name):
        image = rgb(self.images / f"{name}.jpg")
        path = self.truth / f"{name}.mat"
        annotations = tuple(_segmentations(path))
        for annotation in annotations:
            check_size(path, image, annotation)
        return AnnotatedImage(name, image, annotations)


def _segmentations(path):
    try:
        from scipy import io
    except ImportError:
        raise ImportError("reading .mat files needs SciPy: pip install 'arrmb[data]'") from None
    if not path.is_file():
        raise DamagedFile(f"{path}: the file is missing")
    try:
        cells = io.loadmat(path)["groundTruth"].reshape(-1)
        found = [cell["Segmentation"][0, 0] for cell in cells]
    except Exception as error:  # SciPy raises whatever its parser runs into
        raise DamagedFile(f"{path}: cannot be read as ground truth ({type(error).__name__}: {error})") from error
    if not found:
        raise DamagedFile(f"{path}: there is no segmentation in it")
    return [x.astype("int64") for x in found]
