"""Bad data: one clear error each, and `skip_bad` that leaves out exactly the bad item.

The messages stand in docs/data-errors.md, which `make docs` writes by running these tests, and which fails them when stale.
"""

import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ferlab import load_dataset
from ferlab.errors import DataError
from tests.data.builders import ROWS, contents, own_images, png, table, write_folder, write_zip

PAGE = Path(__file__).parents[2] / "docs" / "data-errors.md"
INTRODUCTION = """# What is said of bad data

The first bad item ends the reading with exit code 1 and one of these messages, on one line. With `--skip-bad` the reading
goes on where that is possible, without the bad items; how many there are is printed, and they are listed in the
`environment.json` of each run. This page is written by the test that tries every case.

| case | message | with `--skip-bad` |
|---|---|---|
"""


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def with_member(name: str, content: bytes) -> Callable[[], Path]:
    return lambda: write_zip(Path("fer2013.zip"), contents() | {name: content})


def with_picture(name: str, content: bytes, *class_folders: str) -> Callable[[], Path]:
    """Eight pictures of one's own in two class folders, and one more."""
    return lambda: write_zip(Path("pictures.zip"), own_images(*(class_folders or ("cat", "dog"))) | {name: content})


def with_row(emotion: object, pixels: object, usage: str) -> Callable[[], Path]:
    return lambda: write(Path("fer2013.csv"), table([*ROWS, (emotion, pixels, usage)]).encode())


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def with_empty_class_folder() -> Path:
    folder = write_folder(Path("fer2013"), contents())
    (folder / "train" / "sad").mkdir()
    return folder


def with_empty_class_of_pictures() -> Path:
    folder = write_folder(Path("pictures"), own_images("cat", "dog"))
    (folder / "eel").mkdir()
    return folder


def with_damaged_member() -> Path:
    """A complete zip, one member of which begins with a block that no method of packing knows."""
    name, path = "train/sad/Training_5.png", write_zip(Path("fer2013.zip"), contents())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, png(5))
        start = archive.getinfo(name).header_offset + 30 + len(name)  # 30 bytes of header come before the name
    return damaged(path, start)


def damaged_table() -> Path:
    path = write(Path("fer2013.csv.gz"), gzip.compress(table().encode(), mtime=0))
    return damaged(path, 10)  # 10 bytes of header


def damaged(path: Path, start: int) -> Path:
    content = bytearray(path.read_bytes())
    content[start] = 0b111  # the last block, of type 3, which does not exist
    path.write_bytes(content)
    return path


def with_link_to_nowhere() -> Path:
    folder = write_folder(Path("fer2013"), contents())
    (folder / "train" / "happy" / "Training_5.png").symlink_to("nowhere.png")
    return folder


