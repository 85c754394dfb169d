"""The tracker, checked by hand."""

import numpy as np
import pytest

from ferlab.predict.results import Box, Face
from ferlab.predict.tracking import Tracker


def face(x: int, happy: float = 0.5) -> Face:
    probabilities = {"happy": happy, "sad": 1 - happy}
    emotion = max(probabilities, key=probabilities.__getitem__)
    return Face(
        emotion=emotion,
        confidence=probabilities[emotion],
        probabilities=probabilities,
        box=Box(x, 0, 100, 100),
        detection_score=None,
        landmarks=None,
    )


def test_numbers_follow_the_largest_overlap() -> None:
    tracker = Tracker()
    assert list(tracker.update([face(0), face(300)], 0.0)) == [1, 2]
    numbered = tracker.update([face(310), face(20), face(600)], 0.1)
    assert {number: one.box.x for number, one in numbered.items()} == {2: 310, 1: 20, 3: 600}


def test_a_face_keeps_its_number_across_a_gap_of_one_second() -> None:
    tracker = Tracker()
    tracker.update([face(0)], 0.0)
    tracker.update([], 0.5)
    assert list(tracker.update([face(0)], 1.0)) == [1]
    tracker.update([], 1.5)
    assert list(tracker.update([face(0)], 2.1)) == [2]


def test_a_face_keeps_its_number_if_frames_are_further_apart_than_a_second() -> None:
    tracker = Tracker()
    assert [list(tracker.update([face(0)], seconds)) for seconds in (0.0, 2.0, 4.0)] == [[1], [1], [1]]
    tracker.update([], 6.0)
    assert list(tracker.update([face(0)], 8.0)) == [2]


def test_a_face_keeps_its_number_when_the_size_of_the_frames_changes() -> None:
    tracker = Tracker()
    tracker.update([face(900)], 0.0)
    tracker.rescale(1 / 3, 1)
    assert list(tracker.update([face(300)], 0.1)) == [1]


def test_smoothing_is_an_exponential_moving_average() -> None:
    """With a time constant of 1 / ln 2, the weight of the past halves every second."""
    tracker = Tracker(smooth=1 / np.log(2))
    tracker.update([face(0, happy=1.0)], 0.0)
    [smoothed] = tracker.update([face(0, happy=0.0)], 1.0).values()
    assert smoothed.probabilities["happy"] == pytest.approx(0.5)
    [smoothed] = tracker.update([face(0, happy=0.0)], 2.0).values()
    assert smoothed.probabilities == pytest.approx({"happy": 0.25, "sad": 0.75})
    assert (smoothed.emotion, smoothed.confidence) == ("sad", pytest.approx(0.75))


def test_without_smoothing_probabilities_are_unchanged() -> None:
    [unchanged] = Tracker().update([face(0, happy=0.3)], 0.0).values()
    assert unchanged.probabilities["happy"] == 0.3
