"""FER2013 in the Kaggle layout (`msambare/fer2013`), as a folder or as the zip that Kaggle serves.

`train/<class>/Training_*.jpg`, `test/<class>/PublicTest_*.jpg` and `test/<class>/PrivateTest_*.jpg`. The `test` folder
contains two splits of the official protocol, which are identified by the file names.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from ferlab.data.archive import Member, Source, read_members
from ferlab.data.dataset import Dataset, Split
from ferlab.data.fer2013 import USAGES
from ferlab.data.reading import BadItems, decode_face, emotion_label
from ferlab.data.splits import SPLIT_FOLDERS
from ferlab.emotions import EMOTIONS, Target
from ferlab.errors import DataError

FOLDERS = {"train": ("Training",), "test": ("PublicTest", "PrivateTest")}  # beginnings of the file names in each folder
LAYOUT = "train/<class>/Training_*.jpg, test/<class>/PublicTest_*.jpg and test/<class>/PrivateTest_*.jpg"


def matches(source: Source) -> bool:
    """Return whether the split folders of `source` are those of FER2013; see `_root`."""
    return _root(source) is not None


def load(source: Source, bad: BadItems) -> Dataset:
    """Load the Kaggle layout. Images are named by their path, starting at `train/` or `test/`.

    Raises:
        DataError: if no image can be read, or at the first bad image unless bad items are skipped.
    """
    root = _root(source)
    assert root is not None
    for folder in source.empty_folders:
        if folder.parent.parent == root and folder.parent.name.lower() in FOLDERS:
            bad.report(str(folder.relative_to(root)), "this class folder contains no images")
    images = _images(source, root, bad)
    dataset = read_members(images, bad, place=_place, decode=decode_face, class_names=EMOTIONS)
    if not len(dataset):
        raise DataError(f"{bad.source}: no image could be read. The Kaggle layout is {LAYOUT}.")
    return replace(dataset, target=Target.FER2013)


def _root(source: Source) -> PurePosixPath | None:
    """Return the folder that contains `train` and `test` of FER2013, or None if there is none.

    Most images in either folder must have a class folder and a file name of FER2013, and there must be no other split
    folder, such as `val`: own images that were once copied from FER2013 stay in the splits that their folders name.
    """
    official: dict[tuple[str, ...], list[bool]] = defaultdict(list)  # by the parts of the path of a split folder
    for path, _ in source.images:
        if len(path.parts) >= 3:
            official[path.parts[:-2]].append(_is_official(path))
    of_fer2013 = {folder for folder, images in official.items() if 2 * sum(images) > len(images)}
    roots: Counter[tuple[str, ...]] = Counter()
    for folder in of_fer2013:
        roots[folder[:-1]] += sum(official[folder])
    for root, _ in roots.most_common(1):
        others = [folder[-1] for folder in official.keys() - of_fer2013 if folder[:-1] == root]
        if not any(name.lower() in SPLIT_FOLDERS for name in others):
            return PurePosixPath(*root)
    return None


def _is_official(path: PurePosixPath) -> bool:
    """Return whether a path ends like those of FER2013."""
    split_folder, class_folder, name = path.parts[-3:]
    return class_folder.lower() in EMOTIONS and _prefix(name) in FOLDERS.get(split_folder.lower(), ())


def _images(source: Source, root: PurePosixPath, bad: BadItems) -> Iterator[Member]:
    """Yield the images in `root`, with their path in it."""
    for path, read in source.images:
        if path.is_relative_to(root):
            yield path.relative_to(root), read
        else:
            bad.report(str(path), f"the image is not in {root}/, which contains FER2013")


def _place(path: PurePosixPath) -> tuple[int, Split]:
    if len(path.parts) != 3 or path.parts[0].lower() not in FOLDERS:
        raise ValueError("the image is not in a class folder such as train/<class>/ or test/<class>/")
    split_folder, class_folder, name = path.parts
    label, expected = emotion_label(class_folder), FOLDERS[split_folder.lower()]
    if _prefix(name) not in expected:
        names = ", ".join(f"{name}_*" for name in expected)
        raise ValueError(f"the file name does not identify the split (expected in {split_folder}: {names})")
    return label, USAGES[_prefix(name)]


def _prefix(name: str) -> str:
    return name.split("_")[0]
