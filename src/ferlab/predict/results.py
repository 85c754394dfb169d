"""What is said of a face, and how other packages would say it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ferlab.images.detectors import Point


@dataclass(frozen=True, kw_only=True)
class Classification:
    """What a face shows: the most probable class, its probability 0..1, and the probabilities of all classes."""

    emotion: str
    confidence: float
    probabilities: dict[str, float]


class Box(NamedTuple):
    """A rectangle in pixels of the original picture: left, top, width and height."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Face(Classification):
    """A face in a picture, and what it shows.

    Attributes:
        box: where it is; it may reach outside the picture.
        detection_score: 0..1, how sure the detector is that it is a face; None where it does not say.
        landmarks: `right_eye, left_eye, nose, mouth_right, mouth_left`, as seen on the person, as `(x, y)` in pixels of
            the original picture; None where the detector does not tell them.
    """

    box: Box
    detection_score: float | None
    landmarks: dict[str, Point] | None

    def to_fer(self) -> dict[str, Any]:
        """As `FER().detect_emotions` of the package fer shapes it: `box` as a list, and `emotions` 0..1."""
        return {"box": list(self.box), "emotions": dict(self.probabilities)}

    def to_deepface(self) -> dict[str, Any]:
        """As `DeepFace.analyze(..., actions=["emotion"])` shapes one face: probabilities in percent."""
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
