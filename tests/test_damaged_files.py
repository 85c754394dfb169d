"""Any change to a file that ferlab reads gives a result or one of its own errors, never another exception."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferlab import Dataset, Split
from ferlab.comparison.results import read_comparison
from ferlab.data.exclude import exclude_images
from ferlab.emotions import EMOTIONS
from ferlab.errors import FerlabError
from ferlab.evaluation.evaluate import read_groups
from ferlab.evaluation.predictions import read_predictions, write_predictions
from ferlab.json_files import write_result
from ferlab.runs import RunFolder
from tests.comparisons import comparison, entry, write_run
from tests.damage import damaged

PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def read_or_refuse(path: Path, content: bytes, read: Callable[[Path], object]) -> None:
    """Read a damaged file. An error of ferlab names the file."""
    path.write_bytes(content)
    try:
        read(path)
    except FerlabError as error:
        assert path.name in str(error), error


@PROPERTY
@given(data=st.data())
def test_exclude_lists(data: st.DataObject, small: Dataset, tmp_path: Path) -> None:
    valid = "# a comment\n" + "".join(f"{name}\n" for name in small.names[:5])
    read_or_refuse(tmp_path / "list.txt", data.draw(damaged(valid.encode())), lambda path: exclude_images(small, path))


@PROPERTY
@given(data=st.data())
def test_groups(data: st.DataObject, tmp_path: Path) -> None:
    valid = "name,group\n" + "".join(f"image{number}.jpg,{number % 2}\n" for number in range(5))
    read_or_refuse(tmp_path / "groups.csv", data.draw(damaged(valid.encode())), read_groups)


@PROPERTY
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


@PROPERTY
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


@PROPERTY
@given(data=st.data())
def test_comparisons(data: st.DataObject, comparison_file: bytes, tmp_path: Path) -> None:
    content = data.draw(damaged(comparison_file))
    read_or_refuse(tmp_path / "comparison.json", content, lambda path: read_comparison(path.parent))
