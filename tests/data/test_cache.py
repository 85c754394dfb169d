"""The cache returns the same data, notices changes, and handles damaged files and concurrent processes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ferlab import load_dataset
from ferlab.data import cache
from tests.data.builders import contents, png, write_folder, write_zip


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_zip(tmp_path / "archive.zip", contents())


def stored() -> list[Path]:
    return sorted(cache.cache_folder().glob("*")) if cache.cache_folder().exists() else []


def test_a_second_load_reads_the_cached_copy(archive: Path) -> None:
    first = load_dataset(archive)
    (copy,) = stored()
    with np.load(copy) as content:
        arrays = {name: content[name] for name in content.files}
    arrays["images"] = arrays["images"] + np.uint8(1)  # marks the cached copy
    np.savez(copy, **arrays)
    second = load_dataset(archive)
    np.testing.assert_array_equal(second.images, first.images + np.uint8(1))
    np.testing.assert_array_equal(second.names, first.names)
    assert (second.source, second.class_names, second.skipped) == (first.source, first.class_names, first.skipped)


def test_nothing_is_cached_if_the_cache_is_off(archive: Path) -> None:
    load_dataset(archive, use_cache=False)
    assert stored() == []


def test_a_changed_file_is_read_again(archive: Path) -> None:
    assert len(load_dataset(archive)) == 4
    write_zip(archive, contents() | {"train/sad/Training_5.png": png(5)})
    assert len(load_dataset(archive)) == 5
    before = len(stored())
    os.utime(archive, ns=(0, 0))
    load_dataset(archive)
    assert len(stored()) == before + 1


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", contents())
    assert len(load_dataset(folder)) == 4
    write_folder(folder, {"train/sad/Training_5.png": png(5)})
    assert len(load_dataset(folder)) == 5


def test_a_link_to_a_parent_folder_is_not_followed(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder", contents())
    (folder / "train" / "again").symlink_to(folder, target_is_directory=True)
    assert len(load_dataset(folder)) == 4


def test_a_damaged_copy_is_replaced(archive: Path) -> None:
    load_dataset(archive)
    (copy,) = stored()
    copy.write_bytes(copy.read_bytes()[:100])
    assert len(load_dataset(archive)) == 4
    assert len(load_dataset(archive)) == 4
    assert stored()[0].stat().st_size > 1000


def test_a_copy_with_one_wrong_bit_is_replaced(archive: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected = load_dataset(archive).fingerprints
    (copy,) = stored()
    whole = copy.read_bytes()
    for position in [*range(0, len(whole), len(whole) // 25), *range(len(whole) - 120, len(whole), 7)]:
        for bit in (1, 64):
            copy.write_bytes(whole[:position] + bytes([whole[position] ^ bit]) + whole[position + 1 :])
            caplog.clear()
            assert load_dataset(archive).fingerprints == expected
            assert "damaged" not in caplog.text or copy.read_bytes() == whole
    copy.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])  # in the images
    load_dataset(archive)
    assert f"The cached copy of {archive} is damaged" in caplog.text


def test_skipped_items_are_cached(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "archive.zip", contents() | {"train/sad/Training_5.png": b""})
    first = load_dataset(archive, skip_bad=True)
    assert load_dataset(archive, skip_bad=True).skipped == first.skipped
    assert len(first.skipped) == 1


def test_a_cache_that_is_not_writable_is_ignored(
    archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load_dataset(archive)) == 4


def test_two_processes_at_the_same_time(archive: Path) -> None:
    code = f"import ferlab; print(ferlab.load_dataset({str(archive)!r}).fingerprints['train'])"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    fingerprints = {process.communicate()[0].strip() for process in processes}
    assert fingerprints == {load_dataset(archive, use_cache=False).fingerprints["train"]}
    assert [path.suffix for path in stored()] == [".npz"]
