"""The prediction table: the same columns in every format, and interrupted jobs that are resumed."""

import csv
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from ferlab.errors import OutputError
from ferlab.predict.job import Job
from ferlab.predict.results import Face
from ferlab.predict.table import columns, error_row, image_rows
from ferlab.predict.table_files import open_writer
from tests.predict.test_results import FACE

CLASSES = ("angry", "happy")
SETTINGS = {"model": "linear", "detector": "haar", "min_confidence": 0.0}
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


def test_the_columns() -> None:
    assert (
        *("source", "frame", "time_s", "face", "x", "y", "width", "height", "detection_score"),
        *("emotion", "confidence", "angry", "happy", "status", "reason"),
    ) == NAMES


def test_rows_of_every_status(path: Path) -> None:
    with open_writer(path, None, CLASSES) as writer:
        writer.write(image_rows('a, "b"\n.jpg', [FACE, FACE], min_confidence=0.7))
        writer.write(image_rows("none.jpg", []))
        writer.write(image_rows("unsure.jpg", [FACE], min_confidence=0.8))
        writer.write([error_row("broken.jpg", "truncated")])
    rows = rows_of(path)
    assert [tuple(row) for row in rows] == [NAMES] * 5
    assert [row["status"] for row in rows] == ["ok", "ok", "no_face", "uncertain", "error"]
    assert rows[0]["source"] == 'a, "b"\n.jpg'
    assert [int(rows[1][name]) for name in ("face", "x", "y", "width", "height")] == [2, 10, 20, 30, 40]
    assert float(rows[1]["happy"]) == float(rows[3]["confidence"]) == 0.75
    empty = "" if path.suffix == ".csv" else None
    assert {rows[2][name] for name in NAMES[1:-2]} == {empty}
    assert (rows[3]["emotion"], rows[4]["reason"]) == (empty, "truncated")


def part_of(path: Path) -> Path:
    return path.with_name("faces.parquet.part.jsonl") if path.suffix == ".parquet" else path


def job_of(path: Path, *sources: str, resume: bool = True, retry_errors: bool = False, **changes) -> Job:
    """A job that resumes a table, with changed settings."""
    settings = SETTINGS | changes
    return Job(table=path, settings=settings, sources=sources, resume=resume, retry_errors=retry_errors)


def write_and_interrupt(path: Path, sources: dict[str, list[Face]]) -> None:
    """Write the rows of some images and stop with Ctrl-C."""
    with (
        pytest.raises(KeyboardInterrupt),
        open_writer(path, None, CLASSES, job_of(path, *sources, resume=False)) as writer,
    ):
        for source, faces in sources.items():
            writer.write(image_rows(source, faces))
        raise KeyboardInterrupt


@pytest.mark.parametrize("missing", [0, 1, 30, 130])
def test_an_interrupted_job_is_resumed(path: Path, missing: int) -> None:
    """However many bytes of the last rows are missing, no row is lost or duplicated."""
    images = {"one": [FACE], "two": [], "three": [FACE, FACE, FACE], "four": [FACE]}
    write_and_interrupt(path, dict(list(images.items())[:3]))
    file = part_of(path)
    file.write_bytes(file.read_bytes()[: -missing or None])
    with open_writer(path, None, CLASSES, job_of(path, *images)) as writer:
        assert {"one"} <= writer.done <= {"one", "two"}
        for source in images.keys() - writer.done:
            writer.write(image_rows(source, images[source]))
    counts = {source: sum(row["source"] == source for row in rows_of(path)) for source in images}
    assert counts == {"one": 1, "two": 1, "three": 3, "four": 1}
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, f"{path.name}.job.json"]


def test_nothing_is_overwritten(path: Path) -> None:
    with open_writer(path, None, CLASSES, job_of(path, resume=False)) as writer:
        writer.write(image_rows("one", [FACE]))
    before = path.read_bytes()
    for job in (None, job_of(path, resume=False)):
        with pytest.raises(OutputError, match="already exists"):
            open_writer(path, None, CLASSES, job)
    with pytest.raises(OutputError, match="columns of .* are not those of this model"):
        open_writer(path, None, ("cat", "dog"), job_of(path))
    assert path.read_bytes() == before


def test_printed_rows_are_one_line_each_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    with open_writer(None, "table", ("angry", "happy")) as writer:
        writer.write([error_row("a\x1b[2J\nforged.jpg", "a link to \x1b[2J")])
    printed = capsys.readouterr().out
    assert printed.startswith("a\\x1b[2J\\nforged.jpg ")
    assert printed.endswith("a link to \\x1b[2J\n")
    assert printed.count("\n") == 1


