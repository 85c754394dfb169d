"""Small files that inflate are refused before they fill the memory, and pipes and devices before they block."""

import bz2
import gzip
import lzma
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ferlab import Dataset, load_dataset
from ferlab.cli import main
from ferlab.data.exclude import exclude_images
from ferlab.data.ferplus import read_votes
from ferlab.data.unlabeled import load_unlabeled
from ferlab.errors import DataError, FerlabError
from ferlab.evaluation.evaluate import read_groups
from ferlab.evaluation.predictions import read_predictions
from ferlab.evaluation.trained_model import open_model
from ferlab.images import read_image
from ferlab.json_files import read_json
from ferlab.models.inference import load_model
from ferlab.predict.artifact import Artifact
from tests.data.builders import own_images, table, write_folder

HEADER = b"emotion,pixels,Usage\n"
ZEROS = bytes(2**20)


def test_a_zip_member_that_states_too_little_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat/5.png", ZEROS)
    stated = len(ZEROS).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(stated, (100).to_bytes(4, "little")))
    with pytest.raises(DataError, match="class"):
        load_dataset(path, use_cache=False)
    with pytest.raises(DataError, match=r"cat/5\.png: the file cannot be read"):
        load_unlabeled(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_methods_that_inflate_without_a_limit_are_refused(method: int, tmp_path: Path) -> None:
    for name, files in (("images", own_images("cat", "dog")), ("table", {"fer2013.csv": table().encode()})):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w", method) as archive:
            for file, content in files.items():
                archive.writestr(file, content)
        with pytest.raises(DataError, match="only deflate is"):
            load_dataset(tmp_path / f"{name}.zip", use_cache=False)


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_tables_that_inflate_are_refused(
    suffix: str, compress: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferlab.limits.FREE_INFLATION", 2**21)
    path = tmp_path / f"fer2013.csv.{suffix}"
    for body, reason in (
        (b"7 " * 600_000, "a row has more than 1,000,000 characters"),
        (b'"' + b'a","\n' * 300_000, "a row has more than 1,000,000 characters"),
        (b"\n" * 3 * 2**20, "it inflates to more than 2,097,152 characters"),
    ):
        path.write_bytes(compress(HEADER + body))
        with pytest.raises(DataError, match=reason):
            load_dataset(path, use_cache=False)


def test_a_source_with_too_many_bad_items_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferlab.data.reading.MAX_BAD_ITEMS", 3)
    (tmp_path / "fer2013.csv").write_bytes(table().encode() + b"9\n" * 4)
    with pytest.raises(DataError, match=r"more than 3 bad items, the last one row 7 \(line 9\)"):
        load_dataset(tmp_path / "fer2013.csv", use_cache=False, skip_bad=True)


def test_arrays_and_models_that_inflate_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferlab.limits.FREE_INFLATION", 2**21)
    for path in (tmp_path / "bomb.npz", tmp_path / "bomb.keras"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("names.npy", 3 * ZEROS)
    with pytest.raises(DataError, match="inflates to 3 MiB; the limit is 2 MiB"):
        read_predictions(tmp_path / "bomb.npz")
    with pytest.raises(FerlabError, match="inflates to 3 MiB; the limit is 2 MiB"):
        load_model(tmp_path / "bomb.keras")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory(tmp_path: Path) -> None:
    """A table of one line of 1 GB, and a transparent image of 40 million pixels."""
    (tmp_path / "fer2013.csv.gz").write_bytes(gzip.compress(HEADER) + gzip.compress(b"7 " * 2**19) * 1024)
    code = (
        "import io, zlib; from PIL import Image; import ferlab; from ferlab.images import read_image\n"
        f"try: ferlab.load_dataset({str(tmp_path / 'fer2013.csv.gz')!r}, use_cache=False)\n"
        "except ferlab.FerlabError as error: print(error)\n"
        "peak = lambda: next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(peak()); read_image('large.png'); print(peak())"
    )
    from PIL import Image

    Image.new("RGBA", (8000, 5000)).save(tmp_path / "large.png", compress_level=1)
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout.splitlines()
    assert "a row has more than" in finished[0]
    assert int(finished[1]) < 200e3
    assert int(finished[2]) < 450e3  # 160 MB in Pillow, and 120 MB of pixels


READERS: dict[str, Callable[[Path, Dataset], object]] = {
    "table.csv": lambda path, _: load_dataset(path),
    "images.zip": lambda path, _: load_dataset(path),
    "unlabeled.zip": lambda path, _: load_unlabeled(path),
    "exclude.txt": lambda path, data: exclude_images(data, path),
    "votes.csv": lambda path, _: read_votes(path),
    "groups.csv": lambda path, _: read_groups(path),
    "predictions.csv": lambda path, _: read_predictions(path),
    "predictions.npz": lambda path, _: read_predictions(path),
    "model.onnx": lambda path, _: Artifact(path),
    "model.keras": lambda path, _: open_model(path),
    "result.json": lambda path, _: read_json(path),
    "image.jpg": lambda path, _: read_image(path),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes need POSIX")
@pytest.mark.parametrize("name", READERS)
def test_pipes_devices_and_long_names_are_errors(name: str, small: Dataset, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    (tmp_path / "device").mkdir()
    (tmp_path / "device" / name).symlink_to("/dev/zero")
    for path in (tmp_path / name, tmp_path / "device" / name, tmp_path / f"{'x' * 5000}{name}"):
        with pytest.raises(FerlabError):
            READERS[name](path, small)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes need POSIX")
def test_pipes_in_folders_and_the_null_device(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images", own_images("cat", "dog"))
    os.mkfifo(folder / "cat" / "pipe.png")
    with pytest.raises(DataError, match=r"cat/pipe\.png: .*not a regular file"):
        load_dataset(folder)
    with pytest.raises(DataError, match="/dev/null is neither a regular file nor a folder"):
        load_dataset(Path(os.devnull))


@pytest.mark.parametrize("option", ["--out", "--annotate"])
def test_a_long_name_on_the_command_line(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path, {"0.png": own_images("cat")["cat/0.png"]})
    long = f"{'x' * 5000}.csv"
    monkeypatch.setattr(
        "sys.argv", ["ferlab", "predict", str(tmp_path / "0.png"), "--detector", "none", option, str(tmp_path / long)]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "File name too long" in capsys.readouterr().err
