"""Face detectors. A subclass of `Detector` is one more choice, by its name."""

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from ferlab.errors import DetectorError, UnknownNameError

SEARCH_SIDE = 640  # pixels: larger pictures are searched in a copy with this longer side
SMALLEST_SIDE = 192  # pixels: smaller pictures are searched in a copy with this longer side
MODEL_VARIABLE = "FERLAB_DETECTOR_MODEL"
YUNET_URL = (
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2026may.onnx"
)
YUNET_SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
TIMEOUT = 10  # seconds to wait for a server

Point = tuple[float, float]  # x from the left, y from the top, in pixels


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Where a face is.

    Attributes:
        box: left, top, width and height in pixels; it may reach outside the picture.
        score: 0..1, how sure the detector is; None where it does not say.
        landmarks: by name, as seen on the person: `right_eye, left_eye, nose, mouth_right, mouth_left`; or None.
    """

    box: tuple[float, float, float, float]
    score: float | None = None
    landmarks: dict[str, Point] | None = None

    def scaled(self, factor: float) -> "Detection":
        """The same face in a picture that is so many times as large."""
        left, top, width, height = (factor * value for value in self.box)
        points = self.landmarks and {name: (factor * x, factor * y) for name, (x, y) in self.landmarks.items()}
        return replace(self, box=(left, top, width, height), landmarks=points)


class Detector(ABC):
    """Finds faces. One object serves one thread at a time."""

    name: ClassVar[str]
    framed: ClassVar[bool] = False  # whether its boxes are what the network is to see, with nothing to add

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Finds the faces of a picture.

        Args:
            image: `(H, W, 3)` uint8, RGB, of any size. Very large and very small ones are searched in a scaled copy.

        Returns:
            Faces in pixels of `image`, the largest first.
        """
        import cv2

        longer = max(image.shape[:2])
        factor = min(1.0, SEARCH_SIDE / longer) if longer > SMALLEST_SIDE else SMALLEST_SIDE / longer
        height, width = (max(1, round(factor * side)) for side in image.shape[:2])
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        searched = image if factor == 1 else cv2.resize(image, (width, height), interpolation=how)
        found = [detection.scaled(1 / factor) for detection in self._find(searched)]
        return sorted(found, key=lambda detection: -detection.box[2] * detection.box[3])

    @abstractmethod
    def _find(self, image: np.ndarray) -> list[Detection]:
        """Finds the faces of a picture of moderate size."""


class YuNet(Detector):
    """The detector of OpenCV's model zoo (https://doi.org/10.1007/s11633-023-1423-y), for faces at any angle.

    Args:
        model: its file, `face_detection_yunet_*.onnx`; None for the one that `$FERLAB_DETECTOR_MODEL` names, or else
            one that is fetched once and kept in the user's cache.

    Raises:
        DetectorError: if the file is missing, is no such detector, or cannot be fetched.
    """

    name = "yunet"
    POINTS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
    THRESHOLD = 0.6  # of its score: tight FER2013 crops are found in 98 of 100 cases, and no face in what shows none
    OVERLAP = 0.3  # of two boxes that are taken for one face
    SMALLEST = 10  # pixels of a side that it can search

    def __init__(self, model: str | Path | None = None) -> None:
        import cv2

        path = yunet_file(model)
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), self.THRESHOLD, self.OVERLAP)
            self._find(np.zeros((64, 64, 3), np.uint8))  # another network fails only when it is asked
        except (cv2.error, ValueError, IndexError):
            raise DetectorError(f"{path} is no YuNet face detector that OpenCV can read.") from None

    def _find(self, image: np.ndarray) -> list[Detection]:
        height, width = image.shape[:2]
        if min(height, width) < self.SMALLEST:
            return []
        self._network.setInputSize((width, height))
        _, rows = self._network.detect(np.ascontiguousarray(image[..., ::-1]))
        return [self._detection(row.tolist()) for row in (rows if rows is not None else [])]

    def _detection(self, row: list[float]) -> Detection:
        points = dict(zip(self.POINTS, zip(row[4:14:2], row[5:14:2], strict=True), strict=True))
        return Detection(box=(row[0], row[1], row[2], row[3]), score=min(1.0, row[14]), landmarks=points)