def test_other_settings_are_not_mixed_into_a_table(path: Path) -> None:
    """Whether the table is complete or not, the message names what differs."""
    write_and_interrupt(path, {"one": [FACE]})
    before = part_of(path).read_bytes()
    for _ in range(2):
        with pytest.raises(
            OutputError, match=r"other settings \(detector: haar, now yunet; min_confidence: 0.0, now 0.5\)"
        ):
            open_writer(path, None, CLASSES, job_of(path, "one", detector="yunet", min_confidence=0.5))
        with pytest.raises(OutputError, match=r"\(max_faces: None, now 3\)"):
            open_writer(path, None, CLASSES, job_of(path, "one", max_faces=3))
        if part_of(path).exists():
            assert part_of(path).read_bytes() == before
        with open_writer(path, None, CLASSES, job_of(path, "one")) as writer:
            writer.write(image_rows("one", [FACE]))


@pytest.mark.parametrize("content", [None, "", "[]", '{"schema": 2, "settings": {}}', '{"schema": 1, "settings": []}'])
def test_a_table_with_unknown_settings_is_not_resumed(path: Path, content: str | None) -> None:
    write_and_interrupt(path, {"one": [FACE]})
    file = path.with_name(f"{path.name}.job.json")
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    with pytest.raises(OutputError, match=rf"{path.name} cannot be resumed: .*{file.name}"):
        open_writer(path, None, CLASSES, job_of(path, "one"))
    assert part_of(path).exists()


def test_the_settings_of_a_job_that_wrote_no_table_do_not_matter(path: Path) -> None:
    """The job was killed between its two files."""
    path.parent.mkdir()
    job_of(path, detector="yunet").write()
    for resume in (False, True):
        with open_writer(path, None, CLASSES, job_of(path, "one", resume=resume)) as writer:
            writer.write(image_rows("one", [FACE]))
        assert len(rows_of(path)) == 1
        path.unlink()


def test_a_different_job_keeps_the_last_image(path: Path) -> None:
    write_and_interrupt(path, {"one": [FACE], "two": [FACE, FACE]})
    with open_writer(path, None, CLASSES, job_of(path, "three")) as writer:
        assert writer.done == {"one", "two"}
        writer.write(image_rows("three", []))
    assert [row["source"] for row in rows_of(path)] == ["one", "two", "two", "three"]


