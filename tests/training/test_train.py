"""Training on real, if small, data: seeds, resuming after a kill, frozen features, divergence, the protocol guard."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split, evaluate, train
from ferlab.comparison.baselines import baseline_entries
from ferlab.errors import DataError, OutputError, ProtocolError, RecipeError, RunError, TrainingError
from ferlab.evaluation.metrics import log_loss, log_softmax
from ferlab.models import build_model, count_parameters, predict_logits
from ferlab.recipes import get_recipe
from ferlab.runs import RunFolder, read_arrays
from ferlab.training.batches import BatchStream, to_model_input
from ferlab.training.callbacks import Selection
from ferlab.training.train import make_optimizer, split_frozen_backbone

# Dropout, averaging, plateau and early stopping all in play, on a network small enough for a test.
DEMANDING = {
    "epochs": 5,
    "batch_size": 32,
    "steps_per_epoch": 3,
    "ema": 0.8,
    "schedule": "constant",
    "early_stopping.patience": 4,
    "reduce_on_plateau.patience": 1,
    "policy": "auto",
}


def test_run_folder(small: Dataset, tmp_path: Path) -> None:
    run = train("study_newmodel", small, tmp_path / "run", seed=3, epochs=2, batch_size=56)
    result, environment = run.result(), run.environment()
    assert (result["status"], result["epochs"], result["parameters"]) == ("completed", 2, 4_478_727)
    assert result["selected_on"] == "validation+test"
    assert result["deviations"]
    assert result["test"] is None
    assert environment["seed"] == 3
    assert environment["dataset"] == small.describe()
    assert [entry["epoch"] for entry in run.history()] == [1, 2]
    assert set(run.history()[0]) >= {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"}
    model = keras.models.load_model(run.model_file)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    validation = small.take(Split.VALIDATION)
    accuracy = np.mean(predict_logits(model, validation.images).argmax(axis=1) == validation.labels)
    assert result["validation"]["accuracy"] == pytest.approx(accuracy)
    assert run.predictions()["validation_probabilities"].shape == (len(validation), 7)
    assert not list(run.path.rglob("*.tmp")) + list(run.path.glob(".model*"))


def test_other_classes_are_followed(small: Dataset, tmp_path: Path) -> None:
    """Three classes of other names: in the model, the run folder and every score."""
    names = ("cat", "dog", "eel")
    three = replace(small.where(small.labels < 3), class_names=names, notes=("validation: carved",))
    run = train("study_newmodel", three, tmp_path / "run", epochs=1, batch_size=16)
    assert (run.dataset()["class_names"], run.dataset()["notes"]) == (list(names), ["validation: carved"])
    assert run.predictions()["validation_probabilities"].shape[1] == 3
    scored = evaluate(run.path, three, "test")
    assert tuple(scored["per_class"]) == tuple(run.result()["validation"]["per_class"]) == names
    for entry in baseline_entries(three):
        assert np.shape(entry["test"]["confusion"]) == (3, 3)


def test_the_best_epoch_is_kept(small: Dataset, tmp_path: Path) -> None:
    run = train("study_newmodel", small, tmp_path / "run", epochs=3, augment_validation=False, policy="float32")
    best = max(run.history(), key=lambda entry: entry["val_accuracy"])
    assert run.result()["best_epoch"] == best["epoch"]
    selected_on = small.take(Split.VALIDATION, Split.TEST)
    model = keras.models.load_model(run.model_file)
    accuracy = np.mean(predict_logits(model, selected_on.images).argmax(axis=1) == selected_on.labels)
    assert accuracy == pytest.approx(best["val_accuracy"], abs=1e-9)


@pytest.mark.slow
def test_killed_and_resumed_equals_unbroken_bit_for_bit(table: Path, tmp_path: Path) -> None:
    """Two kill -9, the first in the midst of an epoch, the second at whatever moment it falls on."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(table, whole).wait() == 0
    for epochs in (1, 3):
        process = start(table, broken)
        wait_for(lambda: len(RunFolder(broken).history()) >= epochs, process)  # noqa: B023
        time.sleep(0.05 * epochs)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert RunFolder(broken).result() is None
    assert start(table, broken).wait() == 0
    expected, found = RunFolder(whole), RunFolder(broken)
    assert without_times(found.history()) == without_times(expected.history())
    for name in ("checkpoint/state.npz", "checkpoint/best.npz", "predictions.npz"):
        first, second = read_arrays(whole / name), read_arrays(broken / name)
        assert first.keys() == second.keys()
        for key in first.keys() - {"meta"}:
            np.testing.assert_array_equal(first[key], second[key], err_msg=f"{name}: {key}")
    rates = {entry["learning_rate"] for entry in expected.history()}
    assert len(rates) > 1, "the learning rate was never reduced: the test proves less than it says"


