"""Model artifacts: one file that holds a model and its metadata.

An `.onnx` file runs on ONNX Runtime, a `.tflite` file on LiteRT. The metadata section of the file holds the keys of
`METADATA`, each value encoded as JSON. The last key, `sha256`, is the hash of the whole file, computed with zeros in
place of its own 64 characters.
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

from ferlab.emotions import Target
from ferlab.errors import ArtifactError, MissingExtraError
from ferlab.files import read_file, shown
from ferlab.limits import MAX_MODEL_BYTES
from ferlab.onnx_session import ends_within, open_session
from ferlab.predict.packaged import DEFAULT_MODEL, NAMES, packaged_file, packaged_name

SCHEMA = 3
METADATA = {
    "schema": "version of this list of keys",
    "name": "name of the recipe",
    "class_names": "class names, in the order of the probabilities",
    "target": "what it learned from images of FER2013: fer2013 or ferplus; null for other images",
    "class_shares": "shares of the classes in the training images, 0..1; null if unknown",
    "crop_margin": "extra space around a detected face, as a fraction of its side",
    "temperature": "divisor of the logits",
    "protocol": "training and selection splits, and the seed",
    "fingerprints": "fingerprints of those splits",
    "accuracy": "accuracy of this file by split, 0..1",
    "licenses": "licenses of code, weights and data",
    "ferlab": "version of ferlab that wrote the file",
    "sha256": "hash of the file",
}
SCHEMA_1_NAMES = {"licences": "licenses"}
SINCE_SCHEMA_3 = ("target", "class_shares")  # unknown in earlier files
SUFFIXES = (".onnx", ".tflite")
BATCH_SIZE = 128
SUM_TOLERANCE = 0.01  # of the probabilities of a face
TRY_OUT_SECONDS = 60.0  # for one face; the largest recipe needs about 1 s on one core
MAX_MARGIN = 2.0  # crop margins beyond this are not meaningful

# From images (N, 48, 48, 1) float32, 0..255, to probabilities (N, K) float32.
ForwardFunction = Callable[[np.ndarray], np.ndarray]


class Artifact:
    """A model loaded from an `.onnx` or `.tflite` file.

    Args:
        path: the file, or the name of a network in the package; see `ferlab.predict.packaged`.
        threads: number of CPU threads per call; 0 for all cores.

    Attributes:
        path: the file.
        class_names: names of the K classes.
        metadata: the metadata of the file; see `METADATA`.
        forward: function from images `(N, 48, 48, 1)` float32, 0..255, to probabilities `(N, K)` float32. Use
            `probabilities` unless you need the model without checks and batching.

    Raises:
        ArtifactError: if the file is missing, is not a model, lacks metadata, does not match its hash, refers to other
            files, does not end, or does not return probabilities of its classes.
        MissingExtraError: if it is a `.tflite` file and no LiteRT runtime is installed.
    """

    def __init__(self, path: str | Path = DEFAULT_MODEL, *, threads: int = 0) -> None:
        self.path = packaged_file(path) or Path(path)
        load = _load_litert if self.path.suffix == ".tflite" else _load_onnx
        self.metadata, self.forward = load(self.path, _read(self.path), threads)
        self.class_names = tuple(self.metadata["class_names"])
        self._try_out()

    @property
    def name(self) -> str:
        """The name of a network in the package; of another model, that of the recipe it was trained with."""
        return packaged_name(self.path) or str(self.metadata["name"])

    def _try_out(self) -> None:
        """Check the input and output of the model, which its metadata does not prove."""
        try:
            output = self.forward(np.zeros((1, 48, 48, 1), np.float32))
        except Exception as error:  # the exceptions of ONNX Runtime have no other common base class
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ArtifactError(f"{self.path} does not run on faces of 48x48 pixels: {reason}") from error
        expected = (1, len(self.class_names))
        if output.shape != expected or not abs(float(output.sum()) - 1) < SUM_TOLERANCE:
            raise ArtifactError(
                f"{self.path} does not return probabilities of its {len(self.class_names)} classes: expected "
                f"{expected} with the sum 1, got {output.shape} with the sum {float(output.sum()):g}."
            )

    def probabilities(self, images: np.ndarray, batch_size: int = BATCH_SIZE) -> np.ndarray:
        """Predict the class probabilities of face crops.

        Args:
            images: `(N, 48, 48)` uint8, 0..255.
            batch_size: number of images per call of the model.

        Returns:
            `(N, K)` float32, each row summing to 1.

        Raises:
            ArtifactError: if the images have another shape or dtype, or a probability is not a number.
        """
        if images.dtype != np.uint8 or images.shape[1:] != (48, 48):
            raise ArtifactError(f"Images must be (N, 48, 48) uint8, got {images.shape} {images.dtype}.")
        batches = [np.empty((0, len(self.class_names)), np.float32)]
        for start in range(0, len(images), batch_size):
            batches.append(self.forward(images[start : start + batch_size, ..., None].astype(np.float32)))
        probabilities = np.concatenate(batches)
        if not np.isfinite(probabilities).all():
            raise ArtifactError(f"{self.path} returned probabilities that are not numbers. The model is damaged.")
        return probabilities


def digest(content: bytes, stated: str) -> str:
    """Compute the SHA-256 of an artifact, with zeros in place of the hash it states.

    Args:
        content: the bytes of the file.
        stated: the hash in its metadata, 64 characters.
    """
    return hashlib.sha256(content.replace(stated.encode(), b"0" * len(stated))).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return read_file(path, MAX_MODEL_BYTES)
    except OSError as error:
        raise ArtifactError(
            f"{shown(path)} cannot be read: {error.strerror}. Pass a network in the package ({NAMES}), or an .onnx or "
            ".tflite file written by `ferlab export`."
        ) from None


def _load_onnx(path: Path, content: bytes, threads: int) -> tuple[dict[str, Any], ForwardFunction]:
    """Load an ONNX model. Returns its metadata and its forward function."""
    try:
        session = open_session(content, threads)
        texts = session.get_modelmeta().custom_metadata_map  # may not be UTF-8
    except Exception as error:  # the exceptions of ONNX Runtime have no other common base class
        raise ArtifactError(f"{path} cannot be loaded as an ONNX model: {str(error).splitlines()[0]}") from error
    metadata = _check(path, content, texts)
    if not ends_within(session, {"images": np.zeros((1, 48, 48, 1), np.float32)}, TRY_OUT_SECONDS):
        raise ArtifactError(f"{path} did not end within {TRY_OUT_SECONDS:g} s on one face. Its model may never end.")
    return metadata, lambda images: session.run(["probabilities"], {"images": images})[0]


def _load_litert(path: Path, content: bytes, threads: int) -> tuple[dict[str, Any], ForwardFunction]:
    """Load a LiteRT model. Returns its metadata and its forward function.

    The hash is checked first, because the interpreter trusts the offsets in the file: a damaged file could crash the
    process.
    """
    interpreter_module, schema = import_litert()
    try:
        metadata = _check(path, content, _litert_metadata(content, schema))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # TensorFlow: the interpreter has moved to LiteRT
            interpreter = interpreter_module.Interpreter(
                model_content=content, num_threads=threads or os.cpu_count() or 1
            )
        run = interpreter.get_signature_runner()
        run(images=np.zeros((1, 48, 48, 1), np.float32))
    except ArtifactError:
        raise
    except Exception as error:  # invalid offsets raise any kind of exception
        reason = (str(error).splitlines() or [""])[0]
        raise ArtifactError(f"{path} cannot be loaded as a LiteRT model: {reason}") from error
    lock = threading.Lock()  # an interpreter is not thread-safe

    def forward(images: np.ndarray) -> np.ndarray:
        with lock:
            return run(images=images)["probabilities"]

    return metadata, forward


def import_litert() -> tuple[Any, Any]:
    """Import LiteRT's interpreter and its file schema, from `ai-edge-litert` or else from TensorFlow.

    Returns:
        The modules `interpreter` and `schema_py_generated`.

    Raises:
        MissingExtraError: if neither package is installed.
    """
    try:
        from ai_edge_litert import interpreter, schema_py_generated
    except ImportError:
        try:
            from tensorflow.lite.python import interpreter, schema_py_generated
        except ImportError:
            raise MissingExtraError("litert", "ai_edge_litert") from None
    return interpreter, schema_py_generated


def _litert_metadata(content: bytes, schema: Any) -> dict[str, str]:
    """Read the metadata entries that ferlab wrote into a LiteRT model."""
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise ValueError("it does not start with the identifier of the format.")
    model = schema.Model.GetRootAs(content)
    entries = [model.Metadata(index) for index in range(model.MetadataLength())]
    buffers = {entry.Name().decode(): model.Buffers(entry.Buffer()) for entry in entries}
    known = [key for key in buffers if key in METADATA or key in SCHEMA_1_NAMES]
    return {key: buffers[key].DataAsNumpy().tobytes().decode() for key in known}


def _check(path: Path, content: bytes, stored: Mapping[str, str]) -> dict[str, Any]:
    """Decode the metadata, and check that it is complete and that the file matches its hash."""
    metadata = _decode_metadata(path, stored)
    stated = str(metadata["sha256"])
    if digest(content, stated) != stated:
        raise ArtifactError(
            f"{path} was changed or damaged: its SHA-256 does not match its metadata. Export the model again."
        )
    return metadata


def _decode_metadata(path: Path, stored: Mapping[str, str]) -> dict[str, Any]:
    stored = {SCHEMA_1_NAMES.get(key, key): value for key, value in stored.items()}
    if stored.get("schema") in ("1", "2"):
        stored |= dict.fromkeys(SINCE_SCHEMA_3, "null")
    if missing := [key for key in METADATA if key not in stored]:
        raise ArtifactError(
            f"{path} has no {', '.join(missing)} in its metadata: it was not written by `ferlab export`."
        )
    try:
        metadata = {key: json.loads(stored[key]) for key in METADATA}
    except ValueError:
        raise ArtifactError(f"{path} has metadata that is not JSON. Export the model again.") from None
    if problem := _problem(metadata):
        raise ArtifactError(f"{path} has invalid metadata: {problem}. Export the model again.")
    if metadata["schema"] not in range(1, SCHEMA + 1):
        raise ArtifactError(
            f"{path} has schema {metadata['schema']}, but this version of ferlab reads 1 to {SCHEMA}. Update ferlab."
        )
    protocol = metadata["protocol"]
    if isinstance(protocol.get("selected_on"), str):  # schema 1
        protocol["selected_on"] = protocol["selected_on"].split("+")
    return metadata


def _problem(metadata: Mapping[str, Any]) -> str | None:
    """Describe what is wrong with the types of metadata, if anything."""
    names, margin = metadata["class_names"], metadata["crop_margin"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isprintable() for name in names):
        return "class_names must be a list of printable names"
    if len(names) < 2 or len(set(names)) < len(names):
        return "class_names must be two or more different names"
    if not isinstance(margin, int | float) or not abs(margin) <= MAX_MARGIN:
        return f"crop_margin must be a number between -{MAX_MARGIN:g} and {MAX_MARGIN:g}"
    if metadata["target"] not in (None, *Target):
        return f"target must be null or one of {', '.join(Target)}"
    if not _are_shares(metadata["class_shares"], len(names)):
        return "class_shares must be null or one number between 0 and 1 for each class"
    for key in ("protocol", "fingerprints", "accuracy"):
        if not isinstance(metadata[key], dict):
            return f"{key} must be an object"
    return None


def _are_shares(shares: Any, number: int) -> bool:
    """Return whether these are the shares of classes, or unknown."""
    if shares is None:
        return True
    numbers = isinstance(shares, list) and all(isinstance(share, int | float) for share in shares)
    return numbers and len(shares) == number and all(0 <= share <= 1 for share in shares)
