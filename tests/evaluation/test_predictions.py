"""Prediction files: reading, writing, scoring, and the errors they can have."""

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from ferlab import Dataset, Split, evaluate
from ferlab.cli import app
from ferlab.data.exclude import exclude_images
from ferlab.data.unlabeled import load_unlabeled
from ferlab.errors import DataError, FerlabError
from ferlab.evaluation.evaluate import predict_unlabeled
from ferlab.evaluation.predictions import read_predictions, write_predictions
from ferlab.evaluation.trained_model import TrainedModel
from ferlab.predict import Artifact
from tests.artifacts import linear_artifact
from tests.data.builders import png, write_folder


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    linear_artifact(tmp_path / "linear.onnx", scale=1e-4)
    return tmp_path / "linear.onnx"


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_the_predictions_of_a_model_score_like_the_model(
    suffix: str, small: Dataset, linear: Path, tmp_path: Path
) -> None:
    file = tmp_path / f"own{suffix}"
    model = evaluate(linear, small, "test", abstain=0.5, write=file)
    scored = evaluate(file, small, "test", abstain=0.5, against=linear)
    assert scored.accuracy == model.accuracy
    assert scored.confusion == model.confusion
    assert scored.log_loss == pytest.approx(model.log_loss, rel=0.01)
    assert scored.leak_free == model.leak_free
    assert scored.selected_on is None
    assert scored.against is not None
    assert (scored.against.difference, scored.against.p_value) == (0, 1)


def test_the_order_of_rows_and_the_folders_of_names_do_not_matter(small: Dataset, tmp_path: Path) -> None:
    foldered = replace(small, names=np.array([f"test/x/{number}.png" for number in range(len(small))]))
    part = foldered.take(Split.VALIDATION)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7), len(part))
    order = np.random.default_rng(1).permutation(len(part))
    names = np.array([Path(name).name for name in part.names])
    write_predictions(tmp_path / "p.csv", names[order], probabilities[order], part.class_names)
    expected = np.mean(probabilities.argmax(axis=1) == part.labels)
    assert evaluate(tmp_path / "p.csv", foldered).accuracy == pytest.approx(expected)


@pytest.mark.parametrize("folders", [True, False])
def test_predictions_for_omitted_images_are_ignored(small: Dataset, tmp_path: Path, folders: bool) -> None:
    """A file with all images can be scored on a target that omits some, and after an exclusion."""
    foldered = replace(small, names=np.array([f"test/x/{number}.png" for number in range(len(small))]))
    part = foldered.take(Split.VALIDATION)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7), len(part))
    names = part.names if folders else np.array([Path(name).name for name in part.names])
    write_predictions(tmp_path / "p.csv", names, probabilities, part.class_names)
    (tmp_path / "exclude.txt").write_text(f"{part.names[0]}\n{part.names[5]}\n")
    kept = np.delete(np.arange(len(part)), [0, 5])
    expected = np.mean(probabilities[kept].argmax(axis=1) == part.labels[kept])
    scored = evaluate(tmp_path / "p.csv", exclude_images(foldered, tmp_path / "exclude.txt"))
    assert (scored.images, scored.accuracy) == (len(kept), pytest.approx(expected))


def test_classes_alone_give_accuracy_and_no_calibration(small: Dataset, tmp_path: Path) -> None:
    part = small.take(Split.VALIDATION)
    rows = [f"{name},{part.class_names[label]}" for name, label in zip(part.names, part.labels, strict=True)]
    rows[0] = f"{part.names[0]},{part.class_names[(part.labels[0] + 1) % 7]}"
    (tmp_path / "p.csv").write_text("\n".join(["name,class", *rows]))
    scored = evaluate(tmp_path / "p.csv", small, abstain=0.5)
    assert scored.accuracy == pytest.approx(1 - 1 / len(part))
    assert (scored.log_loss, scored.top2_accuracy, scored.reliability, scored.abstained) == (None, None, (), None)
    assert scored.probabilities_reason == "the file contains classes without probabilities"


