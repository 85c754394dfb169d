"""The prediction table: one row per face, with the same columns in every output format."""

from collections.abc import Sequence
from typing import Any

from ferlab.predict.results import Face

Row = dict[str, Any]  # missing columns are empty cells

LEADING_COLUMNS = (
    *("source", "frame", "time_s", "face", "x", "y", "width", "height"),
    *("detection_score", "emotion", "confidence"),
)
TRAILING_COLUMNS = ("status", "reason")


def columns(class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the column names of the table for a model with these classes."""
    return (*LEADING_COLUMNS, *class_names, *TRAILING_COLUMNS)


def face_row(source: str, number: int, face: Face, min_confidence: float = 0.0) -> Row:
    """Return the row of one face.

    Args:
        source: the image or video.
        number: the number of the face.
        face: the face.
        min_confidence: threshold, 0..1. Below it, the emotion is left blank and the status is `uncertain` instead of
            `ok`.
    """
    certain = face.confidence >= min_confidence
    return {
        "source": source,
        "face": number,
        **face.box._asdict(),
        "detection_score": face.detection_score,
        "emotion": face.emotion if certain else None,
        "confidence": face.confidence,
        **face.probabilities,
        "status": "ok" if certain else "uncertain",
    }


def image_rows(source: str, faces: Sequence[Face], min_confidence: float = 0.0) -> list[Row]:
    """Return the rows of an image: one per face, numbered from 1, or a single row with the status `no_face`."""
    rows = [face_row(source, number, face, min_confidence) for number, face in enumerate(faces, start=1)]
    return rows or [{"source": source, "status": "no_face"}]


def error_row(source: str, reason: str) -> Row:
    """Return the row of an image that cannot be read."""
    return {"source": source, "status": "error", "reason": reason}
