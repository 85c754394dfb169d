"""Every format gives the same dataset for the same images."""

import bz2
import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, Split, load_dataset
from ferlab.data import formats
from ferlab.data.archive import open_data
from ferlab.emotions import EMOTIONS
from ferlab.errors import DataError
from tests.data.builders import FILES, contents, image, own_images, table, write_folder, write_zip

REAL = Path(__file__).parents[3] / "shared" / "data" / "fer2013.zip"
RUN = Path(__file__).parents[2] / "results" / "runs" / "fair_mobilenetv2-seed0"
ICML = ("emotion", " Usage", " pixels")  # the header of icml_face_data.csv


def write_text(path: Path, text: str) -> Path:
    openers = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    with openers.get(path.suffix, open)(path, "wt") as file:
        file.write(text)
    return path


SOURCES = {
    "folder": lambda root: write_folder(root / "fer2013", contents()),
    "wrapped folder": lambda root: write_folder(
        root, {f"archive/{name}": content for name, content in contents().items()}
    ),
    "zip": lambda root: write_zip(root / "archive.zip", contents()),
    "wrapped zip": lambda root: write_zip(
        root / "a.zip", {f"fer2013/{name}": content for name, content in contents().items()}
    ),
    "zip made on macOS": lambda root: write_zip(
        root / "a.zip", contents() | {"__MACOSX/train/happy/._Training_1.png": b"attributes"}
    ),
    "folder called zip": lambda root: write_folder(root / "fer2013.zip", contents()),
    "zip in another order": lambda root: write_zip(root / "a.zip", dict(reversed(contents().items()))),
    "csv": lambda root: write_text(root / "fer2013.csv", table()),
    "icml csv": lambda root: write_text(root / "icml_face_data.csv", table(header=ICML, order="eup")),
    "csv.gz": lambda root: write_text(root / "fer2013.csv.gz", table()),
    "csv.bz2": lambda root: write_text(root / "fer2013.csv.bz2", table()),
    "csv.xz": lambda root: write_text(root / "fer2013.csv.xz", table()),
    "csv from a spreadsheet": lambda root: write_text(root / "fer2013.csv", "\ufeff" + table()),
    "zipped csv among others": lambda root: write_zip(
        root / "challenge.zip",
        {"test.csv": b"pixels\n1 2", "icml_face_data.csv": table(header=ICML, order="eup").encode(), "train.csv": b""},
    ),
    "zipped csv": lambda root: write_zip(root / "fer2013.csv.zip", {"fer2013.csv": table().encode()}),
}


def load(root: Path, name: str, **options: bool) -> Dataset:
    return load_dataset(SOURCES[name](root), **options)


@pytest.mark.parametrize("name", SOURCES)
def test_every_format_meets_the_contract(name: str, tmp_path: Path) -> None:
    dataset = load(tmp_path, name)
    assert (dataset.images.shape, dataset.images.dtype) == ((4, 48, 48), np.uint8)
    assert (dataset.labels.dtype, dataset.class_names) == (np.int64, EMOTIONS)
    assert len(set(dataset.names)) == 4
    by_number = {int(pixels[0, 0]): index for index, pixels in enumerate(dataset.images)}
    for number, (label, split) in enumerate(
        [(3, Split.TRAIN), (0, Split.TRAIN), (3, Split.VALIDATION), (6, Split.TEST)]
    ):
        index = by_number[number]
        np.testing.assert_array_equal(dataset.images[index], image(number))
        assert (dataset.labels[index], dataset.splits[index]) == (label, split)
    expected = load_dataset(write_folder(tmp_path / "expected", contents()))
    assert dataset.fingerprints == expected.fingerprints


OWN = {
    "own folder": lambda root: write_folder(root / "images", own_images("cat", "dog")),
    "own zip": lambda root: write_zip(root / "images.zip", own_images("train/cat", "train/dog")),
    "own zip with a table": lambda root: write_zip(root / "own.zip", own_images("a", "b") | {"labels.csv": b"a,b"}),
    "empty folder": lambda root: write_folder(root, {"empty/readme.txt": b""}),
}