@pytest.fixture
def table(small: Dataset, tmp_path: Path) -> Path:
    """The small data set as a file, for processes of their own."""
    usages = ("Training", "PublicTest", "PrivateTest")
    rows = [
        f"{label},{' '.join(map(str, image.ravel()))},{usages[split]}\n"
        for image, label, split in zip(small.images, small.labels, small.splits, strict=True)
    ]
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n" + "".join(rows))
    return path


def start(table: Path, out: Path, **settings: int) -> subprocess.Popen:
    changes = [f"--set={key}={value}" for key, value in (DEMANDING | settings).items()]
    command = [sys.executable, "-m", "ferlab", "train", "fair_newmodel", "--data", str(table), "--out", str(out)]
    return subprocess.Popen([*command, *changes, "--quiet", "--resume", "--seed", "5"], stderr=subprocess.DEVNULL)


def wait_for(condition, process: subprocess.Popen, limit: float = 300) -> None:
    until = time.monotonic() + limit
    while not condition():
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.02)


def without_times(history: list[dict]) -> list[dict]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


def test_frozen_backbone_features_give_the_same_result(small: Dataset) -> None:
    """Training the head on features computed once equals training the whole model with its backbone frozen."""
    images, labels = small.take(Split.TRAIN).images[:64], small.take(Split.TRAIN).labels[:64]
    results = []
    for on_features in (True, False):
        keras.utils.set_random_seed(0)
        model = build_model("vgg16", scaling="symmetric", trainable_backbone=False, dense_units=16)
        backbone, head = split_frozen_backbone(model)
        trained, inputs = (head, predict_logits(backbone, images)) if on_features else (model, to_model_input(images))
        trained.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        trained.fit(inputs, labels, batch_size=16, epochs=3, shuffle=False, verbose=0)
        results.append(predict_logits(model, images))
    np.testing.assert_allclose(*results, atol=1e-4)
    assert np.ptp(results[0]) > 0.1


def test_a_frozen_recipe_trains_on_features(small: Dataset, tmp_path: Path) -> None:
    """The checkpoint of a head alone is small, and the saved model is whole."""
    changes = {"model.weights": "none", "model.input_size": 64, "epochs": 1, "steps_per_epoch": 2}
    run = train("study_mobilenetv2", small, tmp_path / "run", **changes)
    stored = sum(array.size for name, array in read_arrays(run.best_file).items() if name.startswith("model/"))
    assert stored < 1.4e6
    assert count_parameters(keras.models.load_model(run.model_file))[0] == 3_576_903


def test_mixup_mixes_pictures_even_where_the_backbone_is_frozen(small: Dataset, tmp_path: Path) -> None:
    """A head alone could only be taught mixed features."""
    changes = {"model.weights": "none", "model.input_size": 32, "epochs": 1, "steps_per_epoch": 2, "mixup": 0.2}
    run = train("study_mobilenetv2", small, tmp_path / "run", **changes)
    stored = sum(array.size for name, array in read_arrays(run.best_file).items() if name.startswith("model/"))
    assert stored > 3e6


def test_averaged_weights_get_statistics_of_their_own_in_nested_models_too(small: Dataset, tmp_path: Path) -> None:
    images = keras.Input((48, 48, 1))
    inner = keras.Model(images, keras.layers.BatchNormalization()(images))
    outer = keras.Model(images, keras.layers.Dense(7)(keras.layers.Flatten()(inner(images))))
    recipe, training = get_recipe("fernet_s"), small.take(Split.TRAIN)
    outer.compile(make_optimizer(recipe, steps_per_epoch=100))
    outer.optimizer.build(outer.trainable_variables)
    weights = np.ones(len(training), np.float32)
    targets = np.eye(7, dtype=np.float32)[training.labels]
    settings = {"batch_size": 64, "augmentation": recipe.augmentation, "seed": 0, "clean_from": 8}
    stream = BatchStream(training.images, targets, weights, **settings)
    selection = Selection(RunFolder(tmp_path), recipe, training.images[:8], training.labels[:8], stream, seed=0)
    selection.set_model(outer)
    selection.set_params({"steps": 8})
    position = next(index for index, one in enumerate(outer.variables) if one.path.endswith("moving_mean"))
    for epoch, first_step in ((0, 0), (1, 8)):
        selection.best = -math.inf
        selection.on_epoch_end(epoch, {})
        expected = np.concatenate([stream.inputs(first_step + step) for step in range(2)]).mean()
        stored = read_arrays(RunFolder(tmp_path).best_file)
        np.testing.assert_allclose(stored[f"model/{position}"], expected, rtol=1e-3)