def table(names: list[str], columns: str, rows: list[str]) -> str:
    return "\n".join([f"name,{columns}", *(f"{name},{row}" for name, row in zip(names, rows, strict=True))])


def test_each_fault_has_a_clear_error(small: Dataset, tmp_path: Path) -> None:
    part = small.take(Split.VALIDATION)
    names, classes = part.names.tolist(), ",".join(part.class_names)
    even = ["0.4,0.1,0.1,0.1,0.1,0.1,0.1"] * len(names)
    reverse = ",".join(part.class_names[::-1])
    for text, message in (
        (table(["other", *names[1:]], classes, even), "'other' is not in this split"),
        (table(names[1:], classes, even[1:]), f"no prediction for the image '{names[0]}' \\(1 of {len(names)}"),
        (table([names[1], *names[1:]], classes, even), f"2 predictions for the image '{names[1]}'"),
        (table(names, classes, ["0.9,0.9,0,0,0,0,0", *even[1:]]), f"'{names[0]}' sum to 1.800 instead of 1"),
        (table(names, classes, ["-3,2,1,0,0,0,1", *even[1:]]), "not all between 0 and 1"),
        (table(names, classes, ["nan,0,0,0,0,0,1", *even[1:]]), "not all between 0 and 1"),
        (table(names, classes, ["x,0,0,0,0,0,1", *even[1:]]), "line 2, column angry: 'x' is not a number"),
        (table(names, classes, ["0_1,0,0,0,0,0,0", *even[1:]]), "line 2, column angry: '0_1' is not a number"),
        (table(names, classes, [*even[:-1], "0.4,0.1"]), f"row {len(names) + 1} has 3 cells, expected 8"),
        (table(names, reverse, even), "in the same order"),
        (table(names, "class", ["glad"] * len(names)), "unknown class 'glad'"),
        (table(names, "class", [""] * len(names)), "line 2: the class is missing"),
        ("a,b\n1,2\n", "no column 'name'"),
        ("name,class\n", "contains no predictions"),
    ):
        (tmp_path / "p.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            evaluate(tmp_path / "p.csv", small)


def test_names_are_not_formulas_in_a_spreadsheet(tmp_path: Path) -> None:
    names = np.array(["=1+1.jpg", "-a/b.jpg", "@c", "./d.jpg", "e.jpg"])
    write_predictions(tmp_path / "p.csv", names, np.full((5, 2), 0.5), ("x", "y"))
    cells = [line.split(",")[0] for line in (tmp_path / "p.csv").read_text().splitlines()[1:]]
    assert cells == ["./=1+1.jpg", "./-a/b.jpg", "./@c", "./d.jpg", "e.jpg"]
    assert read_predictions(tmp_path / "p.csv").names.tolist() == names.tolist()


def test_damaged_and_hostile_npz_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(path)
    np.savez(path, names=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(path)
    np.savez(path, names=np.array(["a"]), class_names=np.array(["x", "y"]))
    with pytest.raises(DataError, match="no array 'probabilities'"):
        read_predictions(path)
    np.savez(path, names=np.array(["a"]), class_names=np.array(["x", "y"]), probabilities=np.ones((2, 2)))
    with pytest.raises(DataError, match=r"shape \(2, 2\), and there are 1 names"):
        read_predictions(path)


def test_a_file_of_predictions_has_no_other_views(small: Dataset, linear: Path, tmp_path: Path) -> None:
    evaluate(linear, small, write=tmp_path / "p.npz")
    with pytest.raises(FerlabError, match="needs a model"):
        evaluate(tmp_path / "p.npz", small, tta=True)


def test_images_without_labels_are_predicted(linear: Path, tmp_path: Path) -> None:
    images = load_unlabeled(write_folder(tmp_path / "flat", {f"{number}.png": png(number) for number in (2, 0, 1)}))
    predict_unlabeled(linear, images, tmp_path / "p.npz")
    written = read_predictions(tmp_path / "p.npz")
    assert written.names.tolist() == ["0.png", "1.png", "2.png"]
    np.testing.assert_allclose(written.probabilities, Artifact(linear).probabilities(images.images), atol=1e-3)
    keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten()]).save(tmp_path / "bare.keras")
    with pytest.raises(FerlabError, match="does not contain its class names"):
        predict_unlabeled(tmp_path / "bare.keras", images, tmp_path / "q.npz")


