"""LiteRT artifacts: their probabilities, and the files that are refused."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from ferlab import Dataset, Predictor
from ferlab.emotions import EMOTIONS
from ferlab.errors import ArtifactError, MissingExtraError
from ferlab.export import litert
from ferlab.predict import Artifact
from ferlab.predict.artifact import METADATA, digest
from tests.artifacts import metadata

IMAGES = np.random.default_rng(1).integers(0, 256, (300, 48, 48), dtype=np.uint8)
WEIGHTS = np.random.default_rng(0).normal(0, 0.001, (48 * 48, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def network(demo: Dataset) -> bytes:
    """A LiteRT model that computes softmax(images @ weights), without metadata."""
    images = keras.Input((48, 48, 1), name="images")
    logits = layers.Dense(7, use_bias=False, name="logits")(layers.Flatten()(images))
    model = keras.Model(images, {"probabilities": layers.Softmax(name="probabilities")(logits)})
    model.get_layer("logits").set_weights([WEIGHTS])
    return litert.convert(model, "none", demo)


def write(path: Path, network: bytes, **changes: Any) -> Path:
    content = litert.add_metadata(network, {key: json.dumps(value) for key, value in metadata(**changes).items()})
    path.write_bytes(content.replace(b"0" * 64, digest(content, "0" * 64).encode()))
    return path


def test_probabilities_match_numpy(tmp_path: Path, network: bytes) -> None:
    artifact = Artifact(write(tmp_path / "linear.tflite", network), threads=1)
    logits = IMAGES.reshape(300, -1).astype(np.float64) @ WEIGHTS
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for batch_size in (1, 8, 128):
        np.testing.assert_allclose(artifact.probabilities(IMAGES, batch_size), expected, atol=1e-4)
    assert artifact.class_names == EMOTIONS
    assert artifact.probabilities(IMAGES[:0]).shape == (0, 7)


def test_concurrent_calls_do_not_mix_their_batches(tmp_path: Path, network: bytes) -> None:
    artifact = Artifact(write(tmp_path / "linear.tflite", network))
    expected = artifact.probabilities(IMAGES)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(artifact.probabilities, np.array_split(IMAGES, 20)))
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-6)


def test_the_predictor_accepts_a_litert_artifact(tmp_path: Path, network: bytes) -> None:
    predictor = Predictor(write(tmp_path / "linear.tflite", network))
    (classification,) = predictor.classify(list(IMAGES[:1]))
    assert sum(classification.probabilities.values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("key", METADATA)
def test_a_file_without_one_of_the_metadata_keys_is_refused(tmp_path: Path, network: bytes, key: str) -> None:
    path = write(tmp_path / "linear.tflite", network, **{key: None})
    with pytest.raises(ArtifactError, match=f"has no {key} in its metadata"):
        Artifact(path)


def test_a_changed_file_is_refused(tmp_path: Path, network: bytes) -> None:
    path = write(tmp_path / "linear.tflite", network)
    content = bytearray(path.read_bytes())
    kernel = np.ascontiguousarray(WEIGHTS.T).tobytes()[:64]
    content[content.index(kernel)] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="changed or damaged"):
        Artifact(path)


def test_a_truncated_file_is_refused(tmp_path: Path, network: bytes) -> None:
    """No such file may reach the interpreter, which would follow invalid offsets."""
    content = write(tmp_path / "linear.tflite", network).read_bytes()
    for length in (0, 3, 8, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "short.tflite").write_bytes(content[:length])
        with pytest.raises(ArtifactError, match=r"cannot be loaded|in its metadata|changed or damaged"):
            Artifact(tmp_path / "short.tflite")


def test_other_files_are_refused(tmp_path: Path, network: bytes) -> None:
    (tmp_path / "text.tflite").write_text("text and more text")
    (tmp_path / "bare.tflite").write_bytes(network)
    write(tmp_path / "later.tflite", network, schema=99)
    for name, reason in (
        ("text.tflite", "cannot be loaded as a LiteRT model"),
        ("bare.tflite", "has no schema, name"),
        ("none.tflite", "cannot be read"),
        ("later.tflite", "schema 99"),
    ):
        with pytest.raises(ArtifactError, match=reason):
            Artifact(tmp_path / name)


def test_a_missing_runtime_is_reported(tmp_path: Path, network: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("ai_edge_litert", "tensorflow.lite.python"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"ferlab\[litert\]"):
        Artifact(write(tmp_path / "linear.tflite", network))
