"""`Predictor`: emotions of faces."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferlab.errors import FerlabError
from ferlab.predict.artefact import Artefact

SIDE = 48  # pixels of the network's input


@dataclass(frozen=True, kw_only=True)
class Classification:
    """What a face shows: the most probable class, its probability 0..1, and the probabilities of all classes."""

    emotion: str
    confidence: float
    probabilities: dict[str, float]


class Predictor:
    """Tells the emotions of faces, with ONNX Runtime alone.

    Args:
        model: an artefact, or `default` for the one in the package.
        threads: processor threads for one call; 0 for all cores.

    Raises:
        ArtefactError: if the file is no sound artefact.

    Example:
        >>> face = np.zeros((48, 48), np.uint8)
        >>> [answer] = Predictor().classify([face])
        >>> round(sum(answer.probabilities.values()), 3)
        1.0
    """

    def __init__(self, model: str | Path = "default", *, threads: int = 0) -> None:
        self.artefact = Artefact(model, threads=threads)

    def classify(self, crops: Sequence[np.ndarray] | np.ndarray) -> list[Classification]:
        """Classifies pictures that hold one face each, and little else.

        Args:
            crops: uint8 arrays, 0..255, of any size: grey `(H, W)` or `(H, W, 1)`, or RGB `(H, W, 3)`. Many at once
                are answered faster than one by one.

        Returns:
            One answer for each.

        Raises:
            FerlabError: if an array is of another form.
        """
        faces = np.zeros((len(crops), SIDE, SIDE), np.uint8)
        for index, crop in enumerate(crops):
            faces[index] = prepare(crop)
        names = self.artefact.class_names
        return [
            Classification(
                emotion=names[row.argmax()],
                confidence=float(row.max()),
                probabilities=dict(zip(names, row.tolist(), strict=True)),
            )
            for row in self.artefact.probabilities(faces)
        ]


def prepare(crop: np.ndarray) -> np.ndarray:
    """Makes a grey picture `(48, 48)` uint8 of a face's crop, grey or RGB, of any size.

    Raises:
        FerlabError: if the array is no such picture.
    """
    if crop.dtype != np.uint8 or crop.ndim not in (2, 3) or not crop.size or crop.shape[2:] not in ((), (1,), (3,)):
        raise FerlabError(f"A crop must be (H, W), (H, W, 1) or (H, W, 3) uint8, not {crop.shape} {crop.dtype}.")
    if crop.shape[:2] == (SIDE, SIDE) and crop.shape[2:] != (3,):
        return crop.reshape(SIDE, SIDE)
    import cv2

    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.shape[2:] == (3,) else crop.reshape(crop.shape[:2])
    shrinks = min(grey.shape) > SIDE
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
