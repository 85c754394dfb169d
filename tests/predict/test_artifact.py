"""ONNX artifacts: their probabilities, and the files that are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ferlab.emotions import EMOTIONS
from ferlab.errors import ArtifactError
from ferlab.predict import Artifact
from ferlab.predict.artifact import METADATA
from ferlab.predict.packaged import packaged_file
from tests.artifacts import endless_artifact, linear_artifact, metadata, write_artifact

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


def rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "pixels"


def rename_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[-1].output[0] = "scores"


def take_smaller_images(model: onnx.ModelProto) -> None:
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[1:3]:
        dimension.dim_value = 24
    model.graph.initializer[0].dims[0] = 24 * 24
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[: 24 * 24 * 7 * 4]


def return_logits(model: onnx.ModelProto) -> None:
    del model.graph.node[-1]
    model.graph.node[-1].output[0] = "probabilities"


def return_no_numbers(model: onnx.ModelProto) -> None:
    weights = model.graph.initializer[0]
    weights.raw_data = np.full(len(weights.raw_data) // 4, np.nan, np.float32).tobytes()


def read_another_file(model: onnx.ModelProto) -> None:
    weights = model.graph.initializer[0]
    Path("weights.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="weights.bin")


def keep(model: onnx.ModelProto) -> None:
    pass


HOSTILE = {
    "another input name": (rename_input, {}, "does not run on faces of 48x48 pixels"),
    "another output name": (rename_output, {}, "does not run on faces of 48x48 pixels"),
    "another input size": (take_smaller_images, {}, "does not run on faces of 48x48 pixels"),
    "logits": (return_logits, {}, "does not return probabilities of its 7 classes"),
    "no numbers": (return_no_numbers, {}, "with the sum nan"),
    "another file": (read_another_file, {}, "cannot be loaded as an ONNX model"),
    "fewer classes": (keep, {"class_names": EMOTIONS[:3]}, "of its 3 classes: expected .*, got"),
    "one class twice": (keep, {"class_names": ("angry",) * 7}, "two or more different names"),
    "control characters": (keep, {"class_names": ("a\x1b[2J", "b")}, "a list of printable names"),
    "a text as classes": (keep, {"class_names": "angry"}, "a list of printable names"),
    "no margin": (keep, {"crop_margin": "wide"}, "crop_margin must be a number"),
    "a huge margin": (keep, {"crop_margin": 1e9}, "crop_margin must be a number"),
    "another target": (keep, {"target": "affectnet"}, "target must be null or one of fer2013, ferplus"),
    "too few shares": (keep, {"class_shares": [0.5, 0.5]}, "class_shares must be null or one number"),
    "a list as protocol": (keep, {"protocol": []}, "protocol must be an object"),
}


@pytest.mark.parametrize(("change", "values", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_models_with_a_right_hash_and_wrong_content_are_refused(
    change: Callable[[onnx.ModelProto], None],
    values: dict[str, Any],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "linear.onnx"
    linear_artifact(path)
    model = onnx.load(path)
    change(model)
    write_artifact(path, model, metadata(**values))
    with pytest.raises(ArtifactError, match=reason):
        Artifact(path)


def test_a_model_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferlab.predict.artifact.TRY_OUT_SECONDS", 0.3)
    endless_artifact(tmp_path / "endless.onnx")
    with pytest.raises(ArtifactError, match=r"endless.onnx did not end within 0.3 s on one face"):
        Artifact(tmp_path / "endless.onnx")


def test_metadata_that_is_not_text_is_a_clear_error(tmp_path: Path) -> None:
    content = bytearray(packaged_file("default").read_bytes())
    start = content.rindex(b"Apache-2.0")
    content[start : start + 2] = b"\xe3\x00"
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="damaged.onnx cannot be loaded as an ONNX model"):
        Artifact(path)
