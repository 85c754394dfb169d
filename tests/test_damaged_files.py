"""Any change to a file that ferlab reads gives a result or one of its own errors, never another exception."""

import gzip
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ferlab import Dataset, Split, load_dataset
from ferlab.comparison.results import read_comparison
from ferlab.data import cache
from ferlab.data.exclude import exclude_images
from ferlab.data.ferplus import read_votes
from ferlab.emotions import EMOTIONS
from ferlab.errors import FerlabError
from ferlab.evaluation.evaluate import read_groups
from ferlab.evaluation.predictions import read_predictions, write_predictions
from ferlab.images import read_image
from ferlab.json_files import write_result
from ferlab.predict.artifact import Artifact, digest
from ferlab.predict.job import Job
from ferlab.runs import RunFolder
from tests.artifacts import linear_artifact
from tests.comparisons import comparison, entry, write_run
from tests.damage import FRAGMENTS, damaged
from tests.data.builders import FILES, ROWS, contents, own_images, png, table


def read_or_refuse(path: Path, content: bytes, read: Callable[[Path], object]) -> None:
    """Read a damaged file. An error of ferlab names the file."""
    path.write_bytes(content)
    try:
        read(path)
    except FerlabError as error:
        assert path.name in str(error), error


@given(data=st.data())
def test_exclude_lists(data: st.DataObject, small: Dataset, tmp_path: Path) -> None:
    valid = "# a comment\n" + "".join(f"{name}\n" for name in small.names[:5])
    read_or_refuse(tmp_path / "list.txt", data.draw(damaged(valid.encode())), lambda path: exclude_images(small, path))


@given(data=st.data())
def test_groups(data: st.DataObject, tmp_path: Path) -> None:
    valid = "name,group\n" + "".join(f"image{number}.jpg,{number % 2}\n" for number in range(5))
    read_or_refuse(tmp_path / "groups.csv", data.draw(damaged(valid.encode())), read_groups)


@given(data=st.data(), suffix=st.sampled_from(["csv", "npz"]))
def test_prediction_files(data: st.DataObject, suffix: str, small: Dataset, tmp_path: Path) -> None:
    part, path = small.take(Split.VALIDATION), tmp_path / f"predictions.{suffix}"
    write_predictions(path, part.names[:6], np.full((6, 7), 1 / 7), EMOTIONS)
    content = path.read_bytes()
    read_or_refuse(path, data.draw(damaged(content)), lambda file: read_predictions(file).aligned(part))


