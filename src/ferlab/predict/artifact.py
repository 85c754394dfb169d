"""Model artifacts: one file with a network and all that is to be known of it.

An `.onnx` file runs on ONNX Runtime, a `.tflite` file on LiteRT. Both hold, as the metadata that their format provides,
the keys of `METADATA`, each as JSON. The last one, `sha256`, is the hash of the whole file with its own 64 characters
taken as zeros.
"""

import hashlib
import json
import os
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.errors import ArtifactError, MissingExtraError

SCHEMA = 2
METADATA = {
    "schema": "number of this form",
    "name": "of the recipe",
    "class_names": "in the order of the probabilities",
    "crop_margin": "what to add around a detected face, as a share of its side",
    "temperature": "by which the logits are divided",
    "protocol": "which splits it was trained and selected on, with the seed",
    "fingerprints": "of those splits",
    "accuracy": "by split, 0..1, of this very file",
    "licenses": "of code, weights and data",
    "ferlab": "version that wrote the file",
    "sha256": "of the file",
}
SCHEMA_1_NAMES = {"licences": "licenses"}
DEFAULT = Path(__file__).with_name("fernet_s.onnx")
SUFFIXES = (".onnx", ".tflite")
BATCH_SIZE = 128

ForwardFunction = Callable[[np.ndarray], np.ndarray]  # images (N, 48, 48, 1) float32, 0..255, to probabilities (N, K)


class Artifact:
    """A network in a file, ready to answer.

    Args:
        path: the file, or `default` for the one in the package.
        threads: processor threads for one call; 0 for all cores.

    Attributes:
        class_names: the K classes.
        metadata: what the file says of itself: see `METADATA`.
        forward: the network itself, from images `(N, 48, 48, 1)` float32, 0..255, to probabilities `(N, K)`.

    Raises:
        ArtifactError: if the file is missing, is no model, lacks metadata, or is not the one that its hash tells.
        MissingExtraError: if it is a `.tflite` file, and nothing is installed that runs it.
    """

    def __init__(self, path: str | Path = "default", *, threads: int = 0) -> None:
        self.path = DEFAULT if str(path) == "default" else Path(path)
        load = _load_litert if self.path.suffix == ".tflite" else _load_onnx
        self.metadata, self.forward = load(self.path, _read(self.path), threads)
        self.class_names = tuple(self.metadata["class_names"])

    def probabilities(self, images: np.ndarray, batch_size: int = BATCH_SIZE) -> np.ndarray:
        """What the network makes of faces.

        Args:
            images: `(N, 48, 48)` uint8, 0..255.
            batch_size: images at a time.

        Returns:
            `(N, K)` float32, each row summing to 1.

        Raises:
            ArtifactError: if the images are not of that form.
        """
        if images.dtype != np.uint8 or images.shape[1:] != (48, 48):
            raise ArtifactError(f"Images must be (N, 48, 48) uint8, not {images.shape} {images.dtype}.")
        answers = [np.empty((0, len(self.class_names)), np.float32)]
        for start in range(0, len(images), batch_size):
            answers.append(self.forward(images[start : start + batch_size, ..., None].astype(np.float32)))
        return np.concatenate(answers)


def digest(content: bytes, stated: str) -> str:
    """The SHA-256 of an artifact's content, with the hash that it states taken as zeros."""
    return hashlib.sha256(content.replace(stated.encode(), b"0" * len(stated))).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read: {error.strerror}. Give an .onnx or .tflite file of `ferlab export`."
        ) from None


def _load_onnx(path: Path, content: bytes, threads: int) -> tuple[dict[str, Any], ForwardFunction]:
    """The metadata of an ONNX model, and what answers."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors alone
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base class but this
        raise ArtifactError(f"{path} cannot be loaded as an ONNX model: {str(error).splitlines()[0]}") from error
    metadata = _checked(path, content, session.get_modelmeta().custom_metadata_map)
    return metadata, lambda images: session.run(["probabilities"], {"images": images})[0]


def _load_litert(path: Path, content: bytes, threads: int) -> tuple[dict[str, Any], ForwardFunction]:
    """The metadata of a LiteRT model, and what answers.

    The hash comes first: the interpreter trusts the offsets in a file, and a damaged one could end the process.
    """
    interpreter_module, schema = import_litert()
    try:
        metadata = _checked(path, content, _stored_in_litert(content, schema))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # TensorFlow says that its interpreter has moved to LiteRT
            interpreter = interpreter_module.Interpreter(
                model_content=content, num_threads=threads or os.cpu_count() or 1
            )
        run = interpreter.get_signature_runner()
        run(images=np.zeros((1, 48, 48, 1), np.float32))
    except ArtifactError:
        raise
    except Exception as error:  # whatever comes of offsets that lead nowhere
        reason = (str(error).splitlines() or [""])[0]
        raise ArtifactError(f"{path} cannot be loaded as a LiteRT model: {reason}") from error
    lock = threading.Lock()  # an interpreter holds one batch at a time

    def forward(images: np.ndarray) -> np.ndarray:
        with lock:
            return run(images=images)["probabilities"]

    return metadata, forward


def import_litert() -> tuple[Any, Any]:
    """The modules of LiteRT that run a file and that read it: from the package `ai-edge-litert`, else from TensorFlow.

    Raises:
        MissingExtraError: if neither is installed.
    """
    try:
        from ai_edge_litert import interpreter, schema_py_generated
    except ImportError:
        try:
            from tensorflow.lite.python import interpreter, schema_py_generated
        except ImportError:
            raise MissingExtraError("litert", "ai_edge_litert") from None
    return interpreter, schema_py_generated


def _stored_in_litert(content: bytes, schema: Any) -> dict[str, str]:
    """What the entries of a LiteRT model's metadata hold that are ours."""
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise ValueError("it does not begin as one.")
    model = schema.Model.GetRootAs(content)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    buffers = {entry.Name().decode(): model.Buffers(entry.Buffer()) for entry in entries}
    known = [key for key in buffers if key in METADATA or key in SCHEMA_1_NAMES]
    return {key: buffers[key].DataAsNumpy().tobytes().decode() for key in known}


def _checked(path: Path, content: bytes, stored: Mapping[str, str]) -> dict[str, Any]:
    """The metadata, where it is complete and the file is the one that it describes."""
    metadata = _metadata(path, stored)
    stated = str(metadata["sha256"])
    if digest(content, stated) != stated:
        raise ArtifactError(f"{path} was changed or damaged: it is not the file that its metadata describes.")
    return metadata


def _metadata(path: Path, stored: Mapping[str, str]) -> dict[str, Any]:
    stored = {SCHEMA_1_NAMES.get(key, key): value for key, value in stored.items()}
    if missing := [key for key in METADATA if key not in stored]:
        raise ArtifactError(
            f"{path} has no {', '.join(missing)} in its metadata: it was not written by `ferlab export`."
        )
    try:
        metadata = {key: json.loads(stored[key]) for key in METADATA}
    except ValueError:
        raise ArtifactError(f"{path} has metadata that is not JSON. Export the model again.") from None
    if metadata["schema"] not in (1, SCHEMA):
        raise ArtifactError(
            f"{path} has schema {metadata['schema']}, and this version of ferlab reads 1 to {SCHEMA}. Update ferlab."
        )
    protocol = metadata["protocol"]
    if isinstance(protocol.get("selected_on"), str):  # schema 1
        protocol["selected_on"] = protocol["selected_on"].split("+")
    return metadata
