"""Inputs of predictions of any size: which images are listed, in which order, and how they are divided."""

import zipfile
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

from ferlab.distributed.images import read_remote
from ferlab.distributed.inputs import ListedImages, Shard, TableRows, decode_shard, encode_shard, list_shards
from ferlab.errors import DataError, FerlabError, ImageError
from ferlab.images.listing import list_images


def names_of(shards: list[Shard]) -> list[str]:
    return [name for shard in shards if isinstance(shard, ListedImages) for name in shard.images]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("b.jpg", "a/x.jpg", "a.jpg", "c/d/y.PNG", "c/.hidden.jpg", "notes.md", "é.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "loop").symlink_to(folder)
    return folder


@pytest.mark.parametrize("recursive", [False, True])
def test_a_folder_has_the_images_and_order_of_the_local_engine(photos: Path, recursive: bool) -> None:
    shards = list(list_shards([str(photos)], 2, recursive=recursive))
    assert names_of(shards) == [str(path) for path in list_images([photos], recursive=recursive)]
    assert {len(shard) for shard in shards[:-1]} <= {2}


def test_lists_and_tables_name_paths_beside_them_and_urls(photos: Path) -> None:
    names = ["a.jpg", str(photos / "b.jpg"), "s3://bucket/c.jpg", "https://host/d.jpg"]
    expected = [str(photos / "a.jpg"), str(photos / "b.jpg"), *names[2:]]
    (photos / "list.txt").write_text("\n".join([*names, ""]))
    (photos / "table.csv").write_text("label,path\n" + "".join(f"happy,{name}\n" for name in names))
    pyarrow.parquet.write_table(pyarrow.table({"path": names, "label": [1, 2, 3, 4]}), photos / "table.parquet")
    assert names_of(list(list_shards([str(photos / "list.txt")], 3))) == expected
    for table in ("table.csv", "table.parquet", "*.csv"):
        assert names_of(list(list_shards([str(photos / table)], 3, column="path"))) == expected


def test_rows_without_a_path_are_listed_by_their_number(tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"path": ["/a.jpg", None, ""]}), table)
    assert names_of(list(list_shards([str(table)], 9))) == ["/a.jpg", f"{table}#1", f"{table}#2"]


def test_tables_with_image_bytes_are_divided_by_rows(photos: Path) -> None:
    table = photos / "bytes.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"image": [b"1", b"2", None, b"4", b"5"]}), table)
    shards = list(list_shards([str(photos / "a.jpg"), str(table)], 2))
    rows = [
        TableRows(table=str(table), column="image", start=start, rows=rows) for start, rows in ((0, 2), (2, 2), (4, 1))
    ]
    assert shards == [ListedImages(images=[str(photos / "a.jpg")]), *rows]
    assert [decode_shard(encode_shard(shard)) for shard in shards] == shards


def test_remote_folders_and_patterns_are_listed_like_local_ones(photos: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(photos / "a"), "/bucket/photos/a", recursive=True)
    for name in ("b.jpg", "a.jpg", ".hidden.jpg", "notes.md", "c/d/y.PNG"):
        memory.pipe(f"/bucket/photos/{name}", b"x")
    names = ["a/x.jpg", "a.jpg", "b.jpg", "c/d/y.PNG"]
    listed = names_of(list(list_shards(["memory://bucket/photos"], 3, recursive=True)))
    assert sorted(listed) == sorted(f"memory:///bucket/photos/{name}" for name in names)
    assert names_of(list(list_shards(["memory://bucket/photos/*.jpg"], 3))) == [
        f"memory:///bucket/photos/{name}" for name in (".hidden.jpg", "a.jpg", "b.jpg")
    ]
    memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("missing.jpg", ImageError, "missing.jpg does not exist"),
        ("memory://nothing/here", DataError, "memory://nothing/here cannot be listed"),
        ("gopher://host/a.jpg", DataError, "gopher"),
        ("two.csv", DataError, "two.csv has several columns. Choose one with --column: a, b"),
        ("empty.csv", DataError, "empty.csv is empty. Expected a header row"),
        ("short.csv", DataError, "short.csv: row 1 has 1 cells, expected 2"),
        ("numbers.parquet", DataError, "column 'a' has int64, expected paths, URLs or image bytes"),
        ("damaged.parquet", DataError, "damaged.parquet cannot be read"),
    ],
)
def test_inputs_that_cannot_be_listed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, error: type[FerlabError], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.csv").write_text("a,b\n1,2\n")
    Path("empty.csv").write_text("")
    Path("short.csv").write_text("a,b\n1,2\n1\n")
    Path("damaged.parquet").write_bytes(b"PAR1")
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), "numbers.parquet")
    column = "a" if source == "short.csv" else None
    with pytest.raises(error) as caught:
        list(list_shards([source], 10, column=column))
    assert message in str(caught.value)


def test_patterns_list_files_only_and_names_may_look_like_patterns() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a.jpg", "photo[1].jpg", "folder/b.jpg"):
        memory.pipe(f"/patterns/{name}", b"x")
    try:
        assert names_of(list(list_shards(["memory://patterns/*"], 9))) == [
            "memory:///patterns/a.jpg",
            "memory:///patterns/photo[1].jpg",
        ]
        assert names_of(list(list_shards(["memory://patterns/photo[1].jpg"], 9))) == ["memory:///patterns/photo[1].jpg"]
        with pytest.raises(DataError, match=r"patterns/\*.png cannot be listed: no file matches the pattern"):
            list(list_shards(["memory://patterns/*.png"], 9))
    finally:
        memory.rm("/patterns", recursive=True)


def test_files_in_an_archive_keep_the_name_of_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in (("faces/x.jpg", "x"), ("faces/y.jpg", "y"), ("faces/list.txt", "x.jpg\n")):
            archive.writestr(name, content)
    archive_url = f"file://{tmp_path}/a.zip"
    first, second = (f"zip://faces/{name}.jpg::{archive_url}" for name in "xy")
    for source, expected in (
        (first, [first]),
        (f"zip://faces::{archive_url}", [first, second]),
        (f"zip://faces/*.jpg::{archive_url}", [first, second]),
        (f"zip://faces/list.txt::{archive_url}", [first]),
    ):
        assert names_of(list(list_shards([source], 9))) == expected
    assert read_remote(second, allow_urls=False) == b"y"


def test_large_row_groups_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "large.parquet"
    monkeypatch.setattr("ferlab.distributed.inputs.LARGE_GROUP", 2)
    pyarrow.parquet.write_table(pyarrow.table({"image": [b"x"] * 3}), table)
    assert len(list(list_shards([str(table)], 1))) == 3
    assert "large.parquet has up to 3 rows in a row group" in caplog.text
