"""Your own images: folder layouts, decoding, face crops, and missing splits."""

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ferlab import EMOTIONS, Dataset, Split, load_dataset
from ferlab.data.faces import largest_face
from ferlab.errors import DataError
from tests.data.builders import contents, noise, own_images, png, table, write_folder, write_zip
from tests.scenes import encoded, scene

NOTE = "stratified by class, seed 0, identical images kept together"
BOTH = f"validation and test: 15 % each of the images, {NOTE}"
FROM_TRAIN = f"validation: 15 % of train/, {NOTE}"

# layout: class folders, number of images in each split, notes
LAYOUTS: dict[str, tuple[list[str], list[int], tuple[str, ...]]] = {
    "flat": (["cat", "dog"], [4, 2, 2], (BOTH,)),
    "flat in another folder": (["photos/2024/cat", "photos/2024/dog"], [4, 2, 2], (BOTH,)),
    "train": (["train/cat", "train/dog"], [4, 2, 2], (BOTH.replace("the images", "train/"),)),
    "train and test": (["train/cat", "train/dog", "test/cat", "test/dog"], [6, 2, 8], (FROM_TRAIN,)),
    "train and val": (["train/cat", "train/dog", "val/cat"], [8, 4, 0], ()),
    "train, valid and test": (["train/cat", "train/dog", "valid/dog", "test/cat"], [8, 4, 4], ()),
    "in another folder": (["set/train/cat", "set/train/dog", "set/validation/dog", "set/test/cat"], [8, 4, 4], ()),
    "uppercase": (["Train/cat", "Train/dog", "Val/cat", "Test/cat"], [8, 4, 4], ()),
    "test": (["test/cat", "test/dog"], [0, 0, 8], ()),
    "classes named like splits": (["train", "test"], [4, 2, 2], (BOTH,)),
}


def write(root: Path, files: dict[str, bytes], kind: str) -> Path:
    return write_folder(root / "images", files) if kind == "folder" else write_zip(root / "images.zip", files)


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_folder_layouts(layout: str, kind: str, tmp_path: Path) -> None:
    folders, counts, notes = LAYOUTS[layout]
    files = own_images(*folders)
    dataset = load_dataset(write(tmp_path, files, kind))
    assert dataset.class_names == tuple(sorted({folder.split("/")[-1] for folder in folders}))
    assert [len(dataset.take(split)) for split in Split] == counts
    assert dataset.notes == notes
    assert sorted(dataset.names) == sorted(files)
    for name, label in zip(dataset.names, dataset.labels, strict=True):
        assert name.split("/")[-2] == dataset.class_names[label]
    assert dataset.images.shape == (len(files), 48, 48)


def test_a_folder_and_a_zip_are_split_in_the_same_way(tmp_path: Path) -> None:
    files = own_images("cat", "dog", count=20)
    first = load_dataset(write(tmp_path, files, "folder"), use_cache=False)
    again = load_dataset(write(tmp_path, dict(reversed(files.items())), "zip"), use_cache=False)
    renamed = {f"{name.split('/')[0]}/new{index}.png": content for index, (name, content) in enumerate(files.items())}
    other_names = load_dataset(write_zip(tmp_path / "renamed.zip", renamed))
    assert first.fingerprints == again.fingerprints == other_names.fingerprints


def test_new_splits_are_stratified(tmp_path: Path) -> None:
    files = own_images("cat", count=100) | {f"rare/{number}.png": png(number) for number in range(3)}
    files |= {f"two/{number}.png": png(number) for number in (10, 11)}
    dataset = load_dataset(write(tmp_path, files, "zip"))
    counts = {name: list(split.classes.values()) for name, split in dataset.summary().splits.items()}
    assert counts == {"train": [70, 1, 2], "validation": [15, 1, 0], "test": [15, 1, 0]}


def test_identical_images_stay_in_one_split(tmp_path: Path) -> None:
    files = own_images("cat", "dog", count=10)
    copies = {f"{name.split('.')[0]} copy {number}.png": content for name, content in files.items() for number in "12"}
    dataset = load_dataset(write(tmp_path, files | copies, "folder"))
    splits_of: dict[bytes, set[int]] = {}
    for image, split in zip(dataset.images, dataset.splits, strict=True):
        splits_of.setdefault(image.tobytes(), set()).add(int(split))
    assert len(splits_of) == 20
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert len(dataset.take(Split.TEST)) == 2 * 2 * 3  # two of ten distinct ones of each class, three times


def test_images_of_two_classes_stay_in_training(tmp_path: Path) -> None:
    files = own_images("cat", "dog", count=6)
    files |= {f"dog/also {number}.png": files[f"cat/{number}.png"] for number in range(3)}
    dataset = load_dataset(write(tmp_path, files, "folder"))
    assert {"dog/also 0.png", "dog/also 1.png", "dog/also 2.png"} <= set(dataset.take(Split.TRAIN).names)


