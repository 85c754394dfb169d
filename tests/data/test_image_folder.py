"""Your own images: folder layouts, decoding, face crops, and missing splits."""

import os
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from ferlab import EMOTIONS, Dataset, Predictor, Split, load_dataset
from ferlab.errors import DataError
from ferlab.images.yunet import MODEL_VARIABLE
from tests.data.builders import contents, noise, own_images, png, table, write_folder, write_zip
from tests.detector_models import bright_cell_detector
from tests.scenes import MEDIA, YUNET, encoded, scene

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


def general(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Remove the fingerprint of the images that were divided."""
    return tuple(re.sub(r", fingerprint [0-9a-f]{12}$", "", note) for note in notes)


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
    assert general(dataset.notes) == notes
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


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp", ".tiff", ".jp2", ".pnm", ".jpe"])
def test_file_formats_and_colors(suffix: str, tmp_path: Path) -> None:
    orange = np.full((100, 120, 3), (0, 128, 255), np.uint8)  # blue, green, red
    image = one_image(tmp_path, cv2.imencode(suffix, orange)[1].tobytes(), suffix)
    assert np.abs(image - (0.587 * 128 + 0.299 * 255)).max() < 4  # the luma of ITU-R BT.601
    gray = one_image(tmp_path, cv2.imencode(suffix, np.full((90, 80), 77, np.uint8))[1].tobytes(), suffix)
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
    others |= {"__MACOSX/cat/1.png": b""}
    for kind in ("folder", "zip"):
        assert len(load_dataset(write(tmp_path, files | others, kind))) == len(files)


@pytest.mark.skipif(sys.platform != "linux", reason="other file systems do not allow such names")
def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    source = write(tmp_path, own_images("katze", "vögel"), "folder")
    (source / "katze" / "0.png").rename(os.fsdecode(os.fsencode(source) + b"/katze/\xfc.png"))
    first, second = load_dataset(source), load_dataset(source)
    assert r"katze/\udcfc.png" in first.names
    assert second.fingerprints == first.fingerprints


# folders that contain files with the names of FER2013, and are not its Kaggle layout: number of images in each split
LIKE_FER2013: dict[str, tuple[list[str], list[int]]] = {
    "one name of FER2013": (["train/happy/1", "train/sad/2", "test/sad/PrivateTest_3"], [2, 0, 1]),
    "own splits of Training": (["{}/happy/Training_1", "{}/sad/Training_2"], [2, 2, 2]),
    "the official splits as folders": (
        ["train/happy/Training_1", "train/sad/Training_2", "val/sad/PublicTest_3", "test/sad/PrivateTest_4"], [2, 1, 1],
    ),
    "Test beside train": (["train/happy/Training_1", "train/sad/Training_2", "Test/happy/a", "Test/sad/b"], [2, 0, 2]),
    "no split folders": (["happy/1", "happy/2", "sad/3", "sad/Training_4"], [4, 0, 0]),
    "own classes": (["train/cat/Training_1", "train/dog/Training_2", "test/dog/PublicTest_3"], [2, 0, 1]),
}  # fmt: skip


@pytest.mark.parametrize("case", LIKE_FER2013)
def test_own_folders_with_names_of_fer2013_keep_their_splits(case: str, tmp_path: Path) -> None:
    """Each image is in the split that its folder names."""
    patterns, counts = LIKE_FER2013[case]
    names = sorted({pattern.format(split) for pattern in patterns for split in ("train", "val", "test")})
    files = {f"{name}.png": png(number) for number, name in enumerate(names)}
    for kind in ("folder", "zip"):
        dataset = load_dataset(write(tmp_path, files, kind))
        assert sorted(dataset.names) == sorted(files)
        assert [len(dataset.take(split)) for split in Split] == counts


def test_the_kaggle_layout_is_recognized_in_any_case_and_place(tmp_path: Path) -> None:
    files = {name.replace("test/", "Test/").replace("happy", "Happy"): data for name, data in contents().items()}
    dataset = load_dataset(write(tmp_path, {f"archive/fer/{name}": data for name, data in files.items()}, "zip"))
    assert [len(dataset.take(split)) for split in Split] == [2, 1, 1]
    assert dataset.class_names == EMOTIONS


def test_images_beside_the_kaggle_layout_are_reported(tmp_path: Path) -> None:
    """A second copy in the same zip, and images with the name of another split, are not used in silence."""
    others = {f"copy/{name}": data for name, data in list(contents().items())[:2]}
    others |= {"cover.jpg": png(5), "test/sad/Training_6.png": png(6)}
    source = write(tmp_path, contents() | others, "zip")
    dataset = load_dataset(source, skip_bad=True)
    assert [item.name for item in dataset.skipped] == sorted(others)
    assert sorted(dataset.names) == sorted(contents())


@pytest.mark.parametrize("target", ["inside", "outside"])
def test_links_to_folders_are_followed(target: str, tmp_path: Path) -> None:
    """A class and a split that are links to folders are used like folders."""
    stored = write_folder(
        tmp_path / ("images/.stored" if target == "inside" else "stored"), own_images("cat", "test/dog")
    )
    source = write_folder(tmp_path / "images", own_images("train/dog", "test/cat"))
    (source / "train" / "cat").symlink_to(stored / "cat", target_is_directory=True)
    (source / "val").symlink_to(stored / "test", target_is_directory=True)
    dataset = load_dataset(source)
    assert dataset.class_names == ("cat", "dog")
    assert [len(dataset.take(split)) for split in Split] == [8, 4, 4]
    assert len(load_dataset(source)) == 16  # from the cache
    (stored / "cat" / "0.png").write_bytes(png(77))
    assert load_dataset(source).fingerprints["train"] != dataset.fingerprints["train"]


def test_a_folder_that_cannot_be_opened_is_reported(tmp_path: Path, locked_folder: Callable[[Path], Path]) -> None:
    source = write(tmp_path, own_images("cat", "dog", "eel"), "folder")
    locked_folder(source / "eel")
    for use_cache in (False, True):
        with pytest.raises(DataError, match=r"images: eel: the folder cannot be read \(Permission denied\)"):
            load_dataset(source, use_cache=use_cache)
    dataset = load_dataset(source, skip_bad=True)
    assert (dataset.class_names, [item.name for item in dataset.skipped]) == (("cat", "dog"), ["eel"])


def test_an_empty_class_folder_in_a_zip_is_reported(tmp_path: Path) -> None:
    source = write(tmp_path, own_images("cat", "dog"), "zip")
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("eel/", b"")
        archive.writestr("cat/", b"")
    with pytest.raises(DataError, match="eel: this class folder contains no images"):
        load_dataset(source)


@pytest.mark.parametrize("other", ["Émile", "E\u0301mile", "émile"])
def test_spellings_of_a_class_are_matched_between_splits(other: str, tmp_path: Path) -> None:
    """Case and Unicode form may differ, as after a copy from macOS or Windows; a note names the other spelling."""
    source = write(tmp_path, own_images("train/Émile", "train/dog", f"test/{other}", "test/dog"), "folder")
    dataset = load_dataset(source)
    assert dataset.class_names == ("dog", "Émile")
    assert dataset.take(Split.TEST).class_counts() == {"dog": 4, "Émile": 4}
    note = f"classes: {other!r} is 'Émile', spelled differently"
    assert (note in dataset.notes) == (other != "Émile")


def test_skipped_images_are_listed(tmp_path: Path) -> None:
    source = write(tmp_path, own_images("cat", "dog") | {"cat/bad.png": b"", "dog/old.tga": b"TGA"}, "zip")
    dataset = load_dataset(source, skip_bad=True)
    assert [item.name for item in dataset.skipped] == ["cat/bad.png", "dog/old.tga"]
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
    assert second.notes == first.notes == second.take(Split.TEST).notes
    assert general(second.notes) == (BOTH,)
    assert second.fingerprints == first.fingerprints


# Face crops: synthetic faces of the demo data, in larger images.


@pytest.fixture
def haar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the default detector fall back to Haar, as without a network."""
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    monkeypatch.setattr("ferlab.images.yunet.YUNET_URL", "http://127.0.0.1:9/yunet.onnx")


def photos(demo: Dataset) -> dict[str, bytes]:
    """Six photos with one large and one small face, wide and tall, gray and in color, one rotated by its EXIF data."""
    files: dict[str, bytes] = {}
    for number, side in enumerate((160, 200, 240)):
        gray = scene(demo, (110, 20, 20), (side, 300, 100))
        files[f"a/{side}.png"] = encoded(gray)
        colors = np.stack([gray, gray // 2 + 40, 255 - gray // 3], axis=2)
        upright = np.ascontiguousarray(np.rot90(colors)) if number == 2 else colors
        jpeg = encoded(cv2.resize(upright, None, fx=number + 1, fy=number + 1), ".jpg")
        files[f"b/{side}.jpg"] = with_exif(jpeg, 6) if number == 2 else jpeg
    return files


@pytest.mark.parametrize("faces", [False, True])
def test_training_and_prediction_see_the_same_crops(demo: Dataset, tmp_path: Path, haar: None, faces: bool) -> None:
    source = write(tmp_path, photos(demo), "folder")
    dataset = load_dataset(source, faces=faces)
    predictor = Predictor(detector="auto" if faces else "none")
    assert len(dataset) == 6
    for name, image in zip(dataset.names, dataset.images, strict=True):
        np.testing.assert_array_equal(image, predictor.detect(source / name).crops[0], err_msg=name)


@pytest.mark.real_data
@pytest.mark.skipif(not YUNET.is_file(), reason="YuNet's model file is not available")
def test_training_and_prediction_see_the_same_crops_of_real_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODEL_VARIABLE, str(YUNET))
    files = {f"{'ab'[index % 2]}/{file.name}": file for index, file in enumerate(sorted(MEDIA.glob("*.jpg")))}
    source = write(tmp_path, {name: file.read_bytes() for name, file in files.items()}, "folder")
    dataset = load_dataset(source, faces=True, skip_bad=True)
    assert [Path(item.name).name for item in dataset.skipped] == ["no-faces.jpg"]
    assert dataset.notes[0].endswith("found with YuNet")
    predictor = Predictor()
    for name, image in zip(dataset.names, dataset.images, strict=True):
        np.testing.assert_array_equal(image, predictor.detect(files[name]).crops[0], err_msg=name)


def test_the_crops_of_each_detector_are_cached_separately(
    demo: Dataset, tmp_path: Path, haar: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path, photos(demo), "zip")
    plain, cut = load_dataset(source), load_dataset(source, faces=True)
    assert cut.fingerprints != plain.fingerprints, "the cache returned the wrong dataset"
    found = "faces: the largest face in each image was cropped, found with OpenCV's Haar cascade"
    assert general(cut.notes) == (found, BOTH)
    assert general(plain.notes) == (BOTH,)
    (tmp_path / "cells.onnx").write_bytes(bright_cell_detector())
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "cells.onnx"))
    other = load_dataset(source, faces=True, skip_bad=True)  # this detector finds bright squares
    assert other.notes[0].endswith("found with YuNet")
    assert other.fingerprints != cut.fingerprints


def test_the_largest_face_is_cropped(demo: Dataset, tmp_path: Path, haar: None) -> None:
    alone = scene(demo, (110, 20, 20), (240, 300, 100))
    alone[:, :200] = 128
    files = photos(demo)
    both = load_dataset(write_folder(tmp_path / "both", files), faces=True)
    one = load_dataset(write_folder(tmp_path / "one", files | {"a/240.png": encoded(alone)}), faces=True)
    crops = [dataset.images[dataset.names == "a/240.png"][0] for dataset in (both, one)]
    assert np.corrcoef(crops[0].ravel(), crops[1].ravel())[0, 1] > 0.8
    assert min(image.std() for image in both.images) > 12  # the gray background, which covers most of it, has none


def test_an_image_without_a_face_is_a_bad_item(demo: Dataset, tmp_path: Path, haar: None) -> None:
    source = write(tmp_path, photos(demo) | {"a/wall.png": encoded(scene(demo))}, "folder")
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