@pytest.mark.parametrize("name", SOURCES | OWN)
def test_exactly_one_format_matches_each_source(name: str, tmp_path: Path) -> None:
    source = (SOURCES | OWN)[name](tmp_path)
    with open_data(source) as opened:
        matching = [module.__name__.split(".")[-1] for module in formats() if module.matches(opened)]
    assert matching == ["image_folder" if name in OWN else "fer2013_csv" if "csv" in name else "kaggle"]


def test_fingerprints_depend_on_pixels_labels_and_splits_only(tmp_path: Path) -> None:
    original = load(tmp_path / "a", "folder").fingerprints
    names = list(FILES)

    def changed(folder: str, **moves: str) -> dict[str, str]:
        files = {moves.get(name.replace("/", "_").split(".")[0], name): content for name, content in contents().items()}
        return load_dataset(write_folder(tmp_path / folder, files)).fingerprints

    assert changed("renamed", train_happy_Training_1="train/happy/Training_9.png") == original
    relabeled = changed("relabeled", train_happy_Training_1="train/sad/Training_1.png")
    assert relabeled["train"] != original["train"]
    assert relabeled["test"] == original["test"]
    files = contents()
    files[names[0]] = files[names[1]]
    assert load_dataset(write_folder(tmp_path / "pixels", files)).fingerprints["train"] != original["train"]


def test_any_split_may_be_absent(tmp_path: Path) -> None:
    files = {name: content for name, content in contents().items() if "PrivateTest" in name}
    dataset = load_dataset(write_zip(tmp_path / "test_only.zip", files))
    assert not dataset.has(Split.TRAIN)
    assert set(dataset.summary().splits) == {"test"}


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="needs FER2013 in ../shared/data/fer2013.zip")
def test_the_pixels_of_fer2013_are_those_of_stored_results() -> None:
    """Results refer to the fingerprints of their data, so another decoder must not change a pixel."""
    text = (RUN / "environment.json").read_text(encoding="utf-8")
    stored = {name: split["fingerprint"] for name, split in json.loads(text)["dataset"]["splits"].items()}
    fingerprints = load_dataset(REAL, use_cache=False).fingerprints
    assert fingerprints["train"] == stored["train"]
    assert fingerprints["validation"] == stored["validation"]


@pytest.mark.real_data
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.skipif(not REAL.exists(), reason="needs FER2013 in ../shared/data/fer2013.zip")
def test_the_real_zip_loads_with_little_memory() -> None:
    """Class counts as in https://arxiv.org/abs/1307.0414, loaded in a separate process to measure its memory."""
    # Not ru_maxrss, which a child process inherits from its parent.
    code = f"import ferlab; d = ferlab.load_dataset({str(REAL)!r}, use_cache=False); " + (
        "print(list(d.take(ferlab.Split.TRAIN).class_counts().values())); "
        "print(list(d.take(ferlab.Split.VALIDATION).class_counts().values())); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    training, validation, kilobytes = finished.stdout.splitlines()
    assert training == "[3995, 436, 4097, 7215, 4830, 3171, 4965]"
    assert validation == "[467, 56, 496, 895, 653, 415, 607]"
    assert int(kilobytes) < 600e3


def test_images_beside_the_folder_of_fer2013_and_long_names_are_reported(tmp_path: Path) -> None:
    inside = {f"archive/{name}": content for name, content in contents().items()}
    outside = {"train/happy/Training_1.png": contents()["train/happy/Training_1.png"]}
    path = write_zip(tmp_path / "fer2013.zip", inside | outside)
    with pytest.raises(DataError, match="train/happy/Training_1.png: the image is not in archive/"):
        load_dataset(path, use_cache=False)
    loaded = load_dataset(path, skip_bad=True, use_cache=False)
    assert (len(loaded), len(set(loaded.names.tolist())), len(loaded.skipped)) == (4, 4, 1)
    path = write_zip(tmp_path / "long.zip", contents() | {f"train/happy/Training_{'5' * 2000}.png": b"x"})
    with pytest.raises(DataError, match="longer than 1,000 characters"):
        load_dataset(path, use_cache=False)
