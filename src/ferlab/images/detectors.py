"""Face detectors. Each subclass of `Detector` is available under its name."""

import logging
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.errors import DetectorError, UnknownNameError
from ferlab.images.detection import SEARCH_SIZE, Detection, Detector, middle_square
from ferlab.images.yunet import MODEL_VARIABLE, YuNet


class Haar(Detector):
    """The Viola-Jones cascade that ships with OpenCV 4. It finds frontal faces only.

    Reference:
        https://doi.org/10.1109/CVPR.2001.990517
    """

    name = "haar"
    MIN_NEIGHBORS = 5  # overlapping hits per face; a lower value finds faces in clothes and flowers
    BOX_SCALE = 0.947  # side of YuNet's box divided by the cascade's, median over FER2013's PublicTest

    def __init__(self) -> None:
        self._per_thread = threading.local()  # a cascade must not be used by two threads at the same time
        self._cascade()

    def _cascade(self) -> Any:
        """Return the cascade of the current thread.

        Raises:
            DetectorError: if this version of OpenCV has no cascades.
        """
        import cv2
        import cv2.data

        if not hasattr(self._per_thread, "cascade"):
            file = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
            if not hasattr(cv2, "CascadeClassifier") or not file.is_file():
                raise DetectorError(
                    f"OpenCV {cv2.__version__} has no Haar cascades. Choose the detector 'yunet', or install OpenCV 4: "
                    "pip install 'opencv-python-headless<5'."
                )
            self._per_thread.cascade = cv2.CascadeClassifier(str(file))
        return self._per_thread.cascade

    def _detect(self, image: np.ndarray) -> list[Detection]:
        import cv2

        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        boxes = self._cascade().detectMultiScale(gray, scaleFactor=1.1, minNeighbors=self.MIN_NEIGHBORS)
        return [self._detection(*(float(value) for value in box)) for box in boxes]

    def _detection(self, left: float, top: float, side: float, _: float) -> Detection:
        inset, side = (1 - self.BOX_SCALE) / 2 * side, self.BOX_SCALE * side
        return Detection(box=(left + inset, top + inset, side, side))


class WholeImage(Detector):
    """Treats the middle square of each image as one face, for images that are already cropped."""

    name = "none"
    whole_image = True

    def detect(self, image: np.ndarray, *, search_size: int = SEARCH_SIZE) -> list[Detection]:
        """Return one face, the middle square of the image."""
        left, top, side = middle_square(image.shape[1], image.shape[0])
        return [Detection(box=(float(left), float(top), float(side), float(side)))]

    def _detect(self, image: np.ndarray) -> list[Detection]:
        return self.detect(image)


def detector_names() -> list[str]:
    """Return the names that `open_detector` accepts: `auto` and the name of each detector."""
    return ["auto", *sorted(detector.name for detector in Detector.__subclasses__())]


def open_detector(name: str = "auto", model: str | Path | None = None, *, threads: int = 0) -> Detector:
    """Open a face detector.

    Args:
        name: `yunet`, `haar`, `none` or `auto`. `auto` uses YuNet; if YuNet cannot be downloaded, it logs a warning and
            uses Haar, unless OpenCV is version 5, which has no Haar cascades.
        model: the YuNet model file; see `YuNet`.
        threads: number of CPU threads per call of YuNet; 0 for all cores.

    Raises:
        DetectorError: if the detector is not available, or `model` is given to a detector without a model file.
        UnknownNameError: if no detector has this name.
    """
    classes = {detector.name: detector for detector in Detector.__subclasses__()}
    if name not in (*classes, "auto"):
        raise UnknownNameError("detector", name, detector_names())
    if name == "yunet":
        return YuNet(model, threads=threads)
    if name != "auto":
        if model:
            raise DetectorError(f"The detector '{name}' has no model file. Remove the file or choose 'yunet'.")
        return classes[name]()
    try:
        return YuNet(model, threads=threads)
    except DetectorError as error:
        if model or os.environ.get(MODEL_VARIABLE):
            raise
        return _fallback(error)


def _fallback(reason: DetectorError) -> Detector:
    """Return Haar with a warning, or raise `reason` if OpenCV has no Haar cascades."""
    try:
        haar = Haar()
    except DetectorError:
        raise reason from None
    logging.getLogger("ferlab").warning(
        "%s Using OpenCV's Haar cascade instead, which finds frontal faces only.", reason
    )
    return haar
