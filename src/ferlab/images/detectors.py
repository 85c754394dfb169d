"""Face detectors. Each subclass of `Detector` is available under its name."""

import hashlib
import logging
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from ferlab.errors import DetectorError, UnknownNameError

MAX_SEARCH_SIDE = 640  # pixels; larger images are shrunk to this longer side before the search
MIN_SEARCH_SIDE = 192  # pixels; smaller images are enlarged to this longer side before the search
MODEL_VARIABLE = "FERLAB_DETECTOR_MODEL"
YUNET_URL = (
    "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2026may.onnx"
)
YUNET_SHA256 = "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0"
DOWNLOAD_TIMEOUT = 10  # seconds

Point = tuple[float, float]  # x from the left, y from the top, in pixels


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A detected face.

    Args:
        box: left, top, width and height of the bounding box in pixels; it may extend beyond the image.
        score: confidence of the detector, 0..1; None if it reports none.
        landmarks: `right_eye, left_eye, nose, mouth_right, mouth_left`, left and right from the person's point of view;
            None if the detector reports none.
    """

    box: tuple[float, float, float, float]
    score: float | None = None
    landmarks: dict[str, Point] | None = None

    def scaled(self, factor: float) -> "Detection":
        """Return the same detection for an image resized by `factor`."""
        left, top, width, height = (factor * value for value in self.box)
        points = self.landmarks and {name: (factor * x, factor * y) for name, (x, y) in self.landmarks.items()}
        return replace(self, box=(left, top, width, height), landmarks=points)


class Detector(ABC):
    """Base class of face detectors. An instance is not thread-safe.

    Attributes:
        name: the name that `open_detector` and the command line use.
        whole_image: whether each image is one face, which `resize_crop` crops.
    """

    name: ClassVar[str]
    whole_image: ClassVar[bool] = False

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Detect the faces in an image.

        Args:
            image: `(H, W, 3)` uint8, RGB, of any size. Very large and very small images are resized for the search.

        Returns:
            The faces in pixels of `image`, largest first.
        """
        import cv2

        longer = max(image.shape[:2])
        factor = min(1.0, MAX_SEARCH_SIDE / longer) if longer > MIN_SEARCH_SIDE else MIN_SEARCH_SIDE / longer
        height, width = (max(1, round(factor * side)) for side in image.shape[:2])
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        resized = image if factor == 1 else cv2.resize(image, (width, height), interpolation=interpolation)
        detections = [detection.scaled(1 / factor) for detection in self._detect(resized)]
        return sorted(detections, key=lambda detection: -detection.box[2] * detection.box[3])

    @abstractmethod
    def _detect(self, image: np.ndarray) -> list[Detection]:
        """Detect the faces in an image with a longer side of 192 to 640 pixels."""


class YuNet(Detector):
    """YuNet, the face detector of OpenCV's model zoo. It finds frontal and turned faces.

    Args:
        model: the file `face_detection_yunet_*.onnx`. If None, use the file that the environment variable
            `FERLAB_DETECTOR_MODEL` names, or else download the model once to the user's cache.

    Raises:
        DetectorError: if the file is missing, cannot be downloaded, or is not a YuNet model.

    Reference:
        https://doi.org/10.1007/s11633-023-1423-y
    """

    name = "yunet"
    LANDMARKS = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
    SCORE_THRESHOLD = 0.6  # finds 98 of 100 tight FER2013 crops, and no face in images without one
    NMS_THRESHOLD = 0.3  # overlap above which two boxes count as one face
    MIN_SIDE = 10  # pixels; OpenCV fails on smaller inputs

    def __init__(self, model: str | Path | None = None) -> None:
        import cv2

        path = yunet_file(model)
        try:
            self._network = cv2.FaceDetectorYN.create(
                str(path), "", (320, 320), self.SCORE_THRESHOLD, self.NMS_THRESHOLD
            )
            self._detect(np.zeros((64, 64, 3), np.uint8))  # a different network fails only when it runs
        except (cv2.error, ValueError, IndexError):
            raise DetectorError(f"{path} is not a YuNet face detector that OpenCV can load.") from None

    def _detect(self, image: np.ndarray) -> list[Detection]:
        height, width = image.shape[:2]
        if min(height, width) < self.MIN_SIDE:
            return []
        self._network.setInputSize((width, height))
        _, rows = self._network.detect(np.ascontiguousarray(image[..., ::-1]))
        return [self._detection(row.tolist()) for row in (rows if rows is not None else [])]

    def _detection(self, row: list[float]) -> Detection:
        """Convert one row of OpenCV's result: box (4), landmarks (10), score (1)."""
        points = dict(zip(self.LANDMARKS, zip(row[4:14:2], row[5:14:2], strict=True), strict=True))
        return Detection(box=(row[0], row[1], row[2], row[3]), score=min(1.0, row[14]), landmarks=points)


