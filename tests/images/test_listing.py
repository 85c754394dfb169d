"""Which image files are listed in folders, links to folders and patterns."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ferlab.errors import ImageError
from ferlab.images.listing import _make_unique, image_suffixes, list_images, walk
from tests.data.builders import write_folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    names = ("a.png", "b.jpg", "c.png", "deep/e.webp", "notes.txt", ".hidden.png", ".hidden/f.png", "__MACOSX/._a.png")
    return write_folder(tmp_path / "photos", dict.fromkeys(names, b""))


def names(files: dict[Path, Path]) -> list[str]:
    return [target.as_posix() for target in files.values()]


def test_folders_patterns_and_files_are_listed(photos: Path) -> None:
    assert names(list_images([photos])) == ["a.png", "b.jpg", "c.png"]
    assert names(list_images([photos], recursive=True)) == ["a.png", "b.jpg", "c.png", "deep/e.webp"]
    assert list(list_images([photos / "*.png", photos / "a.png"])) == [photos / "a.png", photos / "c.png"]
    assert list(list_images([photos / "notes.txt"])) == [photos / "notes.txt"]  # an explicit file needs no suffix


def test_equal_names_are_numbered(photos: Path) -> None:
    write_folder(photos / "deep", {"a.png": b""})
    assert names(list_images([photos / "a.png", photos / "deep"])) == ["a.png", "a-2.png", "e.webp"]


def test_paths_without_images_are_an_error(photos: Path) -> None:
    with pytest.raises(ImageError, match="nowhere does not exist"):
        list_images([photos, "nowhere"])
    with pytest.raises(ImageError, match="File name too long"):
        list_images([photos / ("a" * 300 + ".jpg")])
    (photos / "empty" / "deep").mkdir(parents=True)
    with pytest.raises(ImageError, match="No images found in .*--recursive"):
        list_images([photos / "empty"])


def test_an_excluded_subfolder_is_not_listed(photos: Path) -> None:
    deep = photos / "deep"
    assert deep / "e.webp" not in list_images([photos], recursive=True, exclude=deep)
    assert deep / "e.webp" in list_images([deep], recursive=True, exclude=deep)


def test_images_of_every_format_are_listed(tmp_path: Path) -> None:
    """Whether or not they can be decoded, and whatever the case of the suffix."""
    suffixes = [".HEIC", ".jfif", ".jpe", ".pgm", ".pnm", ".jp2", ".mpo", ".jxl", ".NEF", ".svg", ".tga", ".Jpg"]
    folder = write_folder(tmp_path, {f"{number}{suffix}": b"" for number, suffix in enumerate(suffixes)})
    assert {file.suffix for file in list_images([folder])} == set(suffixes)
    assert image_suffixes() >= {suffix for suffix, name in Image.registered_extensions().items() if name == "TIFF"}
    assert not image_suffixes() & {".pdf", ".mpg", ".mp4", ".h5", ".txt"}


def test_links_to_folders_are_followed(photos: Path, tmp_path: Path) -> None:
    (photos / "album").symlink_to(write_folder(tmp_path / "elsewhere", {"g.jpg": b"", "more/h.jpg": b""}))
    (photos / "same").symlink_to("deep")
    (photos / "i.jpg").symlink_to("a.png")
    found = names(list_images([photos], recursive=True))
    assert found == [
        "a.png",
        "album/g.jpg",
        "album/more/h.jpg",
        "b.jpg",
        "c.png",
        "deep/e.webp",
        "i.jpg",
        "same/e.webp",
    ]


def test_loops_of_links_end(photos: Path, tmp_path: Path) -> None:
    """Links to a folder that contains them, directly or through another link, and links to themselves."""
    before = names(list_images([photos], recursive=True))
    (photos / "deep" / "up").symlink_to(photos)
    (photos / "deep" / "top").symlink_to(tmp_path)
    (photos / "self").symlink_to("self")
    other = write_folder(tmp_path / "other", {"j.jpg": b""})
    (photos / "other").symlink_to(other)
    (other / "back").symlink_to(photos)
    assert names(list_images([photos], recursive=True)) == sorted([*before, "other/j.jpg", "self"])


def test_what_cannot_be_listed_is_named(photos: Path, locked_folder: Callable[[Path], Path]) -> None:
    (photos / "moved").symlink_to("nowhere")
    (photos / "locked").mkdir()
    problems = {path.name: reason for folder in walk(photos) for path, reason in folder.problems}
    assert problems == {"moved": "a link to nowhere, which cannot be read"}
    assert photos / "moved" in list_images([photos])
    locked = locked_folder(photos / "locked")
    problems = {path.name: reason for folder in walk(photos) for path, reason in folder.problems}
    assert problems["locked"] == "the folder cannot be read (Permission denied)"
    assert locked in list_images([photos], recursive=True)
    with pytest.raises(ImageError, match="locked: Permission denied"):
        list_images([locked])


def test_many_equal_names_are_numbered_in_linear_time() -> None:
    """With a search from 2 for each file, 20,000 names would take half an hour."""
    targets = {Path(f"{number}/face.jpg"): Path("face.jpg") for number in range(20_000)}
    assert list(_make_unique(targets).values())[-1] == Path("face-20000.jpg")


def test_annotated_copies_get_names_that_differ_also_with_an_appended_suffix(tmp_path: Path) -> None:
    """The copy of `a.bmp` is `a.bmp.jpg`."""
    for name in ("a.bmp", "a.bmp.jpg"):
        (tmp_path / name).write_bytes(b"x")
    assert [str(target) for target in list_images([tmp_path]).values()] == ["a.bmp", "a.bmp-2.jpg"]
