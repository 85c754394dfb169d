"""Test the command line: help, results on standard output, clear errors, and exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import typer
from typer.testing import CliRunner

from ferlab import Dataset
from ferlab.cli import app
from ferlab.comparison.results import read_comparison
from tests.comparisons import write_run
from tests.data.builders import FILES, contents, own_images, write_folder, write_zip

TRAINING = next(iter(FILES))
DOCS = Path(__file__).parents[2] / "docs"


def run(*arguments: str) -> Any:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(arguments))


def run_as_process(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess:
    """Run a command in a process of its own, with exit codes and streams as a shell sees them."""
    command = [sys.executable, "-m", "ferlab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def commands(group: Any, prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    found = []
    for name, command in group.commands.items():
        found += commands(command, (*prefix, name)) if hasattr(command, "commands") else [((*prefix, name), command)]
    return found


@pytest.mark.parametrize(("path", "command"), commands(typer.main.get_command(app)), ids=lambda item: str(item))
def test_every_command_and_option_has_help_and_is_documented(path: tuple[str, ...], command: Any) -> None:
    assert command.help
    for parameter in command.params:
        if parameter.name not in ("help", "quiet", "model", "source", "recipe", "name", "recipes"):
            assert getattr(parameter, "help", None), parameter.name
    assert f"## `ferlab {' '.join(path)}`" in (DOCS / "cli.md").read_text()
    assert run(*path, "--help").exit_code == 0


def test_data_info_prints_json_and_writes_a_contact_sheet(tmp_path: Path) -> None:
    result = run("data", "info", "demo", "--json", "--sheet", str(tmp_path / "sheet.png"))
    info = json.loads(result.stdout)
    assert set(info) == {"schema", "source", "splits", "notes"}
    assert info["notes"] == []
    assert set(info["splits"]) == {"train", "validation", "test"}
    assert set(info["splits"]["test"]) == {"images", "classes", "fingerprint"}
    assert sum(info["splits"]["train"]["classes"].values()) == info["splits"]["train"]["images"]
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[0] == 7 * 48


def test_data_info_of_own_images_shows_any_class_name_and_the_new_splits(tmp_path: Path) -> None:
    source = str(write_folder(tmp_path / "images", own_images("[bold]", "cat")))
    result = run("data", "info", source)
    assert "[bold]  cat" in result.stdout.splitlines()[0]
    assert result.stderr.startswith("validation and test: 15 % each of the images, stratified by class")
    assert json.loads(run("data", "info", source, "--json").stdout)["notes"] == [result.stderr.strip()]


def test_data_info_with_faces_refuses_images_without_a_face(tmp_path: Path) -> None:
    source = str(write_folder(tmp_path / "images", own_images("[bold]", "cat")))
    result = run_as_process("data", "info", source, "--faces")
    assert (result.returncode, result.stdout) == (1, "")
    assert "no face found" in result.stderr


def test_models_and_recipes_are_listed() -> None:
    models = json.loads(run("models", "--json").stdout)["models"]
    assert {row["model"] for row in models} == {"fernet", "mobilenetv2", "newmodel", "resnet50", "vgg16"}
    recipes = {row["recipe"]: row for row in json.loads(run("recipes", "--json").stdout)["recipes"]}
    assert recipes["study_vgg16"]["parameters"] == 134_289_223
    assert recipes["study_vgg16"]["expected_accuracy"] == 0.3568


def test_one_recipe_is_shown_with_its_command_and_deviations() -> None:
    shown = run("recipes", "study_vgg16").stdout
    assert "ferlab train study_vgg16 --data fer2013.zip" in shown
    assert "deviates from good practice: validates on six batches" in shown


def test_report_compares_runs_and_prints_the_ranking(small: Dataset, tmp_path: Path) -> None:
    study = write_run(tmp_path / "study", small, "study_newmodel", 0, 0.6, selected_on=("validation", "test"))
    fair = write_run(tmp_path / "fair", small, "fair_newmodel", 0, 0.7)
    result = run("report", str(study), str(fair), "--out", str(tmp_path / "out"), "--no-images")
    assert result.exit_code == 0, result.output
    (row,) = (line for line in result.stdout.splitlines() if line.split()[:2] == ["2", "study_newmodel"])
    assert row.rstrip().endswith("validation, test")
    for sentence in read_comparison(tmp_path / "out").findings:
        assert f"- {sentence}" in result.stdout
    assert result.stdout.endswith(f"Report: {tmp_path / 'out' / 'report.html'}\n")
    assert "data:image" not in (tmp_path / "out" / "report.html").read_text()


def test_errors_are_one_line_and_exit_with_1() -> None:
    for arguments, message in (
        (("recipes", "study_resnet5"), "Did you mean 'study_resnet50'"),
        (("data", "info", "nowhere.zip"), "nowhere.zip does not exist"),
        (("evaluate", "nowhere", "--data", "demo"), "nowhere does not exist"),
    ):
        result = run_as_process(*arguments)
        assert result.returncode == 1
        assert message in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
        assert result.stdout == ""


def test_wrong_usage_exits_with_2() -> None:
    assert run("train", "study_newmodel").exit_code == 2
    assert run("evaluate", "x", "--data", "demo", "--split", "private").exit_code == 2
    assert run("compare", "fair_newmodel", "--cpus-per-run", "1").exit_code == 2, "it needs --engine ray"
    assert run("train", "study_newmodel", "--data", "demo", "--out", "x", "--set", "epochs").exit_code == 2


@pytest.mark.slow
def test_train_and_evaluate_print_results_on_stdout_and_progress_on_stderr(small_table: Path, tmp_path: Path) -> None:
    """Progress is plain lines where standard error is not a terminal, without TensorFlow's own messages."""
    out, data = str(tmp_path / "run"), str(small_table)
    budget = ("--set", "epochs=2", "--set", "steps_per_epoch=2", "--set", "batch_size=16")
    trained = run_as_process("train", "study_newmodel", "--data", data, "--out", out, *budget)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout == f"Run folder: {out}\n"
    lines = trained.stderr.splitlines()
    assert lines[0].startswith("study_newmodel: 2 epochs in ")
    assert [line.split("  ")[0] for line in lines[1:3]] == ["epoch 1/2", "epoch 2/2"]
    assert " left)" in lines[1]
    assert len(lines) == 4
    scored = run("evaluate", out, "--data", data, "--split", "test", "--json")
    assert json.loads(scored.stdout)["images"] == 70


