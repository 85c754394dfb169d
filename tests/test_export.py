"""Export: calibrated, checked against Keras, complete, and all or nothing."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ferlab import Dataset, Split, evaluate
from ferlab.errors import ArtefactError, RunError
from ferlab.export import LICENCES, export
from ferlab.metrics import log_loss, log_softmax
from ferlab.models import build_model, predict_logits
from ferlab.predict import Artefact
from ferlab.runs import RunFolder
from tests.comparisons import write_run


@pytest.fixture(scope="module")
def run(demo: Dataset, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run folder with a network that is far too sure of itself."""
    run = RunFolder(write_run(tmp_path_factory.mktemp("export") / "run", demo, "fernet_s", 0, 0.5))
    keras.utils.set_random_seed(0)
    model = build_model("fernet", size="s")
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([20 * kernel, bias])
    model.save(run.model_file)
    return run


def test_the_artefact_answers_as_keras_does(run: RunFolder, demo: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "model.onnx"
    parity = export(run, demo, out)
    artefact, validation = Artefact(out), demo.take(Split.VALIDATION)
    logits = predict_logits(keras.models.load_model(run.model_file), validation.images)
    temperature = artefact.metadata["temperature"]
    expected = np.exp(log_softmax(logits / temperature))
    np.testing.assert_allclose(artefact.probabilities(validation.images), expected, atol=1e-5)
    calibrated, raw = (log_loss(validation.labels, log_softmax(logits / t)) for t in (temperature, 1.0))
    assert calibrated < raw / 2
    assert (parity.images, parity.changed) == (420, 0)
    assert parity.largest_difference < 1e-5
    assert artefact.metadata["accuracy"]["validation"] == parity.accuracy == evaluate(out, demo)["accuracy"]


def test_it_says_where_it_comes_from(run: RunFolder, demo: Dataset, tmp_path: Path) -> None:
    export(run, demo, tmp_path / "model.onnx", quantize="float16")
    metadata = Artefact(tmp_path / "model.onnx").metadata
    assert metadata["name"] == "fernet_s"
    assert metadata["class_names"] == list(demo.class_names)
    assert metadata["protocol"] == {"trained_on": "train", "selected_on": "validation", "seed": 0}
    assert metadata["fingerprints"] == {name: demo.fingerprints[name] for name in ("train", "validation")}
    assert metadata["licences"] == LICENCES


def test_half_precision_halves_the_file(run: RunFolder, demo: Dataset, tmp_path: Path) -> None:
    for quantize in ("none", "float16"):
        export(run, demo, tmp_path / f"{quantize}.onnx", quantize=quantize)
    whole, half = ((tmp_path / f"{name}.onnx").stat().st_size for name in ("none", "float16"))
    assert 0.49 < half / whole < 0.55


def test_a_model_that_answers_otherwise_leaves_no_file(
    run: RunFolder, demo: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight bits are too few where a tolerance asks for the same probabilities."""
    monkeypatch.setitem(__import__("ferlab.export").export.TOLERANCES, "int8", 1e-6)
    with pytest.raises(ArtefactError, match="No file was written"):
        export(run, demo, tmp_path / "model.onnx", quantize="int8")
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_model_is_refused(demo: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no trained model"):
        export(tmp_path, demo, tmp_path / "model.onnx")
