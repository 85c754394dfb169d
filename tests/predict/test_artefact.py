"""Artefacts: what they answer, and which files are refused."""

from pathlib import Path

import numpy as np
import pytest

from ferlab.emotions import EMOTIONS
from ferlab.errors import ArtefactError
from ferlab.predict import Artefact
from ferlab.predict.artefact import METADATA
from tests.artefacts import linear_artefact

IMAGES = np.random.default_rng(1).integers(0, 256, (300, 48, 48), dtype=np.uint8)


def test_probabilities_by_hand(tmp_path: Path) -> None:
    weights = linear_artefact(tmp_path / "linear.onnx")
    artefact = Artefact(tmp_path / "linear.onnx")
    logits = IMAGES.reshape(300, -1).astype(np.float64) @ weights
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(artefact.probabilities(IMAGES), expected, atol=1e-4)
    assert artefact.class_names == EMOTIONS
    assert artefact.probabilities(IMAGES[:0]).shape == (0, 7)


def test_images_of_another_form_are_refused(tmp_path: Path) -> None:
    linear_artefact(tmp_path / "linear.onnx")
    artefact = Artefact(tmp_path / "linear.onnx")
    for images in (IMAGES.astype(np.float32), IMAGES[0], IMAGES[:, :40]):
        with pytest.raises(ArtefactError, match=r"must be \(N, 48, 48\) uint8"):
            artefact.probabilities(images)


@pytest.mark.parametrize("key", METADATA)
def test_a_file_that_lacks_any_metadata_is_refused(tmp_path: Path, key: str) -> None:
    linear_artefact(tmp_path / "linear.onnx", **{key: None})
    with pytest.raises(ArtefactError, match=f"does not say its {key}"):
        Artefact(tmp_path / "linear.onnx")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "linear.onnx"
    weights = linear_artefact(path)
    content = bytearray(path.read_bytes())
    position = content.index(weights.tobytes()[:64])
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match="changed or damaged"):
        Artefact(path)


def test_what_is_no_artefact_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("text")
    linear_artefact(tmp_path / "later.onnx", schema=99)
    for name, reason in (
        ("text.onnx", "cannot be loaded"),
        ("none.onnx", "cannot be read"),
        ("later.onnx", "schema 99"),
    ):
        with pytest.raises(ArtefactError, match=reason):
            Artefact(tmp_path / name)
