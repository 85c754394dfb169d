"""Track faces across video frames and smooth their probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ferlab.predict.results import Box, Face

MIN_OVERLAP = 0.3  # intersection over union above which two boxes are the same face
MAX_GAP = 1.0  # seconds after which an unseen face is dropped


@dataclass(kw_only=True)
class _Track:
    """The last known state of a face."""

    number: int
    box: Box
    last_seen: float  # seconds
    probabilities: np.ndarray  # (K,), smoothed


class Tracker:
    """Numbers faces by the overlap of their bounding boxes in consecutive frames.

    Args:
        smooth: time constant, in seconds, of the exponential moving average of the probabilities; 0 for no smoothing.

    Reference:
        The IOU tracker, https://doi.org/10.1109/AVSS.2017.8078516
    """

    def __init__(self, smooth: float = 0.0) -> None:
        self.smooth = smooth
        self._tracks: list[_Track] = []
        self._last_number = 0
        self._last_time = 0.0  # of the previous frame, in seconds

    def update(self, faces: Sequence[Face], seconds: float) -> dict[int, Face]:
        """Number the faces of the next frame.

        Args:
            faces: the faces of the frame.
            seconds: the time of the frame.

        Returns:
            The faces by number, with smoothed probabilities. A face that was missing for more than a second gets a new
            number.
        """
        oldest = min(self._last_time, seconds - MAX_GAP)  # frames may be more than a second apart
        self._tracks = [track for track in self._tracks if track.last_seen >= oldest]
        self._last_time = seconds
        numbered = {}
        for face, track in self._match(faces):
            if track is None:
                track = self._start(face)
            else:
                self._smooth(track, face, seconds)
            track.box, track.last_seen = face.box, seconds
            numbered[track.number] = _with_probabilities(face, track.probabilities)
        return numbered

    def rescale(self, width: float, height: float) -> None:
        """Scale the known boxes by these factors, when the size of the frames changes."""
        for track in self._tracks:
            x, y, box_width, box_height = track.box
            track.box = Box(round(x * width), round(y * height), round(box_width * width), round(box_height * height))

    def _match(self, faces: Sequence[Face]) -> list[tuple[Face, _Track | None]]:
        """Assign tracks to faces greedily, largest overlap first."""
        pairs = [
            (overlap(face.box, track.box), index, track) for index, face in enumerate(faces) for track in self._tracks
        ]
        assigned: dict[int, _Track] = {}
        for share, index, track in sorted(pairs, key=lambda pair: -pair[0]):
            if share >= MIN_OVERLAP and index not in assigned and all(track is not used for used in assigned.values()):
                assigned[index] = track
        return [(face, assigned.get(index)) for index, face in enumerate(faces)]

    def _start(self, face: Face) -> _Track:
        self._last_number += 1
        probabilities = np.array(list(face.probabilities.values()))
        track = _Track(number=self._last_number, box=face.box, last_seen=0.0, probabilities=probabilities)
        self._tracks.append(track)
        return track

    def _smooth(self, track: _Track, face: Face, seconds: float) -> None:
        decay = math.exp(min(0.0, track.last_seen - seconds) / self.smooth) if self.smooth else 0.0
        track.probabilities = decay * track.probabilities + (1 - decay) * np.array(list(face.probabilities.values()))


def overlap(first: Box, second: Box) -> float:
    """Compute the intersection over union of two boxes, 0..1.

    Example:
        >>> overlap(Box(0, 0, 2, 1), Box(1, 0, 2, 1))
        0.3333333333333333
    """
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (first.width * first.height + second.width * second.height - width * height)


def _with_probabilities(face: Face, probabilities: np.ndarray) -> Face:
    named = dict(zip(face.probabilities, probabilities.tolist(), strict=True))
    emotion = max(named, key=lambda name: named[name])
    return replace(face, emotion=emotion, confidence=named[emotion], probabilities=named)