@pytest.mark.slow
def test_compare_trains_scores_and_reports(small_table: Path, tmp_path: Path) -> None:
    out, recipes = tmp_path / "comparison", ["fair_newmodel", "study_newmodel"]
    budget = ("--quick", "--set", "epochs=1", "--set", "steps_per_epoch=1", "--set", "batch_size=16")
    result = run_as_process("compare", *recipes, "--data", str(small_table), "--out", str(out), *budget, timeout=900)
    assert result.returncode == 0, result.stderr
    comparison = read_comparison(out)
    trained = [entry for entry in comparison.entries if entry.run]
    assert [entry.recipe for entry in trained] == recipes
    assert all(entry.status == "completed" for entry in trained)
    page = (out / "report.html").read_text()
    # Two charts of all runs, two of each run, three of costs, one of classes, two of calibration; for each recipe a
    # confusion matrix and mean maps.
    assert page.count('id="chart-') == 2 + 2 * 2 + 3 + 1 + 2 + 2 + 2
    assert "MB of disk space in" in result.stderr.splitlines()[0]


@pytest.mark.slow
def test_compare_without_recipes_begins_with_the_four_architectures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ferlab", "compare", "--out", str(tmp_path / "comparison")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        lines = [process.stderr.readline() for _ in range(2)]
        process.kill()
    assert lines[0].startswith("4 runs: ")
    assert lines[1] == "[1/4] fair_newmodel, seed 0\n"


NORMALIZED = """
import keras
from ferlab.recipes import Recipe


def build(num_classes):
    images = keras.Input((48, 48, 1))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, strides=4)(images))
    x = keras.layers.Dropout(0.1)(keras.layers.Flatten()(x))
    return keras.Model(images, keras.layers.Dense(num_classes, dtype="float32")(x))


def normalized_quick() -> Recipe:
    return Recipe(architecture="normalized", epochs=2, steps_per_epoch=4, batch_size=16, ema=0.5)
"""


@pytest.mark.slow
def test_training_on_the_jax_backend(small_table: Path, tmp_path: Path) -> None:
    pytest.importorskip("jax", reason="jax is not installed")
    (plugin := tmp_path / "normalized.py").write_text(NORMALIZED)
    arguments = ("train", "normalized_quick", "--plugin", str(plugin), "--data", str(small_table))
    trained = run_as_process(*arguments, "--out", str(tmp_path / "run"), "--backend", "jax", "--quiet")
    assert trained.returncode == 0, trained.stderr
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert (environment["backend"], environment["policy"]) == ("jax", "float32"), "bfloat16 can give NaN on a CPU"


def test_images_that_an_audit_excludes_are_left_out_by_other_commands(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "fer2013.zip", contents() | {"test/happy/PublicTest_9.png": contents()[TRAINING]})
    exclude = tmp_path / "exclude.txt"
    arguments = ["audit", str(source), "--out", str(tmp_path / "audit"), "--write-exclude", str(exclude), "--json"]
    summary = json.loads(run(*arguments, "--keep", "train").stdout)
    assert summary["exact_duplicates"]["across"]["train-validation"] == 1
    assert (tmp_path / "audit" / "audit.html").exists()
    before, after = (
        json.loads(run("data", "info", str(source), "--json", *more).stdout)["splits"]
        for more in ([], ["--exclude", str(exclude)])
    )
    assert before["validation"]["images"] == 2
    assert list(after) == ["train"], "all these images are near duplicates"