def enormous() -> bytes:
    """A PNG whose header claims more pixels than OpenCV allows."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def large(side: int) -> bytes:
    return cv2.imencode(".png", np.zeros((side, side), np.uint8))[1].tobytes()


def pixels(first: str, count: int = 2304) -> str:
    return " ".join([first, *["7"] * (count - 1)])


JPEG = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8))[1].tobytes()

# case: how to make it, what the message must name, and how many images are left with skip_bad (None: an error as well)
CASES: dict[str, tuple[Callable[[], Path], list[str], int | None]] = {
    "a path that does not exist": (lambda: Path("nowhere.zip"), ["nowhere.zip"], None),
    "a file of no known format": (lambda: write(Path("notes.txt"), b"notes"), ["notes.txt"], None),
    "a folder with no images": (lambda: write_folder(Path("empty"), {"readme.txt": b"none"}), ["empty", "train/<class>"], None),
    "an empty class folder": (with_empty_class_folder, ["train/sad", "no images"], 4),
    "a zip cut short": (lambda: cut(write_zip(Path("fer2013.zip"), contents())), ["fer2013.zip", "cut short"], None),
    "a zip member with `..` in its name": (with_member("../train/sad/Training_5.png", png(5)), ["../train/sad/Training_5.png"], 4),
    "a damaged member of a zip": (with_damaged_member, ["Training_5.png", "cannot be read"], 4),
    "a link that leads nowhere": (with_link_to_nowhere, ["Training_5.png", "cannot be read"], 4),
    "an image of zero bytes": (with_member("train/sad/Training_5.png", b""), ["train/sad/Training_5.png", "0 bytes"], 4),
    "a file that is no image": (with_member("train/sad/Training_5.png", b"text"), ["Training_5.png", "decoded"], 4),
    "a picture of ten thousand million pixels": (with_member("train/sad/Training_5.png", enormous()), ["Training_5.png", "decoded"], 4),
    "a JPEG cut short": (with_member("train/sad/Training_5.jpg", JPEG[: len(JPEG) // 2]), ["Training_5.jpg", "cut short"], 4),
    "an image of another size": (with_member("train/sad/Training_5.png", large(96)), ["Training_5.png", "96x96", "48x48"], 4),
    "an unknown class folder": (with_member("train/bored/Training_5.png", png(5)), ["'bored'", "angry, disgust"], 4),
    "a file name that tells no split": (with_member("test/sad/5.png", png(5)), ["test/sad/5.png", "PublicTest_*"], 4),
    "own pictures: an empty class folder": (with_empty_class_of_pictures, ["eel", "no images"], 8),
    "own pictures: a zip member with `..` in its name": (with_picture("../cat/5.png", png(5)), ["../cat/5.png"], 8),
    "own pictures: an image of zero bytes": (with_picture("cat/5.jpg", b""), ["cat/5.jpg", "0 bytes"], 8),
    "own pictures: a file that is no image": (with_picture("cat/5.jpg", b"text"), ["cat/5.jpg", "decoded"], 8),
    "own pictures: a JPEG cut short": (with_picture("cat/5.jpg", JPEG[: len(JPEG) // 2]), ["cat/5.jpg", "cut short"], 8),
    "own pictures: a format that is not read": (with_picture("cat/5.heic", b"heic"), ["cat/5.heic", ".webp"], 8),
    "own pictures: one outside of the class folders": (with_picture("5.jpg", JPEG), ["5.jpg", "<class>/"], 8),
    "own pictures: one deeper than the class folders": (with_picture("cat/old/5.jpg", JPEG), ["cat/old/5.jpg", "<class>/"], 8),
    "own pictures: one beside the splits": (
        with_picture("more/cat/5.jpg", JPEG, "train/cat", "train/dog"), ["more/cat/5.jpg", "train/<class>/"], 8
    ),
    "own pictures: no class folders": (
        lambda: write_folder(Path("pictures"), {"5.jpg": JPEG}), ["class folders", "train/<class>"], None
    ),
    "own pictures: one class only": (
        lambda: write_folder(Path("pictures"), own_images("train/cat", "test/cat")), ["test/cat", "at least two"], None
    ),
    "own pictures: a class without training images": (
        lambda: write_folder(Path("pictures"), own_images("train/cat", "train/dog", "test/eel")), ["'eel'"], None
    ),
    "a table without a column": (lambda: write(Path("fer2013.csv"), b"emotion,Usage\n0,Training\n"), ["'pixels'"], None),
    "a table without rows": (lambda: write(Path("fer2013.csv"), table([]).encode()), ["fer2013.csv", "no usable row"], None),
    "a row with 2,303 pixels": (with_row(0, pixels("7", 2303), "Training"), ["row 4 (line 6)", "2,303 pixels", "2,304"], 4),
    "a pixel value of 300": (with_row(0, pixels("300"), "Training"), ["row 4", "'300'", "0 to 255"], 4),
    "a negative pixel value": (with_row(0, pixels("-1"), "Training"), ["row 4", "'-1'", "0 to 255"], 4),
    "a pixel that is a word": (with_row(0, pixels("gray"), "Training"), ["row 4", "'gray'", "0 to 255"], 4),
    "an unknown emotion code": (with_row(7, 5, "Training"), ["row 4", "'7'", "0 to 6"], 4),
    "an unknown Usage": (with_row(0, 5, "Validation"), ["row 4", "'Validation'", "PrivateTest"], 4),
    "a row cut short": (lambda: write(Path("fer2013.csv"), (table() + "0,7 7").encode()), ["row 4"], 4),
    "a compressed table cut short": (
        lambda: cut(write(Path("fer2013.csv.gz"), gzip.compress(table().encode(), mtime=0))),
        ["fer2013.csv.gz", "cut short"],
        None,
    ),
    "a damaged compressed table": (damaged_table, ["fer2013.csv.gz", "cannot be read"], None),
}  # fmt: skip


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    """The lines of the page, as the cases make them."""
    return {}


@pytest.mark.parametrize("case", CASES)
def test_case(case: str, page: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, named, left = CASES[case]
    monkeypatch.chdir(tmp_path)
    source = make()
    with pytest.raises(DataError) as caught:
        load_dataset(source)
    message = str(caught.value)
    assert "\n" not in message
    assert all(text in message for text in [source.name, *named]), message
    assert str(tmp_path) not in message
    if left is None:
        with pytest.raises(DataError):
            load_dataset(source, skip_bad=True)
        outcome = "the same error"
    else:
        dataset = load_dataset(source, skip_bad=True)
        assert len(dataset) == left
        assert len(dataset.skipped) == 1
        assert dataset.skipped[0].reason in message
        assert "--skip-bad" in message
        outcome = "left out"
    page[case] = f"| {case} | `{message.replace('|', '/')}` | {outcome} |\n"


def test_the_page_is_true(page: dict[str, str]) -> None:
    assert list(page) == list(CASES), "run all the cases of this file together"
    text = INTRODUCTION + "".join(page.values())
    if os.environ.get("FERLAB_WRITE_DOCS"):
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text, "stale: run `make docs`"
