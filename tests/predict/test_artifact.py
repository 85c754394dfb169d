"""ONNX artifacts: their probabilities, and the files that are refused."""

from pathlib import Path

import numpy as np
import pytest

from ferlab.emotions import EMOTIONS
from ferlab.errors import ArtifactError
from ferlab.predict import Artifact
from ferlab.predict.artifact import METADATA
from tests.artifacts import linear_artifact

IMAGES = np.random.default_rng(1).integers(0, 256, (300, 48, 48), dtype=np.uint8)


def test_probabilities_match_numpy(tmp_path: Path) -> None:
    weights = linear_artifact(tmp_path / "linear.onnx")
    artifact = Artifact(tmp_path / "linear.onnx")
    logits = IMAGES.reshape(300, -1).astype(np.float64) @ weights
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(artifact.probabilities(IMAGES), expected, atol=1e-4)
    assert artifact.class_names == EMOTIONS
    assert artifact.probabilities(IMAGES[:0]).shape == (0, 7)


def test_images_of_another_shape_or_dtype_are_refused(tmp_path: Path) -> None:
    linear_artifact(tmp_path / "linear.onnx")
    artifact = Artifact(tmp_path / "linear.onnx")
    for images in (IMAGES.astype(np.float32), IMAGES[0], IMAGES[:, :40]):
        with pytest.raises(ArtifactError, match=r"must be \(N, 48, 48\) uint8"):
            artifact.probabilities(images)


@pytest.mark.parametrize("key", METADATA)
def test_a_file_without_one_of_the_metadata_keys_is_refused(tmp_path: Path, key: str) -> None:
    linear_artifact(tmp_path / "linear.onnx", **{key: None})
    with pytest.raises(ArtifactError, match=f"has no {key} in its metadata"):
        Artifact(tmp_path / "linear.onnx")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "linear.onnx"
    weights = linear_artifact(path)
    content = bytearray(path.read_bytes())
    position = content.index(weights.tobytes()[:64])
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="changed or damaged: its SHA-256 does not match"):
        Artifact(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("text")
    linear_artifact(tmp_path / "later.onnx", schema=99)
    for name, reason in (
        ("text.onnx", "cannot be loaded"),
        ("none.onnx", "cannot be read"),
        ("later.onnx", "schema 99"),
    ):
        with pytest.raises(ArtifactError, match=reason):
            Artifact(tmp_path / name)