def test_a_complete_table_is_resumed(path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    with open_writer(path, None, CLASSES, job_of(path, resume=False)) as writer:
        writer.write(image_rows(name, [FACE, FACE]))
        writer.write(image_rows("two", []))
    before = rows_of(path) if path.suffix != ".csv" else None
    with open_writer(path, None, CLASSES, job_of(path, name, "three")) as writer:
        assert writer.done == {name, "two"}
        writer.write(image_rows("three", [FACE]))
    if before:
        assert rows_of(path)[:-1] == before
    assert part_of(path).exists() == (path.suffix != ".parquet")


@pytest.mark.parametrize("complete", [True, False])
def test_errors_are_repeated_on_demand(path: Path, complete: bool) -> None:
    """Only those of the current images, and the other rows keep their place."""
    with (
        nullcontext() if complete else pytest.raises(KeyboardInterrupt),
        open_writer(path, None, CLASSES, job_of(path, resume=False)) as writer,
    ):
        for name in ("one", "two", "three", "four", "five"):
            bad = name in ("two", "three", "five")
            writer.write([error_row(name, "time-out")] if bad else image_rows(name, [FACE]))
        if not complete:
            raise KeyboardInterrupt
    with open_writer(path, None, CLASSES, job_of(path, "one", "two", "five", "six", retry_errors=True)) as writer:
        assert writer.done == {"one", "three", "four"}
        for name in ("two", "five", "six"):
            writer.write(image_rows(name, []))
    assert [(row["source"], row["status"]) for row in rows_of(path)] == [
        *(("one", "ok"), ("three", "error"), ("four", "ok")),
        *(("two", "no_face"), ("five", "no_face"), ("six", "no_face")),
    ]


FORMULAS = ("=1+1.jpg", "+1.jpg", "-1.jpg", "@SUM(A1).jpg", "\t=1.jpg")


def test_file_names_are_not_formulas_in_a_spreadsheet(path: Path) -> None:
    with open_writer(path, None, CLASSES, job_of(path, resume=False)) as writer:
        for name in FORMULAS:
            writer.write(image_rows(name, [FACE]))
        writer.write([error_row("=2.jpg", "=2.jpg does not exist.")])
    rows = rows_of(path)
    if path.suffix == ".csv":
        assert [row["source"] for row in rows[:-1]] == [f"./{name}" for name in FORMULAS]
        assert rows[-1]["reason"] == "./=2.jpg does not exist."
    else:
        assert [row["source"] for row in rows[:-1]] == list(FORMULAS)
    with open_writer(path, None, CLASSES, job_of(path, "next.jpg")) as writer:
        assert writer.done == {*FORMULAS, "=2.jpg"}
        writer.write(image_rows("next.jpg", []))
    assert rows_of(path)[:-1] == rows


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("foreign.csv", b"name,telephone\n"),
        ("foreign.csv", b"only one line"),
        ("foreign.jsonl", b'{"name": "me"}'),
        ("foreign.jsonl", b"[1]\n"),
        ("damaged.jsonl", b'{"source": "a", "frame\n'),
        ("damaged.csv", b"\xff\xfe\x00 \x00\n"),
        ("foreign.parquet", b"PAR1"),
        ("folder.csv", None),
    ],
)
def test_other_files_are_not_resumed(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    job_of(path).write()
    with pytest.raises(OutputError, match=name):
        open_writer(path, None, CLASSES, job_of(path))
    assert content is None or path.read_bytes() == content
    assert sorted(tmp_path.iterdir()) == [path, job_of(path).file]


def test_file_names_that_are_not_utf8(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Linux allows them. The job can be resumed, and other programs can read the table."""
    name = os.fsdecode(b"caf\xe9.jpg")
    write_and_interrupt(path, {name: [FACE], "two": []})
    with open_writer(path, None, CLASSES, job_of(path, name, "two")) as writer:
        assert writer.done == {name}
        writer.write(image_rows("two", []))
    if path.suffix == ".csv":
        assert path.read_bytes().splitlines()[1].startswith(b"caf\xe9.jpg,")
    else:
        assert rows_of(path)[0]["source"] == (name if path.suffix == ".jsonl" else r"caf\udce9.jpg")
    with open_writer(None, "csv", CLASSES) as writer:
        writer.write(image_rows(name, []))
    assert r"caf\udce9.jpg,,," in capsys.readouterr().out


def test_a_failure_before_the_first_row_leaves_no_file(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_writer(path, None, CLASSES, job_of(path, resume=False)):
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits need POSIX")
def test_a_full_disk_is_reported_and_keeps_the_finished_rows(path: Path) -> None:
    """A limit of 4,000 bytes per file causes the same error as a full disk."""
    code = f"""
import resource
from pathlib import Path
from ferlab.errors import OutputError
from ferlab.predict.job import Job
from ferlab.predict.table import error_row
from ferlab.predict.table_files import open_writer
path = Path({str(path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    with open_writer(path, None, {CLASSES!r}, Job(table=path, settings={SETTINGS!r})) as writer:
        for number in range(10_000):
            writer.write([error_row(str(number), "damaged")])
except OutputError as error:
    print(error)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "cannot be written: File too large. Free space, then rerun the command with --resume." in output
    with open_writer(path, None, CLASSES, job_of(path)) as writer:
        assert len(writer.done) > 10


def test_an_output_format_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    for path, file_format, message in (
        (tmp_path / "faces", None, r"the suffix does not name an output format\. Use \.csv, \.jsonl, \.parquet"),
        (tmp_path / "faces.txt", "table", "cannot be written to a file"),
        (None, "parquet", "cannot be written to standard output"),
        (tmp_path, "csv", "already exists"),
    ):
        with pytest.raises(OutputError, match=message):
            open_writer(path, file_format, CLASSES)


def test_human_readable_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with open_writer(None, None, CLASSES) as writer:
        writer.write(image_rows("photos/of/a/very/long/path/to/the/end.jpg", [FACE]))
        writer.write(image_rows("unsure.jpg", [FACE], min_confidence=0.9))
        writer.write([error_row("broken.jpg", "broken.jpg: truncated")])
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "...f/a/very/long/path/to/the/end.jpg  face 1   happy       75 %  10,20 30x40"
    assert "face 1   uncertain   75 %" in second
    assert third.split() == ["broken.jpg", "error", "broken.jpg:", "truncated"]


def test_a_carriage_return_in_a_file_name_does_not_end_a_row(path: Path) -> None:
    names = ["1\rb.png", "2\nb.png", '"3".png']
    with open_writer(path, None, CLASSES, job_of(path, resume=False)) as writer:
        for name in names:
            writer.write(image_rows(name, [FACE]))
    assert [row["source"] for row in rows_of(path)] == names
    with open_writer(path, None, CLASSES, job_of(path, *names, "b.png")) as writer:
        assert writer.done == set(names[:-1]), "the last image of a job is repeated"
        writer.write(image_rows("b.png", [FACE]))
    assert [row["source"] for row in rows_of(path)] == [*names[:-1], "b.png"]
