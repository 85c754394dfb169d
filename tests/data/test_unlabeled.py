"""Images without labels."""

from pathlib import Path

import numpy as np
import pytest

from ferlab.data.unlabeled import is_unlabeled, load_unlabeled
from ferlab.errors import DataError
from tests.data.builders import contents, image, png, write_folder, write_zip


def test_one_folder_of_images_has_no_labels(tmp_path: Path) -> None:
    flat = {"b.png": png(1), "a.png": png(0), "notes.txt": b"text"}
    assert is_unlabeled(write_folder(tmp_path / "flat", flat))
    assert is_unlabeled(write_zip(tmp_path / "flat.zip", flat))
    assert is_unlabeled(write_zip(tmp_path / "wrapped.zip", {f"photos/{name}": data for name, data in flat.items()}))
    assert not is_unlabeled(write_folder(tmp_path / "fer2013", contents()))
    assert not is_unlabeled(tmp_path / "missing")
    assert not is_unlabeled("demo")


def test_images_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    found = load_unlabeled(write_zip(tmp_path / "flat.zip", {"b.png": png(1), "a.png": png(0)}))
    assert found.names.tolist() == ["a.png", "b.png"]
    np.testing.assert_array_equal(found.images, [image(0), image(1)])


def test_bad_images_are_named_or_skipped(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "flat", {"a.png": png(0), "b.png": b"no image"})
    with pytest.raises(DataError, match=r"b\.png"):
        load_unlabeled(source)
    found = load_unlabeled(source, skip_bad=True)
    assert (found.names.tolist(), [item.name for item in found.skipped]) == (["a.png"], ["b.png"])
    (source / "a.png").unlink()
    with pytest.raises(DataError, match="no images that can be read"):
        load_unlabeled(source, skip_bad=True)
