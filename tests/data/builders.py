"""Build small datasets in every format."""

import csv
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from ferlab.data import Dataset, Split
from ferlab.data.fer2013 import USAGES
from ferlab.data.ferplus import DUPLICATE_NAMES, kaggle_rows

IMAGE = np.add.outer(np.arange(48), np.arange(48)).astype(np.uint8)
FILES = {
    "train/happy/Training_1.png": 0,
    "train/angry/Training_2.png": 1,
    "test/happy/PublicTest_3.png": 2,
    "test/neutral/PrivateTest_4.png": 3,
}
ROWS = [(3, 0, "Training"), (0, 1, "Training"), (3, 2, "PublicTest"), (6, 3, "PrivateTest")]  # the same images


def image(number: int) -> np.ndarray:
    """Build a distinct image for each number, `(48, 48)` uint8."""
    return IMAGE + np.uint8(number)


def png(number: int) -> bytes:
    return cv2.imencode(".png", image(number))[1].tobytes()


def contents() -> dict[str, bytes]:
    return {name: png(number) for name, number in FILES.items()}


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def table(
    rows: Iterable[tuple] = ROWS, header: tuple[str, ...] = ("emotion", "pixels", "Usage"), order: str = "epu"
) -> str:
    """Build a table like fer2013.csv. The image of a row is given as a number or as the text of its pixels."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for emotion, number, usage in rows:
        pixels = number if isinstance(number, str) else " ".join(map(str, image(number).ravel()))
        writer.writerow([{"e": emotion, "p": pixels, "u": usage}[column] for column in order])
    return text.getvalue()


def noise(number: int, height: int = 60, width: int = 80, channels: int = 3) -> np.ndarray:
    """Build a distinct noise image for each number, `(height, width, channels)` uint8."""
    return np.random.default_rng(number).integers(0, 256, (height, width, channels), dtype=np.uint8)


def own_images(*class_folders: str, count: int = 4) -> dict[str, bytes]:
    """Build `count` distinct images in each class folder."""
    names = [f"{folder}/{number}.png" for folder in class_folders for number in range(count)]
    return {name: cv2.imencode(".png", noise(index))[1].tobytes() for index, name in enumerate(names)}


def write_kaggle_layout(root: Path, data: Dataset, counts: dict[Split, int]) -> dict[str, str]:
    """Write images of a dataset under names of FER2013, the first ones of each split with as many of each class.

    Args:
        root: the folder.
        data: a dataset with the seven classes of FER2013.
        counts: number of images by split.

    Returns:
        The class of each image by the stem of its file.
    """
    classes: dict[str, str] = {}
    usual = [name for name in kaggle_rows() if name not in {Path(path).stem for path in DUPLICATE_NAMES}]
    for split, count in counts.items():
        part, folder = data.take(split), "train" if split == Split.TRAIN else "test"
        usage = next(usage for usage, of in USAGES.items() if of == split)
        names = [name for name in usual if name.startswith(f"{usage}_")][:count]
        by_class = [np.flatnonzero(part.labels == label) for label in range(7)]
        for number, name in enumerate(names):
            position = by_class[number % 7][number // 7]
            classes[name] = data.class_names[number % 7]
            path = root / folder / classes[name] / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), part.images[position])
    return classes