def test_small_classes_stay_in_training(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, own_images("cat", "dog", count=2), "folder"))
    assert dataset.notes == ()
    assert not dataset.has(Split.VALIDATION)


def test_the_seven_emotions_keep_their_order(tmp_path: Path) -> None:
    names = sorted(emotion.capitalize() for emotion in EMOTIONS)
    dataset = load_dataset(write(tmp_path, own_images(*names, count=1), "folder"))
    assert dataset.class_names == EMOTIONS
    for name, label in zip(dataset.names, dataset.labels, strict=True):
        assert name.split("/")[0].lower() == EMOTIONS[label]


def one_image(tmp_path: Path, content: bytes, suffix: str) -> np.ndarray:
    """Load one image file, `(48, 48)` uint8."""
    files = own_images("cat", "dog") | {f"cat/new{suffix}": content}
    dataset = load_dataset(write_zip(tmp_path / f"{len(content)}{suffix}.zip", files))
    (image,) = dataset.images[dataset.names == f"cat/new{suffix}"]
    return image


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp"])
def test_file_formats_and_colors(suffix: str, tmp_path: Path) -> None:
    orange = np.full((100, 120, 3), (0, 128, 255), np.uint8)  # blue, green, red
    image = one_image(tmp_path, cv2.imencode(suffix, orange)[1].tobytes(), suffix)
    assert np.abs(image - (0.587 * 128 + 0.299 * 255)).max() < 4  # the luma of ITU-R BT.601
    gray = one_image(tmp_path, cv2.imencode(suffix, np.full((30, 20), 77, np.uint8))[1].tobytes(), suffix)
    assert np.abs(gray - 77.0).max() < 3


