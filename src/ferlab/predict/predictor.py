"""`Predictor`: detect faces and predict their emotions."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.images.crop import CROP_SIDE, crop_face, resize_crop
from ferlab.images.decode import SUFFICIENT_SIDE, Channels, DecodedImage, read_image
from ferlab.images.detectors import Detection, Detector, open_detector
from ferlab.predict.artifact import Artifact
from ferlab.predict.results import Box, Classification, Face


@dataclass(frozen=True, kw_only=True)
class DetectedFaces:
    """The faces of one image, cropped and not yet classified.

    Args:
        detections: the F faces, in pixels of the original image.
        crops: `(F, 48, 48)` uint8.
    """

    detections: list[Detection]
    crops: np.ndarray


class Predictor:
    """Detects faces and predicts their emotions, without Keras.

    Args:
        model: an artifact file, or `default` for the model in the package.
        detector: `auto`, `yunet`, `haar`, or `none` if each image is one face; see `ferlab.images.open_detector`.
        detector_model: the YuNet model file; if None, it is downloaded once.
        threads: number of CPU threads per call; 0 for all cores.

    Raises:
        ArtifactError: if the model file is not a valid artifact.

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
        self._detector_name, self._detector_model = detector, detector_model
        self._per_thread = threading.local()  # detectors are not thread-safe
        self._lock = threading.Lock()

    @property
    def detector(self) -> Detector:
        """The face detector of the current thread, opened on first use.

        Raises:
            DetectorError: if the detector is not available.
            UnknownNameError: if no detector has this name.
        """
        if not hasattr(self._per_thread, "detector"):
            with self._lock:  # resolve `auto` once, so that its warning is logged once
                self._per_thread.detector = open_detector(self._detector_name, self._detector_model)
                self._detector_name = self._per_thread.detector.name
        return self._per_thread.detector

    def predict(self, image: Any, *, channels: Channels = "rgb") -> list[Face]:
        """Predict the emotions of all faces in an image.

        Args:
            image: a path, bytes, a Pillow image or an array; see `ferlab.images.read_image`.
            channels: channel order of an array: `rgb`, or `bgr` as in OpenCV.

        Returns:
            The faces, largest first; an empty list if there are none.

        Raises:
            DetectorError: if the detector is not available.
            ImageError: if the image cannot be read.
        """
        return self.predict_batch([image], channels=channels)[0]

    def predict_batch(self, images: Iterable[Any], *, channels: Channels = "rgb") -> list[list[Face]]:
        """Predict the emotions of all faces in several images.

        All faces are classified together, which is faster than one call of `predict` per image. The arguments and
        errors are those of `predict`.

        Returns:
            The faces of each image, as in `predict`.
        """
        return self.classify_detected([self.detect(image, channels=channels) for image in images])

    def classify(self, crops: Sequence[np.ndarray] | np.ndarray) -> list[Classification]:
        """Predict the emotions of face crops.

        Args:
            crops: uint8 arrays, 0..255, of any size: gray `(H, W)` or `(H, W, 1)`, or RGB `(H, W, 3)`. One call with
                many crops is faster than many calls.

        Returns:
            One classification per crop.

        Raises:
            ImageError: if an array has another shape or dtype.
        """
        faces = np.zeros((len(crops), CROP_SIDE, CROP_SIDE), np.uint8)
        for index, crop in enumerate(crops):
            faces[index] = resize_crop(crop)
        return [Classification(**self._classification(row)) for row in self.artifact.probabilities(faces)]

    def detect(self, image: Any, *, channels: Channels = "rgb") -> DetectedFaces:
        """Detect and crop the faces in an image, without classifying them. This method is thread-safe.

        The arguments and errors are those of `predict`.
        """
        if not isinstance(image, DecodedImage):
            image = read_image(image, channels=channels, sufficient_side=SUFFICIENT_SIDE)
        detections = self.detector.detect(image.pixels)
        if self.detector.whole_image:
            crops = [resize_crop(image.pixels) for _ in detections]
        else:
            margin = float(self.artifact.metadata["crop_margin"])
            crops = [crop_face(image.pixels, detection, margin) for detection in detections]
        return DetectedFaces(
            detections=[detection.scaled(1 / image.scale) for detection in detections],
            crops=np.stack(crops) if crops else np.empty((0, CROP_SIDE, CROP_SIDE), np.uint8),
        )

    def classify_detected(self, images: Sequence[DetectedFaces]) -> list[list[Face]]:
        """Classify the faces of several images in one batch.

        Args:
            images: the result of `detect` for each image.

        Returns:
            The faces of each image, in the same order.
        """
        if not images:
            return []
        rows = iter(self.artifact.probabilities(np.concatenate([image.crops for image in images])))
        return [[self._face(detection, next(rows)) for detection in image.detections] for image in images]

    def _classification(self, probabilities: np.ndarray) -> dict[str, Any]:
        """Return the fields of a `Classification` for probabilities `(K,)`."""
        names = self.artifact.class_names
        return {
            "emotion": names[int(probabilities.argmax())],
            "confidence": float(probabilities.max()),
            "probabilities": dict(zip(names, probabilities.tolist(), strict=True)),
        }

    def _face(self, detection: Detection, probabilities: np.ndarray) -> Face:
        return Face(
            **self._classification(probabilities),
            box=Box(*(round(value) for value in detection.box)),
            detection_score=detection.score,
            landmarks=detection.landmarks,
        )
