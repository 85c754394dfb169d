"""Load datasets. Each format has its own module; `load_dataset` picks the one that fits a source."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from ferlab.data import cache, image_folder
from ferlab.data.archive import Source, open_data
from ferlab.data.dataset import Dataset, Split
from ferlab.data.exclude import exclude_images
from ferlab.data.faces import Cropper
from ferlab.data.ferplus import with_votes
from ferlab.data.ferplus_target import with_ferplus_target
from ferlab.data.reading import BadItems
from ferlab.emotions import Target
from ferlab.errors import DataError, UnknownNameError
from ferlab.files import exists, shown

__all__ = ["Dataset", "Split", "formats", "is_own_images", "load_dataset"]


def formats() -> list[ModuleType]:
    """List the modules of this package that define `matches(source)` and `load(source, bad)`."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    return [module for module in modules if hasattr(module, "matches")]


def load_dataset(
    source: str | Path,
    *,
    skip_bad: bool = False,
    use_cache: bool = True,
    faces: bool = False,
    exclude: str | Path | None = None,
    ferplus: str | Path | None = None,
    target: str | Target | None = None,
    contempt: bool = False,
) -> Dataset:
    """Load FER2013, your own images, or the synthetic demo data.

    Args:
        source: a folder or zip of images in class folders (see `ferlab.data.image_folder`), FER2013 in the Kaggle
            layout, `fer2013.csv` or `icml_face_data.csv` (plain, compressed or zipped), or the word `demo`.
        skip_bad: skip images and rows that cannot be read, and list them in `Dataset.skipped`.
        use_cache: store the decoded images in the user's cache folder and read them from there next time. The cache
            key depends on path, size and modification time, and on the face detector.
        faces: crop the largest face in each image, as prediction does. Only for your own images.
        exclude: a list of images to exclude, as written by `ferlab audit --write-exclude`.
        ferplus: `fer2013new.csv` of FER+, whose votes are joined to the images of FER2013.
        target: for images of FER2013, `fer2013` for its labels, or `ferplus` for the majority of the votes of FER+ as
            the label, and their distribution as what is learned; see `ferlab.data.ferplus_target`. By default the
            labels are those of the source.
        contempt: with the target `ferplus`, use its eighth class as well.

    Returns:
        The dataset, with uint8 images of shape `(N, 48, 48)`.

    Raises:
        DataError: if the source is missing, has an unknown format, or contains a bad item and `skip_bad` is off; if
            `faces` is set for images that are face crops already; if the list or the votes do not match the source; or
            if a target is set for images that are not from FER2013.
        DetectorError: if `faces` is set and the face detector is not available.
        UnknownNameError: if the target is unknown.

    Example:
        >>> dataset = load_dataset("demo")
        >>> dataset.images.dtype, dataset.images.shape[1:]
        (dtype('uint8'), (48, 48))
    """
    target = _find_target(target, contempt)
    dataset = _load(source, skip_bad, use_cache, faces)
    if target and dataset.target is None:
        raise DataError(f"{source} is not FER2013: its labels are the only target. Remove --target.")
    if ferplus:
        dataset = with_votes(dataset, ferplus)
    if exclude:
        dataset = exclude_images(dataset, exclude)
    return with_ferplus_target(dataset, contempt=contempt) if target == Target.FERPLUS else dataset


def _find_target(target: str | Target | None, contempt: bool) -> Target | None:
    if target is not None and target not in list(Target):
        raise UnknownNameError("target", target, list(Target))
    if contempt and target != Target.FERPLUS:
        raise DataError("Only FER+ has the class contempt. Add --target ferplus.")
    return None if target is None else Target(target)


def _load(source: str | Path, skip_bad: bool, use_cache: bool, faces: bool) -> Dataset:
    if str(source) == "demo":
        from ferlab.data import demo

        _reject_faces("demo", faces)
        return demo.load()
    path = Path(source).expanduser()
    if not exists(path):
        raise DataError(
            f"{shown(source)} does not exist. Pass a folder or zip of images in class folders, "
            "a folder, zip or CSV file of FER2013, or the word 'demo'."
        )
    cropper = Cropper.open(faces=faces)
    key = cache.key_of(path, skip_bad=skip_bad, crop=cropper.key) if use_cache else ""
    dataset = cache.read(key, str(source)) if use_cache else None
    if dataset is None:
        dataset = _read(path, BadItems(source=str(source), skip=skip_bad), cropper)
        if use_cache:
            cache.write(key, dataset)
    return dataset


def _read(path: Path, bad: BadItems, cropper: Cropper) -> Dataset:
    with open_data(path) as source:
        module = _format_of(source)
        bad.report_all(source.problems)
        if module is image_folder:
            return image_folder.load(source, bad, cropper)
        _reject_faces(bad.source, not cropper.detector.whole_image)
        return module.load(source, bad)


def _format_of(source: Source) -> ModuleType:
    module = next((module for module in formats() if module.matches(source)), None)
    if module is None:
        raise DataError(
            f"{source.path} has an unknown format. Supported: a folder or zip of images in class folders or in the "
            "Kaggle layout, and fer2013.csv."
        )
    return module


def is_own_images(source: str | Path) -> bool:
    """Return whether a source contains your own images, which may need `faces`, rather than FER2013 or the demo."""
    path = Path(source).expanduser()
    if not exists(path):
        return False
    with open_data(path) as opened:
        return image_folder.matches(opened)


def _reject_faces(source: str, faces: bool) -> None:
    if faces:
        raise DataError(f"{source} contains face crops already. Remove --faces: it is only for your own images.")
