"""Model artefacts: one ONNX file with a network and all that is to be known of it.

The file's metadata holds, each as JSON, the keys of `METADATA`. The last one, `sha256`, is the hash of the whole file
with its own 64 characters taken as zeros.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.errors import ArtefactError

SCHEMA = 1
METADATA = {
    "schema": "number of this form",
    "name": "of the recipe",
    "class_names": "in the order of the probabilities",
    "crop_margin": "what to add around a detected face, as a share of its side",
    "temperature": "by which the logits are divided",
    "protocol": "which splits it was trained and selected on, with the seed",
    "fingerprints": "of those splits",
    "accuracy": "by split, 0..1, of this very file",
    "licences": "of code, weights and data",
    "ferlab": "version that wrote the file",
    "sha256": "of the file",
}
DEFAULT = Path(__file__).with_name("fernet_s.onnx")
BATCH_SIZE = 128


class Artefact:
    """A network in a file, ready to answer.

    Args:
        path: the file, or `default` for the one in the package.
        threads: processor threads for one call; 0 for all cores.

    Attributes:
        class_names: the K classes.
        metadata: what the file says of itself: see `METADATA`.

    Raises:
        ArtefactError: if the file is missing, is no ONNX model, lacks metadata, or is not the one that its hash tells.
    """

    def __init__(self, path: str | Path = "default", *, threads: int = 0) -> None:
        self.path = DEFAULT if str(path) == "default" else Path(path)
        content = _read(self.path)
        self._session = _start(self.path, content, threads)
        self.metadata = _metadata(self.path, self._session.get_modelmeta().custom_metadata_map)
        stated = str(self.metadata["sha256"])
        if digest(content, stated) != stated:
            raise ArtefactError(f"{self.path} was changed or damaged: it is not the file that its metadata describes.")
        self.class_names = tuple(self.metadata["class_names"])

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """What the network makes of faces.

        Args:
            images: `(N, 48, 48)` uint8, 0..255.

        Returns:
            `(N, K)` float32, each row summing to 1.

        Raises:
            ArtefactError: if the images are not of that form.
        """
        if images.dtype != np.uint8 or images.shape[1:] != (48, 48):
            raise ArtefactError(f"Images must be (N, 48, 48) uint8, not {images.shape} {images.dtype}.")
        answers = [np.empty((0, len(self.class_names)), np.float32)]
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE, ..., None].astype(np.float32)
            answers.append(self._session.run(["probabilities"], {"images": batch})[0])
        return np.concatenate(answers)


def digest(content: bytes, stated: str) -> str:
    """The SHA-256 of an artefact's content, with the hash that it states taken as zeros."""
    return hashlib.sha256(content.replace(stated.encode(), b"0" * len(stated))).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(
            f"{path} cannot be read: {error.strerror}. Give an .onnx file of `ferlab export`."
        ) from None


def _start(path: Path, content: bytes, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors alone
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base class but this
        raise ArtefactError(f"{path} cannot be loaded as an ONNX model: {str(error).splitlines()[0]}") from error


def _metadata(path: Path, stored: dict[str, str]) -> dict[str, Any]:
    if missing := [key for key in METADATA if key not in stored]:
        raise ArtefactError(f"{path} does not say its {', '.join(missing)}: it is no artefact of `ferlab export`.")
    try:
        metadata = {key: json.loads(stored[key]) for key in METADATA}
    except ValueError:
        raise ArtefactError(f"{path} has metadata that cannot be read. Export the model again.") from None
    if metadata["schema"] != SCHEMA:
        raise ArtefactError(f"{path} has schema {metadata['schema']}, and this version of ferlab reads {SCHEMA}.")
    return metadata
