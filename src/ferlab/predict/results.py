"""The result types of prediction for single faces."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ferlab.images.detection import Point


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The predicted emotion of a face.

    Args:
        emotion: the most probable class.
        confidence: its probability, 0..1.
        probabilities: the probability of each class, 0..1, in the order of the model's classes.
    """

    emotion: str
    confidence: float
    probabilities: dict[str, float]


class Box(NamedTuple):
    """A bounding box in pixels of the original image."""

    x: int
    y: int
    width: int
    height: int

    def inside(self, width: int, height: int) -> "Box":
        """Return the part of the box that lies inside an image of this size."""
        left, right = (min(max(value, 0), width) for value in (self.x, self.x + self.width))
        top, bottom = (min(max(value, 0), height) for value in (self.y, self.y + self.height))
        return Box(left, top, right - left, bottom - top)


@dataclass(frozen=True, kw_only=True)
class Face(Classification):
    """A detected face and its predicted emotion.

    Args:
        box: the bounding box; it may extend beyond the image.
        detection_score: confidence of the detector, 0..1; None if it reports none.
        landmarks: `right_eye, left_eye, nose, mouth_right, mouth_left` as `(x, y)` in pixels of the original image,
            left and right from the person's point of view; None if the detector reports none.
    """

    box: Box
    detection_score: float | None
    landmarks: dict[str, Point] | None

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain Python values, which can be written as JSON."""
        return asdict(self) | {"box": self.box._asdict()}
