"""Results in the formats of other packages."""

import json

import pytest

from ferlab.predict.results import Box, Face

PROBABILITIES = {"angry": 0.25, "happy": 0.75}
FACE = Face(
    emotion="happy",
    confidence=0.75,
    probabilities=PROBABILITIES,
    box=Box(10, 20, 30, 40),
    detection_score=0.9,
    landmarks={"right_eye": (15.2, 30.0), "left_eye": (30.4, 30.0)},
)


def test_the_format_of_fer() -> None:
    assert FACE.to_fer() == {"box": [10, 20, 30, 40], "emotions": PROBABILITIES}


def test_the_format_of_deepface() -> None:
    result = FACE.to_deepface()
    assert result["region"] == {"x": 10, "y": 20, "w": 30, "h": 40, "left_eye": (30, 30), "right_eye": (15, 30)}
    assert result["dominant_emotion"] == "happy"
    assert sum(result["emotion"].values()) == pytest.approx(100)


def test_both_formats_are_json_serializable() -> None:
    assert json.loads(json.dumps([FACE.to_fer(), FACE.to_deepface()]))[1]["face_confidence"] == 0.9
