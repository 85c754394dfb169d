"""Folders and zips of data: layouts, links, names, and what cannot be used."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ferlab import EMOTIONS, Split, load_dataset
from ferlab.errors import DataError
from tests.data.builders import contents, own_images, png, write_folder, write_zip
from tests.inputs.case import InputCase

GROUP = "Folders and zips of data"
Files = dict[str, bytes]


def check_layout(files: Files, counts: list[int], folder: Path) -> None:
    """Every image is used, in a folder and in a zip: `counts` are the numbers of each split."""
    for source in (write_folder(folder / "images", files), write_zip(folder / "images.zip", files)):
        dataset = load_dataset(source)
        assert [len(dataset.take(split)) for split in Split] == counts
        assert len(dataset) == len(files)


def check_kaggle(folder: Path) -> None:
    check_layout(contents(), [2, 1, 1], folder)
    assert load_dataset(folder / "images.zip").class_names == EMOTIONS


def check_error(make: Callable[[Path], Path], reason: str, folder: Path, *, kept: int | None = None) -> None:
    """An error gives the reason; `skip_bad` keeps the other images."""
    source = make(folder)
    with pytest.raises(DataError, match=reason):
        load_dataset(source)
    if kept is not None:
        dataset = load_dataset(source, skip_bad=True)
        assert (len(dataset), len(dataset.skipped)) == (kept, 1)


def with_file(name: str, content: bytes) -> Callable[[Path], Path]:
    return lambda folder: write_folder(folder / "images", own_images("cat", "dog") | {name: content})


def check_links(folder: Path) -> None:
    source = write_folder(folder / "images", own_images("train/cat", "train/dog"))
    (source / "test").symlink_to(write_folder(folder / "elsewhere", own_images("cat", "dog")))
    dataset = load_dataset(source)
    assert len(dataset.take(Split.TEST)) == 8


def check_loop(folder: Path) -> None:
    source = write_folder(folder / "images", own_images("cat", "dog"))
    (source / "cat" / "up").symlink_to(source)
    assert len(load_dataset(source)) == 8


def with_broken_link(folder: Path) -> Path:
    source = write_folder(folder / "images", own_images("cat", "dog"))
    (source / "eel").symlink_to("nowhere")
    return source


def check_hidden(folder: Path) -> None:
    source = write_folder(
        folder / "images", own_images("cat", "dog", ".trash") | {"cat/._1.png": b"", "notes.txt": b""}
    )
    assert len(load_dataset(source)) == 8


def check_spellings(folder: Path) -> None:
    dataset = load_dataset(
        write_folder(folder / "images", own_images("train/Cat", "train/dog", "test/cat", "test/dog"))
    )
    assert dataset.class_names == ("Cat", "dog")
    assert "classes: 'cat' is 'Cat', spelled differently" in dataset.notes


def official_names(*folders: str) -> Files:
    return {f"{folder}_{number}.png": png(number) for number, folder in enumerate(folders)}


def case(input_: str, result: str, check: Callable[[Path], None]) -> InputCase:
    return InputCase(group=GROUP, input=input_, result=result, check=check)


CASES = [
    case(
        "`<class>/`",
        "Used; 15 % each become the validation and test split.",
        partial(check_layout, own_images("cat", "dog"), [4, 2, 2]),
    ),
    case(
        "`train/<class>/`, `val/<class>/`, `test/<class>/`",
        "Used, with these splits.",
        partial(check_layout, own_images("train/cat", "train/dog", "val/cat", "val/dog", "test/cat"), [8, 8, 4]),
    ),
    case(
        "`train/<class>/`, `test/<class>/`",
        "Used; 15 % of `train` become the validation split.",
        partial(check_layout, own_images("train/cat", "train/dog", "test/cat"), [6, 2, 4]),
    ),
    case("FER2013 as Kaggle serves it", "Used, with the official splits.", check_kaggle),
    case(
        "Own split folders with files named like those of FER2013",
        "Used, with the splits of the folders.",
        partial(
            check_layout,
            official_names("train/sad/Training", "train/happy/Training", "val/sad/PublicTest", "test/sad/Training"),
            [2, 1, 1],
        ),
    ),
    case("Links to folders", "Followed.", check_links),
    case("Link to a folder that contains it", "Not followed.", check_loop),
    case("Link without a target", "An error that names it.", partial(check_error, with_broken_link, "eel", kept=8)),
    case("Hidden files and folders, files that are not images", "Left out.", check_hidden),
    case(
        "Class names that differ in case or Unicode form between splits",
        "One class; a note names the other spelling.",
        check_spellings,
    ),
    case(
        "Two such class folders in one split",
        "An error that names both.",
        partial(check_error, lambda folder: write_folder(folder / "images", own_images("cat", "Cat", "dog")), "Merge"),
    ),
    case(
        "Image outside the class folders",
        "An error that names it.",
        partial(check_error, with_file("5.png", png(5)), r"5\.png", kept=8),
    ),
    case(
        "Image of a format that cannot be decoded",
        "An error that names it.",
        partial(check_error, with_file("cat/5.jxl", b"jxl"), r"cat/5\.jxl.*unsupported format", kept=8),
    ),
]
