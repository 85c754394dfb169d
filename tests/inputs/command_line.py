"""What `ferlab predict` accepts, and what it writes."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import click.testing
import numpy as np
from typer.testing import CliRunner

from ferlab import load_dataset
from ferlab.cli import app
from ferlab.errors import FerlabError
from tests.inputs.case import InputCase
from tests.inputs.python_objects import PIXELS, photo, served
from tests.predict.test_table import rows_of
from tests.scenes import encoded, scene

GROUP = "Command line"


def case(name: str, result: str) -> Callable[[Callable[[Path], None]], InputCase]:
    """Turn a check into a case."""
    return lambda check: InputCase(group=GROUP, input=name, result=result, check=check)


def run(*words: str | Path, standard_input: bytes | None = None) -> click.testing.Result:
    """Run `ferlab predict`, with each image as one face."""
    line = ["predict", *map(str, words), "--detector", "none"]
    return CliRunner().invoke(app, line, input=standard_input)


def rows(*words: str | Path, standard_input: bytes | None = None) -> list[dict]:
    """Run `ferlab predict` and return its rows."""
    result = run(*words, "--format", "jsonl", standard_input=standard_input)
    assert result.exit_code == 0, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


def error_of(*words: str | Path) -> str:
    """Run `ferlab predict` and return its error."""
    error = run(*words).exception
    assert isinstance(error, FerlabError)
    return str(error)


def photos(folder: Path) -> Path:
    """A folder with an image, an unreadable one, a text file, and an image in a subfolder."""
    (folder / "photos" / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/c.png"):
        (folder / "photos" / name).write_bytes(encoded(PIXELS))
    (folder / "photos" / "b.jpg").write_bytes(b"not an image")
    (folder / "photos" / "notes.txt").write_bytes(b"left alone")
    return folder / "photos"


@case("Image files", "One row per face.")
def files(folder: Path) -> None:
    assert [row["status"] for row in rows(photo(folder), photos(folder) / "a.png")] == ["ok", "ok"]


@case("A folder", "The images in it; with `--recursive`, also those in its subfolders.")
def folders(folder: Path) -> None:
    assert [row["status"] for row in rows(photos(folder))] == ["ok", "error"]
    assert len(rows(folder / "photos", "--recursive")) == 3


@case("A pattern such as `'a/*.jpg'`", "The files that match.")
def patterns(folder: Path) -> None:
    assert [row["source"] for row in rows(photos(folder) / "*.png")] == [str(folder / "photos" / "a.png")]


@case("`-`", "One image from standard input, with the source `standard input`.")
def standard_input(folder: Path) -> None:
    [row] = rows("-", standard_input=photo(folder).read_bytes())
    assert (row["source"], row["status"]) == ("standard input", "ok")


@case("An `http` or `https` URL", "Downloaded, up to 64 MiB and 30 seconds.")
def url(folder: Path) -> None:
    photo(folder)
    with served(folder) as address:
        [row] = rows(address, "--annotate", folder / "annotated")
    assert (row["source"], row["status"]) == (address, "ok")
    assert len(list((folder / "annotated").iterdir())) == 1


@case("A path that does not exist", "An error before the first image, with exit code 1.")
def missing(folder: Path) -> None:
    assert "does not exist" in error_of(folder / "x.jpg", photo(folder))


@case("An image that cannot be read", "A row with the status `error` and a reason; with `--strict`, exit code 1.")
def unreadable(folder: Path) -> None:
    [row] = rows(photos(folder) / "b.jpg")
    assert (row["status"], "not an image" in row["reason"]) == ("error", True)
    assert run(folder / "photos" / "b.jpg", "--strict").exit_code == 1


@case("An image without a face", "A row with the status `no_face`.")
def no_face(folder: Path) -> None:
    (folder / "gray.png").write_bytes(encoded(np.full((200, 200), 128, np.uint8)))
    result = CliRunner().invoke(app, ["predict", str(folder / "gray.png"), "--detector", "haar", "--format", "jsonl"])
    assert json.loads(result.stdout)["status"] == "no_face"


@case(
    "A file name that begins with `=`, `+`, `-` or `@`",
    "In CSV begins with `./`, so that a spreadsheet runs no formula.",
)
def formula(folder: Path) -> None:
    (folder / "=1+1.png").write_bytes(encoded(PIXELS))
    with chdir(folder):
        for _ in range(2):
            assert run(*Path().glob("*.png"), "--out", "faces.csv", "--resume").exit_code == 0
        [row] = rows_of(Path("faces.csv"))
    assert row["source"] == "./=1+1.png"


@case("A file name that is not UTF-8", "Kept in CSV and JSON lines, escaped in Parquet and on a terminal.")
def not_utf8(folder: Path) -> None:
    if sys.platform != "linux":
        return  # other systems do not have such names
    name = os.fsdecode(b"caf\xe9.png")
    (folder / name).write_bytes(encoded(PIXELS))
    assert run(folder, "--out", folder / "faces.csv").exit_code == 0
    assert b"caf\xe9.png," in (folder / "faces.csv").read_bytes()
    assert r"caf\udce9.png" in run(folder).stdout


@case(
    "`--out faces.csv`, `.jsonl` or `.parquet`",
    "The table, and its settings in `faces.csv.job.json`; never overwritten.",
)
def out(folder: Path) -> None:
    for name in ("faces.csv", "faces.jsonl", "faces.parquet"):
        assert run(photo(folder), "--out", folder / name).exit_code == 0
        assert len(rows_of(folder / name)) == 1
        assert (folder / f"{name}.job.json").is_file()
        assert "already exists" in error_of(photo(folder), "--out", folder / name)


@case("`--resume`", "Images that the table contains are skipped, except its last one, which may be incomplete.")
def resume(folder: Path) -> None:
    table = folder / "faces.csv"
    run(photo(folder), "--out", table)
    run(photo(folder), photos(folder), "--out", table, "--resume")
    assert [row["status"] for row in rows_of(table)] == ["ok", "ok", "error"]


@case("`--resume` with another model, detector, `--max-faces` or `--min-confidence`", "Refused, with what differs.")
def other_settings(folder: Path) -> None:
    run(photo(folder), "--out", folder / "faces.csv")
    again = (photo(folder), "--out", folder / "faces.csv", "--resume")
    assert "(min_confidence: 0.0, now 0.5)" in error_of(*again, "--min-confidence", "0.5")
    assert "(max_faces: None, now 3)" in error_of(*again, "--max-faces", "3")


@case("`--resume --retry-errors`", "Images with the status `error` are read again.")
def retry_errors(folder: Path) -> None:
    table = folder / "faces.csv"
    images = (photos(folder) / "b.jpg", photo(folder))
    run(*images, "--out", table)
    images[0].write_bytes(encoded(PIXELS, ".jpg"))
    run(*images, "--out", table, "--resume")
    assert [row["status"] for row in rows_of(table)] == ["error", "ok"]
    run(*images, "--out", table, "--resume", "--retry-errors")
    assert [row["status"] for row in rows_of(table)] == ["ok", "ok"]


@case(
    "`--resume` without `--out` or with `-`, and `--retry-errors` without `--resume`", "Wrong usage, with exit code 2."
)
def wrong_usage(folder: Path) -> None:
    for words in (("--resume",), ("-", "--out", folder / "faces.csv", "--resume"), ("--retry-errors",)):
        assert run(photo(folder), *words).exit_code == 2


@case("`--max-faces N`", "The N largest faces of each image.")
def max_faces(folder: Path) -> None:
    (folder / "two.png").write_bytes(encoded(scene(load_dataset("demo"), (110, 40, 30), (220, 320, 100))))
    for words, faces in (((), 2), (("--max-faces", "1"), 1)):
        line = ["predict", str(folder / "two.png"), "--detector", "haar", "--format", "jsonl", *words]
        assert len(CliRunner().invoke(app, line).stdout.splitlines()) == faces


CASES = [
    *(files, folders, patterns, standard_input, url, missing, unreadable, no_face, formula, not_utf8),
    *(max_faces, out, resume, other_settings, retry_errors, wrong_usage),
]
