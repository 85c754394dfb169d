"""Ensembles: fitted weights, unbiased scores, and an artifact that predicts like the weighted mean."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from typer.testing import CliRunner

from ferlab import Dataset, Split, ensemble, evaluate
from ferlab.cli import app
from ferlab.errors import ProtocolError, RunError
from ferlab.evaluation.metrics import log_loss, log_softmax
from ferlab.export.ensemble import Mixture, cross_validated, stacking_weights
from ferlab.models import predict_logits
from ferlab.predict import Artifact
from ferlab.runs import RunFolder
from tests.comparisons import write_run

Made = Callable[[str, int, float], Path]


@pytest.fixture(scope="module")
def made(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Create run folders with a linear network, trained for a few epochs on the demo data or not at all."""

    def make(name: str, seed: int, learned: float) -> Path:
        path = write_run(tmp_path_factory.mktemp("runs") / name, demo, "fernet_s", seed, 0.5)
        keras.utils.set_random_seed(seed)
        images = keras.Input((48, 48, 1))
        small = layers.AveragePooling2D(4)(layers.Rescaling(1 / 128, -1)(images))
        model = keras.Model(images, layers.Dense(7)(layers.Flatten()(small)), name="same_name")
        if learned:
            training = demo.take(Split.TRAIN)
            model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            model.fit(training.images[..., None], training.labels, epochs=round(learned), verbose=0)
        model.save(RunFolder(path).model_file)
        return path

    return make


@pytest.fixture(scope="module")
def runs(made: Made) -> list[Path]:
    return [made("good", 0, 5), made("useless", 1, 0), made("fair", 2, 2)]


def mean_by_hand(runs: list[Path], made, images: np.ndarray, temperatures: list[float]) -> np.ndarray:
    return sum(
        member.weight * np.exp(log_softmax(predict_logits(keras.models.load_model(run / "model.keras"), images) / one))
        for run, member, one in zip(runs, made.members, temperatures, strict=True)
    )


def test_the_artifact_predicts_like_the_weighted_mean(runs: list[Path], demo: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "ensemble.onnx"
    made = ensemble(runs, demo, out)
    artifact, validation = Artifact(out), demo.take(Split.VALIDATION)
    members = {row["seed"]: row for row in artifact.metadata["protocol"]["members"]}
    assert [round(member.weight, 6) for member in made.members if member.weight] == [
        round(row["weight"], 6) for row in members.values()
    ]
    mean = mean_by_hand(
        runs,
        made,
        validation.images,
        [members.get(member.seed, {"temperature": 1.0})["temperature"] for member in made.members],
    )
    expected = mean ** (1 / artifact.metadata["temperature"])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(artifact.probabilities(validation.images), expected, atol=1e-5)
    assert evaluate(out, demo).accuracy == made.scores.accuracy == made.parity.accuracy
    assert evaluate(out, demo).log_loss == pytest.approx(made.scores.log_loss, abs=1e-4)
    assert artifact.metadata["name"] == "ensemble"
    assert artifact.metadata["fingerprints"] == {name: demo.fingerprints[name] for name in ("train", "validation")}


def test_class_shares_are_the_weighted_mean_of_the_members(made: Made, demo: Dataset, tmp_path: Path) -> None:
    """One of the members was trained with balanced class weights."""
    runs = [made("one", 0, 2), made("other", 1, 2)]
    RunFolder(runs[1]).write_config(RunFolder(runs[1]).recipe().changed({"class_weights": "balanced"}), 1)
    weights = [member.weight for member in ensemble(runs, demo, tmp_path / "model.onnx").members]
    shares = [RunFolder(run).class_shares() for run in runs]
    assert shares[0] != shares[1]
    expected = np.average(shares, axis=0, weights=weights)
    assert Artifact(tmp_path / "model.onnx").metadata["class_shares"] == pytest.approx(expected.tolist())


def test_untrained_members_get_little_weight_and_cross_validation_is_less_optimistic(
    runs: list[Path], demo: Dataset, tmp_path: Path
) -> None:
    made = ensemble(runs, demo, tmp_path / "ensemble.onnx")
    good, useless, _ = made.members
    assert good.weight > 0.3 > useless.weight
    assert made.scores.log_loss <= min(
        made.equal_weights.log_loss, *(member.scores.log_loss for member in made.members)
    )
    assert made.cross_validated.log_loss > made.scores.log_loss


def test_weights_are_as_computed_by_hand() -> None:
    """One model is correct on two thirds of the images, another on the rest, and a third is never better than that."""
    np.testing.assert_allclose(stacking_weights(np.array([[0.8, 0.8], [0.2, 0.2]])), [1, 0])
    likelihoods = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.9]])
    np.testing.assert_allclose(stacking_weights(likelihoods), [2 / 3, 1 / 3, 0], atol=1e-4)
    np.testing.assert_allclose(stacking_weights(np.zeros((2, 3))), [0.5, 0.5])


