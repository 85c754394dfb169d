"""`Predictor`: emotions of faces."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.images.crop import CROP_SIDE, crop_face, resize_crop
from ferlab.images.decode import Channels, DecodedImage, read_image
from ferlab.images.detectors import Detection, Detector, open_detector
from ferlab.predict.artifact import Artifact
from ferlab.predict.results import Box, Classification, Face

SUFFICIENT_SIDE = 1280  # pixels of the longer side of a decoded photograph: twice what faces are searched in


@dataclass(frozen=True, kw_only=True)
class Found:
    """The faces of one picture, cut out and not yet classified.

    Attributes:
        detections: in pixels of the original.
        crops: `(F, 48, 48)` uint8.
    """

    detections: list[Detection]
    crops: np.ndarray


class Predictor:
    """Finds faces and tells their emotions, by ONNX Runtime and OpenCV.

    Args:
        model: an artifact, or `default` for the one in the package.
        detector: `auto`, `yunet`, `haar`, or `none` where each picture is one face; see `ferlab.images.detectors`.
        detector_model: the file of YuNet, where it is not to be fetched.
        threads: processor threads for one call; 0 for all cores.

    Raises:
        ArtifactError: if the file is no sound artifact.

    Example:
        >>> predictor = Predictor(detector="none")
        >>> [face] = predictor.predict(np.zeros((48, 48), np.uint8))
        >>> round(sum(face.probabilities.values()), 3)
        1.0
        >>> face.box
        Box(x=0, y=0, width=48, height=48)
    """

    def __init__(
        self,
        model: str | Path = "default",
        detector: str = "auto",
        *,
        detector_model: str | Path | None = None,
        threads: int = 0,
    ) -> None:
        self.artifact = Artifact(model, threads=threads)
        self._choice = (detector, detector_model)
        self._own = threading.local()  # a detector serves one thread
        self._lock = threading.Lock()

    @property
    def detector(self) -> Detector:
        """The face detector of this thread, opened when it is first asked for.

        Raises:
            DetectorError: if it cannot be had.
            UnknownNameError: if there is no such detector.
        """
        if not hasattr(self._own, "detector"):
            with self._lock:  # what `auto` comes to is found out, and said, once
                self._own.detector = open_detector(*self._choice)
                self._choice = (self._own.detector.name, self._choice[1])
        return self._own.detector

    def predict(self, image: Any, *, channels: Channels = "rgb") -> list[Face]:
        """Tells the emotions of all faces in a picture.

        Args:
            image: a path, bytes, a Pillow image or an array, as in `ferlab.images.decode.read_image`.
            channels: the order of colors in an array: `rgb`, or `bgr` as OpenCV has them.

        Returns:
            The faces, the largest first; an empty list where there is none.

        Raises:
            DetectorError: if the detector cannot be had.
            ImageError: if the picture cannot be read.
        """
        return self.predict_batch([image], channels=channels)[0]

    def predict_batch(self, images: Iterable[Any], *, channels: Channels = "rgb") -> list[list[Face]]:
        """Tells the emotions of all faces in many pictures. All faces are classified in one go, which is faster.

        Args and errors are those of `predict`.

        Returns:
            The faces of each picture, as in `predict`.
        """
        return self.classify_found([self.find(image, channels=channels) for image in images])

    def classify(self, crops: Sequence[np.ndarray] | np.ndarray) -> list[Classification]:
        """Classifies pictures that hold one face each, and little else.

        Args:
            crops: uint8 arrays, 0..255, of any size: gray `(H, W)` or `(H, W, 1)`, or RGB `(H, W, 3)`. Many at once
                are answered faster than one by one.

        Returns:
            One answer for each.

        Raises:
            ImageError: if an array is of another form.
        """
        faces = np.zeros((len(crops), CROP_SIDE, CROP_SIDE), np.uint8)
        for index, crop in enumerate(crops):
            faces[index] = resize_crop(crop)
        return [Classification(**self.judged(row)) for row in self.artifact.probabilities(faces)]

    def find(self, image: Any, *, channels: Channels = "rgb") -> Found:
        """Finds the faces of a picture and cuts them out, without the network. Threads may call it at once.

        Args and errors are those of `predict`.
        """
        picture = (
            image
            if isinstance(image, DecodedImage)
            else read_image(image, channels=channels, sufficient_side=SUFFICIENT_SIDE)
        )
        detections = self.detector.detect(picture.pixels)
        if self.detector.framed:
            crops = [resize_crop(picture.pixels) for _ in detections]
        else:
            margin = float(self.artifact.metadata["crop_margin"])
            crops = [crop_face(picture.pixels, detection, margin) for detection in detections]
        return Found(
            detections=[detection.scaled(1 / picture.scale) for detection in detections],
            crops=np.stack(crops) if crops else np.empty((0, CROP_SIDE, CROP_SIDE), np.uint8),
        )

    def classify_found(self, pictures: Sequence[Found]) -> list[list[Face]]:
        """Classifies the faces of many pictures in one go.

        Args:
            pictures: what `find` gave for each.

        Returns:
            The faces of each, in the same order.
        """
        if not pictures:
            return []
        rows = iter(self.artifact.probabilities(np.concatenate([found.crops for found in pictures])))
        return [[self._face(detection, next(rows)) for detection in found.detections] for found in pictures]

    def judged(self, probabilities: np.ndarray) -> dict[str, Any]:
        """The fields of a `Classification` for probabilities `(K,)`."""
        names = self.artifact.class_names
        return {
            "emotion": names[int(probabilities.argmax())],
            "confidence": float(probabilities.max()),
            "probabilities": dict(zip(names, probabilities.tolist(), strict=True)),
        }

    def _face(self, detection: Detection, probabilities: np.ndarray) -> Face:
        return Face(
            **self.judged(probabilities),
            box=Box(*(round(value) for value in detection.box)),
            detection_score=detection.score,
            landmarks=detection.landmarks,
        )