@pytest.fixture(scope="module")
def run_files(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a finished run, by name."""
    folder = Path(write_run(tmp_path_factory.mktemp("run") / "run", small, "fair_newmodel", 0, 0.6))
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


READERS: dict[str, Callable[[RunFolder], object]] = {
    "config.json": RunFolder.recipe,
    "environment.json": RunFolder.dataset,
    "history.jsonl": RunFolder.history,
    "predictions.npz": lambda run: run.predictions("validation"),
    "result.json": RunFolder.result,
}


@given(data=st.data(), name=st.sampled_from(list(READERS)))
def test_run_folders(data: st.DataObject, name: str, run_files: dict[str, bytes], tmp_path: Path) -> None:
    content = data.draw(damaged(run_files[name]))
    read_or_refuse(tmp_path / name, content, lambda path: READERS[name](RunFolder(path.parent)))


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(".json")])
def test_run_folders_with_a_missing_or_mistyped_key(name: str, run_files: dict[str, bytes], tmp_path: Path) -> None:
    values = json.loads(run_files[name])
    for key in values:
        for changed in ({**values, key: ["unexpected"]}, {other: values[other] for other in values if other != key}):
            content = json.dumps(changed).encode()
            read_or_refuse(tmp_path / name, content, lambda path: READERS[name](RunFolder(path.parent)))


@pytest.fixture(scope="module")
def comparison_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("comparison") / "comparison.json"
    write_result(path, comparison(entry("fair_newmodel", 0.6), entry("fair_vgg16", 0.5)))
    return path.read_bytes()


@given(data=st.data())
def test_comparisons(data: st.DataObject, comparison_file: bytes, tmp_path: Path) -> None:
    content = data.draw(damaged(comparison_file))
    read_or_refuse(tmp_path / "comparison.json", content, lambda path: read_comparison(path.parent))


def load(path: Path, skip_bad: bool) -> None:
    load_dataset(path, skip_bad=skip_bad, use_cache=False)


CELLS = st.sampled_from(["", "3", "Training", "7 " * 2304, "7", "1_0", *(part.decode("latin-1") for part in FRAGMENTS)])


@given(data=st.data(), compressed=st.booleans(), skip_bad=st.booleans())
def test_tables(data: st.DataObject, compressed: bool, skip_bad: bool, tmp_path: Path) -> None:
    """Rows of any cells, and damage to the file, before or after it is compressed."""
    rows = data.draw(st.lists(st.one_of(st.sampled_from(ROWS), st.tuples(CELLS, CELLS, CELLS)), max_size=4))
    content = table(rows).encode("utf-8", "replace")
    if data.draw(st.booleans()):
        content = data.draw(damaged(content))
    if compressed:
        content = data.draw(damaged(gzip.compress(content, mtime=0)))
    read_or_refuse(tmp_path / f"fer2013.csv{'.gz' * compressed}", content, lambda path: load(path, skip_bad))


ODD_NAMES = ("a.csv", "../a.png", "/a.png", "con/.png", "cat/", "a\\b.png")
MEMBERS = st.one_of(
    st.sampled_from([*FILES, *own_images("cat", "train/dog"), *ODD_NAMES]), st.text(max_size=12).map("{}.png".format)
)
ZIP_CONTENTS = st.one_of(st.sampled_from([png(7), b"", table().encode()]), damaged(png(7)))


@given(data=st.data(), skip_bad=st.booleans())
def test_zips(data: st.DataObject, skip_bad: bool, tmp_path: Path) -> None:
    """Members with any names, also several times, and damage to the zip itself."""
    members = list(contents().items()) + data.draw(st.lists(st.tuples(MEMBERS, ZIP_CONTENTS), max_size=4))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of names that occur twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode()), content)
    content = buffer.getvalue()
    if data.draw(st.booleans()):
        content = data.draw(damaged(content))
    read_or_refuse(tmp_path / "archive.zip", content, lambda path: load(path, skip_bad))


IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "JPEG2000", "PPM", "TIFF", "MPO", "ICO")


@pytest.fixture(scope="module")
def image_files() -> dict[str, bytes]:
    """An image in each format."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    files = {}
    for name in IMAGE_FORMATS:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, name, **({"exif": b"Exif\0\0MM"} if name == "JPEG" else {}))
        files[name] = buffer.getvalue()
    return files


@given(data=st.data(), name=st.sampled_from(IMAGE_FORMATS))
def test_images(data: st.DataObject, name: str, image_files: dict[str, bytes], tmp_path: Path) -> None:
    content = data.draw(damaged(image_files[name]))
    read_or_refuse(tmp_path / "image.jpg", content, lambda path: read_image(path, sufficient_side=16))


@given(data=st.data())
def test_votes(data: st.DataObject, tmp_path: Path) -> None:
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    valid = header + "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0\n" * 3
    read_or_refuse(tmp_path / "fer2013new.csv", data.draw(damaged(valid.encode())), read_votes)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("artifact") / "linear.onnx"
    linear_artifact(path)
    return path.read_bytes().replace(Artifact(path).metadata["sha256"].encode(), b"0" * 64)


@given(data=st.data(), rehashed=st.booleans())
def test_artifacts(data: st.DataObject, rehashed: bool, artifact: bytes, tmp_path: Path) -> None:
    """Damage before or after the weights, also with the right hash of the damaged file."""
    start, end = data.draw(st.sampled_from([(0, 300), (len(artifact) - 2000, len(artifact))]))
    content = artifact[:start] + data.draw(damaged(artifact[start:end])) + artifact[end:]
    if rehashed:
        content = content.replace(b"0" * 64, digest(content, "0" * 64).encode())
    read_or_refuse(tmp_path / "linear.onnx", content, Artifact)


@given(data=st.data())
def test_job_settings(data: st.DataObject, tmp_path: Path) -> None:
    job = Job(table=tmp_path / "faces.csv", settings={"model": "default", "max_faces": 3})
    job.write()
    job.file.write_bytes(data.draw(damaged(job.file.read_bytes())))
    try:
        job.check()
    except FerlabError as error:
        assert job.table.name in str(error), error


@given(data=st.data())
def test_cached_copies(data: st.DataObject, small: Dataset, tmp_path: Path) -> None:
    """A damaged copy is not used, whatever is wrong with it."""
    few = small.where(np.arange(len(small)) < 3)
    cache.write("key", few)
    path = cache.cache_folder() / "key.npz"
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    found = cache.read("key", few.source)
    assert found is None or found.fingerprints == few.fingerprints