def test_a_training_may_be_clean_from_its_first_epoch_on(small: Dataset, tmp_path: Path) -> None:
    changes = {"epochs": 1, "clean_epochs": 10, "batch_size": 56, "steps_per_epoch": 2, "policy": "float32"}
    assert train("fernet_s", small, tmp_path / "run", **changes).result()["status"] == "completed"


def test_paired_channels_are_trained_and_plain_ones_saved(small: Dataset, tmp_path: Path) -> None:
    changes = {"epochs": 1, "batch_size": 56, "steps_per_epoch": 2, "policy": "float32", "model.mirrored": True}
    run = train("fernet_s_quick", small, tmp_path / "run", **changes)
    model, images = keras.models.load_model(run.model_file), small.take(Split.VALIDATION).images
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    logits = predict_logits(model, images)
    np.testing.assert_allclose(predict_logits(model, images[:, :, ::-1]), logits, atol=1e-3)
    expected = log_loss(small.take(Split.VALIDATION).labels, log_softmax(logits))
    assert run.history()[0]["val_loss"] == pytest.approx(expected, rel=1e-4)


def test_divergence_stops_with_the_last_good_checkpoint(small: Dataset, tmp_path: Path) -> None:
    changes = {"learning_rate": 1e38, "optimizer": "sgd", "epochs": 3, "batch_size": 56, "policy": "float32"}
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) in epoch 1.*lower --set learning_rate"):
        train("study_newmodel", small, tmp_path / "run", **changes)
    result = RunFolder(tmp_path / "run").result()
    assert result["status"] == "failed"
    assert "diverged" in result["reason"]


def test_a_run_folder_is_not_overwritten(small: Dataset, tmp_path: Path) -> None:
    changes = {"epochs": 1, "batch_size": 56}
    train("study_newmodel", small, tmp_path, **changes)
    with pytest.raises(RunError, match="already holds a run"):
        train("study_newmodel", small, tmp_path, **changes)
    with pytest.raises(RunError, match="another recipe or seed"):
        train("study_newmodel", small, tmp_path, resume=True, epochs=2)
    with pytest.raises(RunError, match="other data"):
        train("study_newmodel", small.take(Split.TRAIN, Split.VALIDATION), tmp_path, resume=True, **changes)
    before = json.dumps(RunFolder(tmp_path).result())
    train("study_newmodel", small, tmp_path, resume=True, **changes)
    assert json.dumps(RunFolder(tmp_path).result()) == before


def test_a_folder_in_use_is_refused(small: Dataset, tmp_path: Path) -> None:
    with RunFolder(tmp_path).lock(), pytest.raises(RunError, match="in use by another process"):
        train("study_newmodel", small, tmp_path)


def test_a_folder_that_cannot_be_written_is_a_clear_error(small: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match="cannot be created"):
        train("study_newmodel", small, tmp_path / "file" / "run")


def test_a_full_disk_leaves_no_half_written_file(tmp_path: Path) -> None:
    """/dev/full stands for the full disk: it refuses every write."""
    run = RunFolder(tmp_path)
    run.write("result", {"status": "completed"})

    def fill(file) -> None:
        file.write(b"half")
        with open("/dev/full", "wb") as full:
            full.write(b"the other half")

    from ferlab.files import write_atomically

    with pytest.raises(OutputError, match="No space left on device"):
        write_atomically(tmp_path / "result.json", fill)
    assert run.result()["status"] == "completed"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_the_protocol_is_guarded(small: Dataset, tmp_path: Path) -> None:
    """Without a validation split nothing is trained: the test split never takes its place."""
    with pytest.raises(ProtocolError, match="no validation images"):
        train("fair_newmodel", small.take(Split.TRAIN, Split.TEST), tmp_path / "run")
    with pytest.raises(DataError, match="no train images"):
        train("fair_newmodel", small.take(Split.VALIDATION), tmp_path / "run")
    assert get_recipe("fair_newmodel").selection == "validation"


@pytest.mark.slow
def test_ctrl_c_leaves_a_usable_folder_that_resumes(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(table, out, steps_per_epoch=9)
    wait_for(lambda: len(RunFolder(out).history()) >= 1, process)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 1
    run = RunFolder(out)
    assert run.result()["status"] == "interrupted"
    assert run.model_file.is_file()
    done = len(run.history())
    assert done < DEMANDING["epochs"]
    assert start(table, out, steps_per_epoch=9).wait() == 0
    assert run.result()["status"] in ("completed", "stopped early")
    assert len(run.history()) > done


def test_a_student_without_teachers_is_refused(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--set teachers=DIR,DIR"):
        train("fair_newmodel", small, tmp_path / "run", distillation=0.5)