def test_images_are_cropped_to_the_center(tmp_path: Path) -> None:
    """Wide and tall images are cropped, large ones downsampled, 48x48 ones kept unchanged."""
    for shape in ((96, 300), (300, 96)):
        original = np.zeros(shape, np.uint8)
        middle = tuple(slice(length // 2 - 48, length // 2 + 48) for length in shape)
        original[middle] = np.kron(noise(1, 48, 48, 1)[..., 0] // 2, np.full((2, 2), 2, np.uint8))
        image = one_image(tmp_path / str(shape), cv2.imencode(".png", original)[1].tobytes(), ".png")
        np.testing.assert_array_equal(image, noise(1, 48, 48, 1)[..., 0] // 2 * 2)
    np.testing.assert_array_equal(one_image(tmp_path, png(7), ".png"), cv2.imdecode(np.frombuffer(png(7), np.uint8), 0))


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    """Add an EXIF segment with the orientation to a JPEG."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    original = np.zeros((96, 96), np.uint8)
    original[:, :48] = 200  # bright on the left
    jpeg = cv2.imencode(".jpg", original)[1].tobytes()
    assert one_image(tmp_path, jpeg, ".jpg")[24, [4, 44]].tolist() == [200, 0]
    turned = one_image(tmp_path, with_exif(jpeg, 6), ".jpg")  # rotated clockwise: bright at the top
    assert turned[[4, 44], 24].tolist() == [200, 0]


def test_a_jpeg_with_a_thumbnail_and_appended_data(tmp_path: Path) -> None:
    """Neither the end marker of a thumbnail nor a video after the image makes a JPEG truncated."""
    jpeg = cv2.imencode(".jpg", noise(1, 200, 200))[1].tobytes()
    thumbnail = b"\xff\xe1" + struct.pack(">H", 8) + b"abcd\xff\xd9"
    whole = jpeg[:2] + thumbnail + jpeg[2:]
    expected = one_image(tmp_path, jpeg, ".jpg")
    np.testing.assert_array_equal(one_image(tmp_path, whole + bytes(1000), ".jpg"), expected)
    with pytest.raises(DataError, match="truncated"):
        one_image(tmp_path, whole[: len(whole) // 2], ".jpg")


def test_other_files_are_ignored(tmp_path: Path) -> None:
    files = own_images("cat", "dog")
    others = {"notes.txt": b"", "cat/Thumbs.db": b"", "dog/._1.png": b"", ".trash/cat/1.png": b"", "labels.csv": b"a,b"}
    for kind in ("folder", "zip"):
        assert len(load_dataset(write(tmp_path, files | others, kind))) == len(files)


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems do not allow such names")
def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    source = write(tmp_path, own_images("katze", "vögel"), "folder")
    (source / "katze" / "0.png").rename(os.fsdecode(os.fsencode(source) + b"/katze/\xfc.png"))
    first, second = load_dataset(source), load_dataset(source)
    assert r"katze/\udcfc.png" in first.names
    assert second.fingerprints == first.fingerprints


def test_fer2013_is_recognized_by_its_file_names(tmp_path: Path) -> None:
    """One such name is enough; without one, the folders are treated as your own images."""
    own = {f"{folder}/{number}.png": png(number) for number, folder in enumerate(["train/happy", "train/sad"])}
    assert load_dataset(write(tmp_path / "own", own, "zip")).class_names == ("happy", "sad")
    mixed = own | {"test/sad/PrivateTest_3.png": png(3)}
    with pytest.raises(DataError, match=r"does not identify the split .*Training_\*"):
        load_dataset(write(tmp_path / "mixed", mixed, "zip"))


def test_skipped_images_are_listed(tmp_path: Path) -> None:
    source = write(tmp_path, own_images("cat", "dog") | {"cat/bad.png": b"", "dog/old.gif": b"GIF89a"}, "zip")
    dataset = load_dataset(source, skip_bad=True)
    assert [item.name for item in dataset.skipped] == ["cat/bad.png", "dog/old.gif"]
    assert len(dataset) == 8


def test_skipping_all_images_of_a_class_is_an_error(tmp_path: Path) -> None:
    source = write(tmp_path, own_images("cat", "dog") | {"eel/bad.png": b""}, "zip")
    with pytest.raises(DataError, match="class 'eel' has no training images"):
        load_dataset(source, skip_bad=True)


def test_skipping_all_images_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image could be read"):
        load_dataset(write(tmp_path, {"cat/5.jpg": b"", "dog/6.jpg": b""}, "folder"), skip_bad=True)


def test_notes_are_kept_in_parts_and_in_the_cache(tmp_path: Path) -> None:
    source = write(tmp_path, own_images("cat", "dog"), "folder")
    first, second = load_dataset(source), load_dataset(source)
    assert second.notes == first.notes == second.take(Split.TEST).notes == (BOTH,)
    assert second.fingerprints == first.fingerprints


# Face crops: synthetic faces of the demo data, in larger images.


def test_the_largest_face_is_cropped(demo: Dataset) -> None:
    """The crop does not depend on the size of the image, and hardly on other faces in it."""
    image = scene(demo, (120, 30, 30), (240, 300, 100))
    alone = image.copy()
    alone[:, :200] = 128
    faces = [largest_face(each) for each in (image, np.kron(image, np.ones((4, 4), np.uint8)), alone)]
    for face in faces:
        assert face is not None and face.shape == (48, 48)
        assert np.corrcoef(face.ravel(), faces[0].ravel())[0, 1] > 0.8
        assert face.std() > 12  # the face fills the crop: the gray background has no contrast


@pytest.mark.parametrize("shape", [(1, 1), (10, 10), (1, 5000), (100, 100)])
def test_no_face_is_found_in_an_image_without_faces(shape: tuple[int, int]) -> None:
    assert largest_face(np.full(shape, 128, np.uint8)) is None


def test_the_option_faces_crops_all_images(demo: Dataset, tmp_path: Path) -> None:
    files = {f"{name}/{side}.png": encoded(scene(demo, (side, 300, 100))) for name in "ab" for side in (160, 200, 240)}
    source = write(tmp_path, files, "zip")
    plain, cut = load_dataset(source), load_dataset(source, faces=True)
    assert cut.fingerprints != plain.fingerprints, "the cache returned the wrong dataset"
    assert cut.notes[0].startswith("faces: ") and cut.notes[1:] == plain.notes
    assert min(image.std() for image in cut.images) > 20  # without the gray background, which covers most of the image


def test_an_image_without_a_face_is_a_bad_item(demo: Dataset, tmp_path: Path) -> None:
    face = {f"{name}/{side}.png": encoded(scene(demo, (side, 300, 100))) for name in "ab" for side in (160, 200)}
    source = write(tmp_path, face | {"a/wall.png": encoded(scene(demo))}, "folder")
    with pytest.raises(DataError, match=r"a/wall.png: no face found.*--skip-bad"):
        load_dataset(source, faces=True)
    dataset = load_dataset(source, faces=True, skip_bad=True)
    assert [(item.name, item.reason) for item in dataset.skipped] == [("a/wall.png", "no face found")]


FER2013: dict[str, Callable[[Path], str]] = {
    "demo": lambda root: "demo",
    "kaggle": lambda root: str(write(root, contents(), "zip")),
    "csv": lambda root: str(write_folder(root, {"fer2013.csv": table().encode()}) / "fer2013.csv"),
}


@pytest.mark.parametrize("name", FER2013)
def test_fer2013_cannot_be_cropped_again(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"face crops already.*--faces"):
        load_dataset(FER2013[name](tmp_path), faces=True)