class Haar(Detector):
    """The Viola-Jones cascade that ships with OpenCV 4. It finds frontal faces only.

    Reference:
        https://doi.org/10.1109/CVPR.2001.990517
    """

    name = "haar"
    MIN_NEIGHBORS = 5  # overlapping hits per face; a lower value finds faces in clothes and flowers
    BOX_SCALE = 0.947  # side of YuNet's box divided by the cascade's, median over FER2013's PublicTest

    def __init__(self) -> None:
        import cv2
        import cv2.data

        self._cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def _detect(self, image: np.ndarray) -> list[Detection]:
        import cv2

        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        boxes = self._cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=self.MIN_NEIGHBORS)
        return [self._detection(*(float(value) for value in box)) for box in boxes]

    def _detection(self, left: float, top: float, side: float, _: float) -> Detection:
        inset, side = (1 - self.BOX_SCALE) / 2 * side, self.BOX_SCALE * side
        return Detection(box=(left + inset, top + inset, side, side))


def middle_square(width: int, height: int) -> tuple[int, int, int]:
    """Return left, top and side of the middle square of an image, in pixels."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


class WholeImage(Detector):
    """Treats the middle square of each image as one face, for images that are already cropped."""

    name = "none"
    whole_image = True

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Return one face, the middle square of the image."""
        left, top, side = middle_square(image.shape[1], image.shape[0])
        return [Detection(box=(float(left), float(top), float(side), float(side)))]

    def _detect(self, image: np.ndarray) -> list[Detection]:
        return self.detect(image)


def detector_names() -> list[str]:
    """Return the names that `open_detector` accepts: `auto` and the name of each detector."""
    return ["auto", *sorted(detector.name for detector in Detector.__subclasses__())]


def open_detector(name: str = "auto", model: str | Path | None = None) -> Detector:
    """Open a face detector.

    Args:
        name: `yunet`, `haar`, `none` or `auto`. `auto` uses YuNet; if YuNet cannot be downloaded, it logs a warning and
            uses Haar.
        model: the YuNet model file; see `YuNet`.

    Raises:
        DetectorError: if the detector is not available, or `model` is given to a detector without a model file.
        UnknownNameError: if no detector has this name.
    """
    classes = {detector.name: detector for detector in Detector.__subclasses__()}
    if name not in (*classes, "auto"):
        raise UnknownNameError("detector", name, detector_names())
    if name == "yunet":
        return YuNet(model)
    if name != "auto":
        if model:
            raise DetectorError(f"The detector '{name}' has no model file. Remove the file or choose 'yunet'.")
        return classes[name]()
    try:
        return YuNet(model)
    except DetectorError as error:
        if model or os.environ.get(MODEL_VARIABLE):
            raise
        logging.getLogger("ferlab").warning(
            "%s Using OpenCV's Haar cascade instead, which finds frontal faces only.", error
        )
        return Haar()


def yunet_file(model: str | Path | None = None) -> Path:
    """Return the path of the YuNet model file, and download the file if needed.

    Args:
        model: the file; if None, the file that `FERLAB_DETECTOR_MODEL` names, or else the one in the user's cache.

    Raises:
        DetectorError: if the given file does not exist, or the download fails.
    """
    import platformdirs

    if given := model or os.environ.get(MODEL_VARIABLE):
        if not Path(given).is_file():
            raise DetectorError(f"The YuNet model file {given} does not exist.")
        return Path(given)
    path = platformdirs.user_cache_path("ferlab") / YUNET_URL.rsplit("/", 1)[1]
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != YUNET_SHA256:
        _download(path)
    return path


def _download(path: Path) -> None:
    """Download YuNet and verify its SHA-256."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            YUNET_URL,
            known_hash=f"sha256:{YUNET_SHA256}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(timeout=DOWNLOAD_TIMEOUT),
        )
    except OSError as error:
        raise _download_error(f"could not be downloaded from {YUNET_URL} ({type(error).__name__}).") from None
    except ValueError:  # pooch: the hash does not match
        raise _download_error(f"was refused: the SHA-256 of {YUNET_URL} is not the expected one.") from None


def _download_error(reason: str) -> DetectorError:
    return DetectorError(
        f"The face detector YuNet {reason} Download it on another machine and pass the file with --detector-model or "
        f"${MODEL_VARIABLE}."
    )
