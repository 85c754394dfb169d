"""The result types of prediction, and their conversion to the formats of other packages."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ferlab.images.detectors import Point


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

    def to_fer(self) -> dict[str, Any]:
        """Convert to the format of `FER().detect_emotions` in the package `fer`."""
        return {"box": list(self.box), "emotions": dict(self.probabilities)}

    def to_deepface(self) -> dict[str, Any]:
        """Convert to the format of `DeepFace.analyze(..., actions=["emotion"])`, with probabilities in percent."""
        eyes = {
            name: tuple(round(value) for value in self.landmarks[name]) if self.landmarks else None
            for name in ("left_eye", "right_eye")
        }
        return {
            "emotion": {name: 100 * probability for name, probability in self.probabilities.items()},
            "dominant_emotion": self.emotion,
            "region": {"x": self.box.x, "y": self.box.y, "w": self.box.width, "h": self.box.height, **eyes},
            "face_confidence": self.detection_score,
        }
