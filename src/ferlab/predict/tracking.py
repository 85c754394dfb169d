"""Faces that keep their number from frame to frame, and probabilities that do not flicker."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ferlab.predict.results import Box, Face

OVERLAP = 0.3  # of two boxes, from which on they are taken for one face
PATIENCE = 1.0  # seconds after which a face that is not seen is given up


@dataclass
class _Track:
    number: int
    box: Box
    seen: float  # seconds
    probabilities: np.ndarray  # (K,), smoothed


class Tracker:
    """Gives faces numbers by how far their boxes overlap those of the frame before (https://doi.org/10.1109/AVSS.2017.8078516).

    Args:
        smooth: seconds over which probabilities are averaged, with weights that fall off exponentially; 0 for not at
            all.
    """

    def __init__(self, smooth: float = 0.0) -> None:
        self.smooth = smooth
        self._tracks: list[_Track] = []
        self._number = 0

    def update(self, faces: Sequence[Face], seconds: float) -> dict[int, Face]:
        """Numbers the faces of the next frame.

        Args:
            faces: of that frame.
            seconds: its time.

        Returns:
            The faces by number, with smoothed probabilities. A face that was gone for a second gets a new number.
        """
        self._tracks = [track for track in self._tracks if seconds - track.seen <= PATIENCE]
        numbered = {}
        for face, track in self._matched(faces):
            if track is None:
                track = self._begin(face)
            else:
                self._follow(track, face, seconds)
            track.box, track.seen = face.box, seconds
            numbered[track.number] = _with_probabilities(face, track.probabilities)
        return numbered

    def _matched(self, faces: Sequence[Face]) -> list[tuple[Face, _Track | None]]:
        """Pairs of the largest overlaps first; each track is used once."""
        pairs = [
            (overlap(face.box, track.box), index, track) for index, face in enumerate(faces) for track in self._tracks
        ]
        chosen: dict[int, _Track] = {}
        for share, index, track in sorted(pairs, key=lambda pair: -pair[0]):
            if share >= OVERLAP and index not in chosen and track not in chosen.values():
                chosen[index] = track
        return [(face, chosen.get(index)) for index, face in enumerate(faces)]

    def _begin(self, face: Face) -> _Track:
        self._number += 1
        track = _Track(self._number, face.box, 0.0, np.array(list(face.probabilities.values())))
        self._tracks.append(track)
        return track

    def _follow(self, track: _Track, face: Face, seconds: float) -> None:
        kept = math.exp(min(0.0, track.seen - seconds) / self.smooth) if self.smooth else 0.0
        track.probabilities = kept * track.probabilities + (1 - kept) * np.array(list(face.probabilities.values()))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0..1.

    Example:
        >>> overlap(Box(0, 0, 2, 1), Box(1, 0, 2, 1))
        0.3333333333333333
    """
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (one.width * one.height + other.width * other.height - width * height)


def _with_probabilities(face: Face, probabilities: np.ndarray) -> Face:
    shares = dict(zip(face.probabilities, probabilities.tolist(), strict=True))
    emotion = max(shares, key=lambda name: shares[name])
    return replace(face, emotion=emotion, confidence=shares[emotion], probabilities=shares)