class Haar(Detector):
    """Viola and Jones's cascade (https://doi.org/10.1109/CVPR.2001.990517), which OpenCV brings: for frontal faces."""

    name = "haar"
    NEIGHBORS = 5  # overlapping hits that make a face; fewer find faces in clothes and flowers
    EXTENT = 0.947  # YuNet's mean side for each side of the cascade's square, median over FER2013's PublicTest

    def __init__(self) -> None:
        import cv2
        import cv2.data

        self._cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def _find(self, image: np.ndarray) -> list[Detection]:
        import cv2

        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        found = self._cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=self.NEIGHBORS)
        return [self._detection(*(float(value) for value in box)) for box in found]

    def _detection(self, left: float, top: float, side: float, _: float) -> Detection:
        inset, side = (1 - self.EXTENT) / 2 * side, self.EXTENT * side
        return Detection(box=(left + inset, top + inset, side, side))


class WholeImage(Detector):
    """Takes the picture for the face: for crops that somebody else has cut."""

    name = "none"
    framed = True

    def detect(self, image: np.ndarray) -> list[Detection]:
        """One face, as large as the picture."""
        height, width = image.shape[:2]
        return [Detection(box=(0.0, 0.0, float(width), float(height)))]

    def _find(self, image: np.ndarray) -> list[Detection]:
        return self.detect(image)


def detector_names() -> list[str]:
    """What `open_detector` takes: `auto` and the name of each detector."""
    return ["auto", *sorted(detector.name for detector in Detector.__subclasses__())]


def open_detector(name: str = "auto", model: str | Path | None = None) -> Detector:
    """Opens a face detector.

    Args:
        name: of a detector; or `auto` for YuNet and, where that cannot be fetched, Haar, with a warning in the log.
        model: YuNet's file, as in `YuNet`.

    Raises:
        DetectorError: if it cannot be had, or a model is given to one that takes none.
        UnknownNameError: if there is no such detector.
    """
    classes = {detector.name: detector for detector in Detector.__subclasses__()}
    if name not in (*classes, "auto"):
        raise UnknownNameError("detector", name, detector_names())
    if name == "yunet":
        return YuNet(model)
    if name != "auto":
        if model:
            raise DetectorError(f"The detector '{name}' takes no model file: leave it out, or choose yunet.")
        return classes[name]()
    try:
        return YuNet(model)
    except DetectorError as error:
        if model or os.environ.get(MODEL_VARIABLE):
            raise
        logging.getLogger("ferlab").warning(
            "%s Faces are looked for by OpenCV's Haar cascade instead, which finds frontal ones alone.", error
        )
        return Haar()


def yunet_file(model: str | Path | None = None) -> Path:
    """YuNet's file: the given one, the environment's, or the cached one, which is fetched where it is missing.

    Raises:
        DetectorError: if there is none.
    """
    import platformdirs

    if given := model or os.environ.get(MODEL_VARIABLE):
        if not Path(given).is_file():
            raise DetectorError(f"{given} does not exist: it is to be the file of the YuNet face detector.")
        return Path(given)
    path = platformdirs.user_cache_path("ferlab") / YUNET_URL.rsplit("/", 1)[1]
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != YUNET_SHA256:
        _fetch(path)
    return path


def _fetch(path: Path) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            YUNET_URL,
            known_hash=f"sha256:{YUNET_SHA256}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
        )
    except (OSError, ValueError) as error:  # no network, or another file than the known one
        raise DetectorError(
            f"The face detector YuNet could not be fetched from {YUNET_URL} ({type(error).__name__}). "
            f"Fetch it elsewhere, and name its file by --detector-model or ${MODEL_VARIABLE}."
        ) from None
