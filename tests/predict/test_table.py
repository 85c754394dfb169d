"""The prediction table: the same columns in every form, rows as they are made, and jobs that go on."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ferlab.errors import OutputError
from ferlab.predict.results import Face
from ferlab.predict.table import columns, error_row, image_rows, open_writer
from tests.predict.test_results import FACE

CLASSES = ("angry", "happy")
NAMES = columns(CLASSES)


def rows_of(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / "folder" / f"faces.{request.param}"


def test_columns_are_the_contracts() -> None:
    assert (
        *("source", "frame", "time_s", "face", "x", "y", "width", "height", "detection_score"),
        *("emotion", "confidence", "angry", "happy", "status", "reason"),
    ) == NAMES


def test_rows_of_every_status(path: Path) -> None:
    with open_writer(path, None, CLASSES) as writer:
        writer.write(image_rows('a, "b"\n.jpg', [FACE, FACE], min_confidence=0.7))
        writer.write(image_rows("none.jpg", []))
        writer.write(image_rows("unsure.jpg", [FACE], min_confidence=0.8))
        writer.write([error_row("broken.jpg", "it is cut short")])
    rows = rows_of(path)
    assert [tuple(row) for row in rows] == [NAMES] * 5
    assert [row["status"] for row in rows] == ["ok", "ok", "no_face", "uncertain", "error"]
    assert rows[0]["source"] == 'a, "b"\n.jpg'
    assert [int(rows[1][name]) for name in ("face", "x", "y", "width", "height")] == [2, 10, 20, 30, 40]
    assert float(rows[1]["happy"]) == float(rows[3]["confidence"]) == 0.75
    empty = "" if path.suffix == ".csv" else None
    assert {rows[2][name] for name in NAMES[1:-2]} == {empty}
    assert (rows[3]["emotion"], rows[4]["reason"]) == (empty, "it is cut short")


def part_of(path: Path) -> Path:
    return path.with_name("faces.parquet.part.jsonl") if path.suffix == ".parquet" else path


def write_and_die(path: Path, sources: dict[str, list[Face]]) -> None:
    """Writes rows of some pictures, and is stopped."""
    with pytest.raises(KeyboardInterrupt), open_writer(path, None, CLASSES) as writer:
        for source, faces in sources.items():
            writer.write(image_rows(source, faces))
        raise KeyboardInterrupt


@pytest.mark.parametrize("cut", [0, 1, 30, 130])
def test_an_interrupted_job_goes_on(path: Path, cut: int) -> None:
    """Whatever part of the last rows is missing: no row is lost, none is there twice."""
    pictures = {"one": [FACE], "two": [], "three": [FACE, FACE, FACE], "four": [FACE]}
    write_and_die(path, dict(list(pictures.items())[:3]))
    file = part_of(path)
    file.write_bytes(file.read_bytes()[: -cut or None])
    with open_writer(path, None, CLASSES, resume=pictures) as writer:
        assert {"one"} <= writer.done <= {"one", "two"}
        for source in pictures.keys() - writer.done:
            writer.write(image_rows(source, pictures[source]))
    counts = {source: sum(row["source"] == source for row in rows_of(path)) for source in pictures}
    assert counts == {"one": 1, "two": 1, "three": 3, "four": 1}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_nothing_is_overwritten(path: Path) -> None:
    with open_writer(path, None, CLASSES) as writer:
        writer.write(image_rows("one", [FACE]))
    before = path.read_bytes()
    with pytest.raises(OutputError, match="is already there"):
        open_writer(path, None, CLASSES)
    if path.suffix != ".parquet":
        with pytest.raises(OutputError, match="has other columns"):
            open_writer(path, None, ("cat", "dog"), resume=())
    assert path.read_bytes() == before


def test_the_last_picture_stays_where_the_job_is_another(path: Path) -> None:
    write_and_die(path, {"one": [FACE], "two": [FACE, FACE]})
    with open_writer(path, None, CLASSES, resume={"three"}) as writer:
        assert writer.done == {"one", "two"}
        writer.write(image_rows("three", []))
    assert [row["source"] for row in rows_of(path)] == ["one", "two", "two", "three"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("foreign.csv", b"name,telephone\n"),
        ("foreign.csv", b"only one line"),
        ("foreign.jsonl", b'{"name": "me"}'),
        ("foreign.jsonl", b"[1]\n"),
        ("damaged.jsonl", b'{"source": "a", "frame\n'),
        ("damaged.csv", b"\xff\xfe\x00 \x00\n"),
        ("folder.csv", None),
    ],
)
def test_what_is_no_table_of_ours_is_not_gone_on_with(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(OutputError, match=name):
        open_writer(path, None, CLASSES, resume=())
    assert content is None or path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_utf8(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As Linux has them: a job goes on by them, and other programs can read the table."""
    name = os.fsdecode(b"caf\xe9.jpg")
    write_and_die(path, {name: [FACE], "two": []})
    with open_writer(path, None, CLASSES, resume={name, "two"}) as writer:
        assert writer.done == {name}
        writer.write(image_rows("two", []))
    if path.suffix == ".csv":
        assert path.read_bytes().splitlines()[1].startswith(b"caf\xe9.jpg,")
    else:
        assert rows_of(path)[0]["source"] == (name if path.suffix == ".jsonl" else r"caf\udce9.jpg")
    with open_writer(None, "csv", CLASSES) as writer:
        writer.write(image_rows(name, []))
    assert r"caf\udce9.jpg,,," in capsys.readouterr().out


def test_what_fails_before_the_first_row_leaves_no_file(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_writer(path, None, CLASSES):
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX's")
def test_a_full_disk_is_told_and_keeps_what_is_done(path: Path) -> None:
    """A process that may write 4,000 bytes to a file meets the same error as one whose disk is full."""
    code = f"""
import resource
from pathlib import Path
from ferlab.errors import OutputError
from ferlab.predict.table import open_writer, error_row
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    with open_writer(Path({str(path)!r}), None, {CLASSES!r}) as writer:
        for number in range(10_000):
            writer.write([error_row(str(number), "it is damaged")])
except OutputError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "cannot be written: File too large. Free space; `ferlab predict` goes on with --resume." in told
    with open_writer(path, None, CLASSES, resume=()) as writer:
        assert len(writer.done) > 10


def test_forms_go_by_the_suffix_or_are_asked_for(tmp_path: Path) -> None:
    for path, form, message in (
        (tmp_path / "faces", None, r"which form is it to have\? Name it \.csv, \.jsonl, \.parquet"),
        (tmp_path / "faces.txt", "table", "not for a file"),
        (None, "parquet", "not for a terminal"),
        (tmp_path, "csv", "already there"),
    ):
        with pytest.raises(OutputError, match=message):
            open_writer(path, form, CLASSES)


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    with open_writer(None, None, CLASSES) as writer:
        writer.write(image_rows("photos/of/a/very/long/path/to/the/end.jpg", [FACE]))
        writer.write(image_rows("unsure.jpg", [FACE], min_confidence=0.9))
        writer.write([error_row("broken.jpg", "broken.jpg: it is cut short")])
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "...f/a/very/long/path/to/the/end.jpg  face 1   happy       75 %  10,20 30x40"
    assert "face 1   uncertain   75 %" in second
    assert third.split() == ["broken.jpg", "error", "broken.jpg:", "it", "is", "cut", "short"]