def test_cross_validation_removes_the_optimism_of_fitted_weights() -> None:
    """Random models look better than chance on the images that their weights were fitted on, and not on others."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 7, 300)
    logits = 3 * generator.normal(size=(40, 300, 7))
    mixture = Mixture.fit(logits, labels)
    chosen = log_loss(labels, log_softmax(mixture.logits(logits) / mixture.temperature))
    held_out = log_loss(labels, log_softmax(cross_validated(logits, labels, np.arange(300))))
    assert chosen < np.log(7) - 0.01
    assert held_out > np.log(7)


def test_invalid_members_raise(runs: list[Path], made: Made, demo: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "ensemble.onnx"
    for wrong, error, reason in (
        (runs[:1], RunError, "two or more different runs"),
        ([runs[0], runs[0]], RunError, "two or more different runs"),
        ([runs[0], tmp_path], RunError, "does not contain a trained model"),
    ):
        with pytest.raises(error, match=reason):
            ensemble(wrong, demo, out)
    other = made("other", 4, 0)
    run = RunFolder(other)
    environment = run.environment()
    training = replace(environment.dataset.splits["train"], fingerprint="0" * 64)
    other_data = replace(environment.dataset, splits=environment.dataset.splits | {"train": training})
    run.write_environment(replace(environment, dataset=other_data))
    with pytest.raises(ProtocolError, match=r"other was trained on different images than .*good"):
        ensemble([runs[0], other], demo, out)
    with pytest.raises(ProtocolError, match="The validation images of"):
        ensemble(runs, demo.where(np.arange(len(demo)) != np.flatnonzero(demo.splits == Split.VALIDATION)[0]), out)
    tested = made("tested", 3, 0)
    run = RunFolder(tested)
    run.write_result(replace(run.trained_result(), selected_on=("validation", "test")))
    with pytest.raises(ProtocolError, match="The member .*tested was selected on validation and test"):
        ensemble([runs[0], tested], demo, out)
    assert not out.exists()


@pytest.mark.slow
def test_the_command_prints_members_scores_and_parity(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "small.onnx"
    arguments = ["ensemble", *map(str, runs), "--data", "demo", "--quantize", "float16", "--out", str(out)]
    lines = CliRunner().invoke(app, arguments).stdout.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == [str(run) for run in runs]
    assert [line.strip().split("  ")[0] for line in lines[4:7]] == [
        "equal weights", "these weights", "these weights, cross-validated",
    ]  # fmt: skip
    assert any("(quantize: float16), compared with Keras on validation images" in line for line in lines)
    result = json.loads(CliRunner().invoke(app, [*arguments[:-1], str(tmp_path / "b.onnx"), "--json"]).stdout)
    assert sum(member["weight"] for member in result["members"]) == pytest.approx(1)
    assert result["parity"]["images"] == 420
