"""`Detector`, the base class of face detectors: the size of the search, tiles, and which detections are kept."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

SEARCH_SIZE = 640  # pixels; larger images are shrunk to this longer side before the search
MIN_SEARCH_SIZE = 192  # pixels; smaller images are enlarged to this longer side before the search
TILE_OVERLAP = 160  # pixels; larger faces are found in a smaller copy
MAX_OVERLAP = 0.3  # intersection over union above which two boxes count as one face

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

    @property
    def center(self) -> Point:
        """The center of the bounding box."""
        left, top, width, height = self.box
        return left + width / 2, top + height / 2

    def scaled(self, factor: float) -> "Detection":
        """Return the same detection for an image resized by `factor`."""
        left, top, width, height = (factor * value for value in self.box)
        points = self.landmarks and {name: (factor * x, factor * y) for name, (x, y) in self.landmarks.items()}
        return replace(self, box=(left, top, width, height), landmarks=points)

    def shifted(self, x: float, y: float) -> "Detection":
        """Return the same detection for an image that has `x` more columns on the left and `y` more rows on top."""
        left, top, width, height = self.box
        points = self.landmarks and {name: (x + px, y + py) for name, (px, py) in self.landmarks.items()}
        return replace(self, box=(left + x, top + y, width, height), landmarks=points)

    def lies_in(self, image: np.ndarray) -> bool:
        """Return whether all numbers are finite, and the box is not empty and overlaps with the image."""
        left, top, width, height = self.box
        points = [value for point in (self.landmarks or {}).values() for value in point]
        if not all(map(math.isfinite, (*self.box, *points))) or min(width, height) <= 0:
            return False
        return left < image.shape[1] and top < image.shape[0] and left + width > 0 and top + height > 0


class Detector(ABC):
    """Base class of face detectors. Several threads can use one instance.

    Attributes:
        name: the name that `open_detector` and the command line use.
        whole_image: whether the bounding box is the image itself, which then needs no cropping.
    """

    name: ClassVar[str]
    whole_image: ClassVar[bool] = False

    def detect(self, image: np.ndarray, *, search_size: int = SEARCH_SIZE) -> list[Detection]:
        """Detect the faces in an image.

        Args:
            image: `(H, W, 3)` uint8, RGB, of any size.
            search_size: longer side, in pixels, to which a larger image is shrunk for the search. Above 640, the image
                is searched as a whole at 640 pixels, for large faces, and in tiles of 640 pixels at this size, half of
                it, and so on.

        Returns:
            The faces in pixels of `image`, largest first.
        """
        detections, size = self._search(image, min(search_size, SEARCH_SIZE)), min(search_size, max(image.shape[:2]))
        while size > SEARCH_SIZE:
            detections = without_overlaps([*detections, *self._search_tiles(image, size)])
            size //= 2
        return sorted(self._confirm(image, detections), key=lambda detection: -detection.box[2] * detection.box[3])

    def _search(self, image: np.ndarray, search_size: int) -> list[Detection]:
        """Search a copy of the image with a suitable size."""
        longer = max(image.shape[:2])
        factor = min(1.0, search_size / longer) if longer > MIN_SEARCH_SIZE else MIN_SEARCH_SIZE / longer
        resized = resize(image, factor)
        return [face.scaled(1 / factor) for face in self._detect(resized) if face.lies_in(resized)]

    def _search_tiles(self, image: np.ndarray, search_size: int) -> Iterator[Detection]:
        """Search a copy of the image in tiles, and yield the faces that are complete in a tile."""
        factor = search_size / max(image.shape[:2])
        resized = resize(image, factor)
        height, width = resized.shape[:2]
        for top in _tile_starts(height):
            for left in _tile_starts(width):
                tile = np.ascontiguousarray(resized[top : top + SEARCH_SIZE, left : left + SEARCH_SIZE])
                for face in self._detect(tile):
                    if face.lies_in(tile) and max(face.box[2:]) <= TILE_OVERLAP:
                        moved = face.shifted(left, top)
                        if _in_core(moved.center[0], left, width) and _in_core(moved.center[1], top, height):
                            yield moved.scaled(1 / factor)

    @abstractmethod
    def _detect(self, image: np.ndarray) -> list[Detection]:
        """Detect the faces in an image whose longer side has at most 640 pixels."""

    def _confirm(self, image: np.ndarray, detections: list[Detection]) -> list[Detection]:
        """Choose from the detections of all searches, in pixels of `image`. By default, keep all."""
        return detections


def middle_square(width: int, height: int) -> tuple[int, int, int]:
    """Return left, top and side of the middle square of an image, in pixels."""
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side


def without_overlaps(detections: list[Detection]) -> list[Detection]:
    """Drop the detections that overlap with one of a higher score; without scores, with an earlier one."""
    boxes = np.array([face.box for face in detections]).reshape(-1, 4)
    return [detections[index] for index in best_boxes(boxes, np.array([face.score or 1.0 for face in detections]))]


def best_boxes(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Select boxes by non-maximum suppression, as OpenCV's `FaceDetectorYN` does.

    Args:
        boxes: `(N, 4)`: left, top, width and height in pixels. Fractions of pixels are cut off.
        scores: `(N,)`, above 0.

    Returns:
        The indices of the boxes that do not overlap with one of a higher score, highest score first.
    """
    import cv2

    if len(boxes) < 2:
        return list(range(len(boxes)))
    kept = cv2.dnn.NMSBoxes(np.trunc(boxes).tolist(), scores.tolist(), 0.0, MAX_OVERLAP)
    return np.asarray(kept).ravel().tolist()


def resize(image: np.ndarray, factor: float) -> np.ndarray:
    """Resize an image by a factor without aliasing.

    OpenCV averages 2x2 pixels ten times faster than areas of another size.
    """
    import cv2

    if factor == 1:
        return image
    height, width = (max(1, round(factor * side)) for side in image.shape[:2])
    while 2 * height <= image.shape[0] and 2 * width <= image.shape[1]:
        half_height, half_width = (side // 2 for side in image.shape[:2])
        even = image[: 2 * half_height, : 2 * half_width]
        image = cv2.resize(even, (half_width, half_height), interpolation=cv2.INTER_AREA)
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR if factor < 1 else cv2.INTER_CUBIC)


def _tile_starts(length: int) -> list[int]:
    """Return where tiles begin that cover a length and overlap by at least `TILE_OVERLAP`."""
    number = max(1, math.ceil((length - TILE_OVERLAP) / (SEARCH_SIZE - TILE_OVERLAP)))
    return [round(start) for start in np.linspace(0, max(0, length - SEARCH_SIZE), number)]


def _in_core(position: float, start: int, length: int) -> bool:
    """Return whether a face with this center, no larger than the overlap, is complete in the tile."""
    inset, end = TILE_OVERLAP / 2, start + SEARCH_SIZE
    return (start == 0 or position >= start + inset) and (end >= length or position <= end - inset)
