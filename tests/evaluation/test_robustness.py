"""Corruptions of images, the robustness of a model under them, and the command that reports it."""

import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Dataset, Split, evaluate
from ferlab.cli import app, main
from ferlab.cli.output import print_robustness
from ferlab.errors import DataError, FerlabError, MissingExtraError
from ferlab.evaluation import trained_model
from ferlab.evaluation.robustness import CORRUPTIONS, Robustness, darkness, occlusion, robustness, write_sheet
from ferlab.json_files import read_result, write_result
from ferlab.report import write_robustness
from tests.artifacts import linear_artifact

UNIFORM = np.full((3, 48, 48), 100, np.uint8)


@pytest.fixture
def linear(tmp_path: Path) -> str:
    linear_artifact(tmp_path / "linear.onnx")
    return str(tmp_path / "linear.onnx")


@pytest.fixture
def small_demo(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command read the small data set."""
    monkeypatch.setattr("ferlab.cli.options.load_dataset", lambda *_, **__: small)


def random_numbers() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_stronger_corruptions_change_images_more(name: str, small: Dataset) -> None:
    corruption, images = CORRUPTIONS[name], small.images[:40]
    before, distances = images.copy(), [0.0]
    for strength in corruption.strengths:
        changed = corruption.apply(images, strength, random_numbers())
        assert (changed.dtype, changed.shape) == (np.uint8, images.shape)
        distances.append(float(np.abs(changed.astype(float) - images).mean()))
    assert len(distances) == 6
    assert all(weaker < stronger for weaker, stronger in pairwise(distances))
    assert np.array_equal(images, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_batch_size_does_not_change_the_corrupted_images(name: str, small: Dataset) -> None:
    corruption, images = CORRUPTIONS[name], small.images[:11]
    whole = corruption.apply(images, corruption.strengths[2], random_numbers())
    generator = random_numbers()
    parts = [
        corruption.apply(part, corruption.strengths[2], generator) for part in (images[:4], images[4:], images[:0])
    ]
    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("name", ["blur", "low_resolution", "contrast", "rotation", "crop_shift", "crop_scale"])
def test_uniform_images_do_not_change(name: str) -> None:
    """Pixels from outside repeat the border, and the brightness is kept."""
    for strength in CORRUPTIONS[name].strengths:
        assert np.array_equal(CORRUPTIONS[name].apply(UNIFORM, strength, random_numbers()), UNIFORM)


def test_strengths_have_the_documented_units() -> None:
    assert np.all(darkness(UNIFORM, 0.7, random_numbers()) == 30)
    noisy = CORRUPTIONS["noise"].apply(UNIFORM, 10, random_numbers())
    assert noisy.std() == pytest.approx(10, rel=0.05)
    for share in CORRUPTIONS["occlusion"].strengths:
        covered = (occlusion(UNIFORM, share, random_numbers()) != UNIFORM).mean(axis=(1, 2))
        assert covered == pytest.approx([share] * 3, abs=0.01)
    dot = np.zeros((20, 48, 48), np.uint8)
    dot[:, 23:25, 23:25] = 255
    for row, column in zip(*_centers(CORRUPTIONS["crop_shift"].apply(dot, 0.25, random_numbers())), strict=True):
        assert np.hypot(row - 23.5, column - 23.5) == pytest.approx(12, abs=0.1)


def _centers(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shares = images / images.sum(axis=(1, 2), keepdims=True)
    positions = np.arange(images.shape[1])
    return (shares.sum(axis=2) * positions).sum(axis=1), (shares.sum(axis=1) * positions).sum(axis=1)


def test_the_score_is_the_mean_accuracy_divided_by_the_clean_accuracy(small: Dataset, linear: str) -> None:
    result, evaluation = robustness(linear, small, "test", quiet=True), evaluate(linear, small, "test")
    assert result.clean_accuracy == evaluation.accuracy
    for name in ("model", "split", "selected_on", "images", "fingerprint"):
        assert getattr(result, name) == getattr(evaluation, name)
    assert list(result.corruptions) == list(CORRUPTIONS)
    accuracies = [share for row in result.corruptions.values() for share in row.accuracies]
    assert len(accuracies) == 50
    assert result.score == pytest.approx(sum(accuracies) / 50 / result.clean_accuracy)
    row = result.corruptions["darkness"]
    assert (row.unit, row.strengths[1]) == ("share of light lost", 0.5)
    part = small.take(Split.TEST)
    darker = replace(part, images=np.rint(part.images / 2).astype(np.uint8))
    assert row.accuracies[1] == evaluate(linear, darker, "test").accuracy


def test_results_can_be_written_and_read(small: Dataset, linear: str, tmp_path: Path) -> None:
    result = robustness(linear, small, quiet=True)
    write_result(tmp_path / "robustness.json", result)
    assert read_result(Robustness, tmp_path / "robustness.json") == result


def test_the_same_seed_gives_the_same_result(small: Dataset, linear: str) -> None:
    first = robustness(linear, small)
    assert robustness(linear, small, seed=0) == first
    other = robustness(linear, small, seed=1).corruptions
    assert other["blur"] == first.corruptions["blur"]
    assert other["occlusion"] != first.corruptions["occlusion"]


def test_the_model_is_loaded_once(small: Dataset, linear: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, artifact = [], trained_model.Artifact
    monkeypatch.setattr(trained_model, "Artifact", lambda path, **options: loaded.append(path) or artifact(path))
    robustness(linear, small)
    assert len(loaded) == 1


def test_a_model_that_ignores_the_image_loses_no_accuracy(small: Dataset, tmp_path: Path) -> None:
    linear_artifact(tmp_path / "blind.onnx", scale=0)
    assert robustness(tmp_path / "blind.onnx", small).score == pytest.approx(1)


def test_the_score_is_null_if_no_prediction_on_clean_images_is_correct(small: Dataset, tmp_path: Path) -> None:
    linear_artifact(tmp_path / "blind.onnx", scale=0)
    result = robustness(tmp_path / "blind.onnx", small.where(small.labels != 0))
    assert (result.clean_accuracy, result.score) == (0, None)


def test_invalid_models_and_data_raise(small: Dataset, linear: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no test images"):
        robustness(linear, small.take(Split.TRAIN), "test")
    with pytest.raises(FerlabError, match="does not exist"):
        robustness(tmp_path / "nothing.onnx", small)
    with pytest.raises(FerlabError, match="has the classes angry, .*; demo has a, b, c"):
        robustness(linear, replace(small, class_names=("a", "b", "c", "d", "e", "f", "g")))


def test_the_sheet_shows_a_synthetic_face_at_every_strength(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        write_sheet(tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    height, width = cv2.imread(str(tmp_path / "one.png"), cv2.IMREAD_GRAYSCALE).shape
    assert height > 96 * len(CORRUPTIONS)
    assert width > 96 * 6


def test_a_score_on_images_that_selected_the_model_says_so(
    linear: str, small: Dataset, capsys: pytest.CaptureFixture
) -> None:
    result = robustness(linear, small, "test", quiet=True)
    assert result.selected_here is False
    for here, line in ((True, "\nslightly too high: the model"), (None, "\nperhaps slightly too high: the model")):
        print_robustness(replace(result, selected_on=("validation",), selected_here=here))
        assert f"{line} was selected on validation" in capsys.readouterr().out
    print_robustness(result)
    assert "too high" not in capsys.readouterr().out


@pytest.mark.usefixtures("small_demo")
def test_the_command_prints_a_table_or_json_and_writes_files(
    linear: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    arguments = ["robustness", linear, "--data", "demo", "--split", "test"]
    table = CliRunner().invoke(app, arguments).stdout.splitlines()
    assert not list((tmp_path / "here").iterdir())
    assert table[0].split()[:7] == ["corruption", "0", "1", "2", "3", "4", "5"]
    assert len(table) == 1 + len(CORRUPTIONS) + 3
    printed = json.loads(CliRunner().invoke(app, [*arguments, "--json", "--out", "out"]).stdout)
    assert printed == json.loads(Path("out/robustness.json").read_text())
    clean = f"{100 * printed['clean_accuracy']:.1f}"
    assert all(line.split("  ")[0].strip() and clean in line for line in table[1 : 1 + len(CORRUPTIONS)])
    assert f"score {printed['score']:.3f}" in table[-1]
    assert sorted(file.name for file in Path("out").iterdir()) == [
        f"robustness.{end}" for end in ("json", "png", "svg")
    ]
    chart = Path("out/robustness.svg").read_text()
    assert all(name.replace("_", " ") in chart for name in CORRUPTIONS)
    assert CliRunner().invoke(app, [*arguments, "--split", "private"]).exit_code == 2


@pytest.mark.usefixtures("small_demo")
def test_an_unusable_output_folder_raises_before_the_model_is_scored(
    linear: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(
        "ferlab.cli.robustness.evaluate_robustness", lambda *_, **__: pytest.fail("the model was scored")
    )
    monkeypatch.setattr(sys, "argv", ["ferlab", "robustness", linear, "--data", "demo", "--out", f"{linear}/out"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert "linear.onnx/out cannot be" in capsys.readouterr().err


def test_the_numbers_are_written_even_without_the_chart_library(
    small: Dataset, linear: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match=r"ferlab\[evaluate\]"):
        write_robustness(robustness(linear, small), tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["robustness.json"]