def test_the_command_names_the_files_it_wrote(linear: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "p.csv", tmp_path / "out"
    arguments = ["--data", "demo", "--split", "test", "--out", str(out)]
    printed = CliRunner().invoke(app, ["evaluate", str(linear), *arguments, "--write-predictions", str(file)]).stdout
    assert printed.endswith(f"\n\nPredictions: {file}\nEvaluation: {out}\n")
    written = json.loads((out / "evaluation.json").read_text())
    scored = CliRunner().invoke(app, ["evaluate", str(file), "--data", "demo", "--split", "test", "--json"])
    assert json.loads(scored.stdout)["confusion"] == written["confusion"]


def test_the_command_predicts_images_without_labels(linear: Path, tmp_path: Path) -> None:
    folder, file = (
        write_folder(tmp_path / "flat", {f"{number}.png": png(number) for number in range(3)}),
        tmp_path / "p.csv",
    )
    arguments = ["evaluate", str(linear), "--data", str(folder)]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2
    assert "--write-predictions FILE" in refused.stderr
    printed = CliRunner().invoke(app, [*arguments, "--write-predictions", str(file)]).stdout
    assert printed == f"Predictions for 3 images: {file}\nNo metrics: {folder} has no labels.\n"
    assert read_predictions(file).names.tolist() == ["0.png", "1.png", "2.png"]
    for option in (["--tta"], ["--against", "fer.npz"], ["--exclude", "list.txt"], ["--out", str(tmp_path / "out")]):
        scored = CliRunner().invoke(app, [*arguments, "--write-predictions", str(file), *option])
        assert (scored.exit_code, option[0] in scored.stderr) == (2, True)
    (folder / "3.png").write_bytes(b"not an image")
    skipping = CliRunner().invoke(app, [*arguments, "--write-predictions", str(file), "--skip-bad"])
    assert "skipped 1 bad items: 3.png" in skipping.stderr


def test_names_with_line_breaks_and_formulas_are_read_back(tmp_path: Path) -> None:
    names = ["a\rb.png", "=1.png", "a\nb.png"]
    write_predictions(tmp_path / "p.csv", np.array(names), np.full((3, 2), 0.5), ("x", "y"))
    assert read_predictions(tmp_path / "p.csv").names.tolist() == names


def test_an_unusable_option_raises_before_the_model_is_scored(
    small: Dataset, linear: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainedModel, "__call__", lambda *_: pytest.fail("the model was scored"))
    with pytest.raises(DataError, match=r"p\.txt: the file name must end in \.csv or \.npz"):
        evaluate(linear, small, write=tmp_path / "p.txt")
    with pytest.raises(DataError, match=r"missing\.csv cannot be read"):
        evaluate(linear, small, against=tmp_path / "missing.csv")
    images = load_unlabeled(write_folder(tmp_path / "flat", {"0.png": png(0)}))
    with pytest.raises(DataError, match=r"\.csv or \.npz"):
        predict_unlabeled(linear, images, tmp_path / "p.txt")


def test_small_probabilities_stay_above_zero_in_16_bits(tmp_path: Path) -> None:
    """A probability of 0 for the right class would make the log loss of all images meaningless."""
    write_predictions(tmp_path / "p.npz", np.array(["a"]), np.array([[1 - 1e-9, 1e-9]]), ("x", "y"))
    assert 0 < read_predictions(tmp_path / "p.npz").probabilities.min() < 1e-7
