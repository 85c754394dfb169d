"""A face and its bounding box."""

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


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        (Box(10, 20, 30, 40), Box(10, 20, 30, 40)),
        (Box(-5, -6, 30, 40), Box(0, 0, 25, 34)),
        (Box(90, 70, 30, 40), Box(90, 70, 10, 10)),
        (Box(-10, -10, 200, 200), Box(0, 0, 100, 80)),
        (Box(120, 20, 30, 40), Box(100, 20, 0, 40)),
        (Box(-50, 20, 30, 40), Box(0, 20, 0, 40)),
    ],
)
def test_the_part_of_a_box_inside_an_image(box: Box, inside: Box) -> None:
    assert box.inside(100, 80) == inside


def test_a_face_as_plain_values() -> None:
    values = FACE.to_dict()
    assert values == {
        "emotion": "happy",
        "confidence": 0.75,
        "probabilities": PROBABILITIES,
        "box": {"x": 10, "y": 20, "width": 30, "height": 40},
        "detection_score": 0.9,
        "landmarks": {"right_eye": (15.2, 30.0), "left_eye": (30.4, 30.0)},
    }
    assert json.loads(json.dumps(values))["landmarks"]["left_eye"] == [30.4, 30.0]
