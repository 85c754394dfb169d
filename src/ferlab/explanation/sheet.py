"""Sheets: panels with captions in a grid, with a color key and notes below. Images are BGR, as in OpenCV."""

from collections.abc import Sequence

import cv2
import numpy as np

SIDE = 168  # pixels of a panel's image
GAP = 14
LINE_HEIGHT = 20
COLUMNS = 4
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.46
INK, ACCENT, EMPTY, PAPER = (30, 30, 30), (178, 114, 0), (225, 225, 225), (255, 255, 255)


def panel(image: np.ndarray, caption: str, below: str = "") -> np.ndarray:
    """Draw an image `(SIDE, SIDE, 3)` below its caption, with an optional line of text over its bottom edge."""
    drawn = np.full((2 * LINE_HEIGHT + SIDE + GAP // 2, SIDE + GAP, 3), 255, np.uint8)
    drawn[2 * LINE_HEIGHT : 2 * LINE_HEIGHT + SIDE, GAP // 2 : GAP // 2 + SIDE] = image
    _write(drawn, caption, (GAP // 2, LINE_HEIGHT))
    if below:
        drawn[LINE_HEIGHT + SIDE : 2 * LINE_HEIGHT + SIDE, GAP // 2 : GAP // 2 + SIDE] = INK
        _write(drawn, below, (GAP // 2 + 4, 2 * LINE_HEIGHT + SIDE - 6), PAPER)
    return drawn


def draw_bar(drawn: np.ndarray, share: float, color: tuple[int, int, int] = INK) -> None:
    """Draw a probability, 0..1, as a bar between the caption and the image of a panel."""
    top = LINE_HEIGHT + 7
    drawn[top : top + 7, GAP // 2 : GAP // 2 + SIDE] = EMPTY
    drawn[top : top + 7, GAP // 2 : GAP // 2 + round(share * SIDE)] = color


def draw_frame(drawn: np.ndarray) -> None:
    """Frame the image of a panel."""
    corner = (GAP // 2 + SIDE - 1, 2 * LINE_HEIGHT + SIDE - 1)
    cv2.rectangle(drawn, (GAP // 2, 2 * LINE_HEIGHT), corner, ACCENT, 3)


def grid(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Arrange panels in rows of four."""
    starts = range(0, len(panels), COLUMNS)
    return stack([np.concatenate(panels[start : start + COLUMNS], axis=1) for start in starts])


def stack(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Stack rows of different widths, left-aligned."""
    width = max(row.shape[1] for row in rows)
    return np.concatenate([_widen(row, width) for row in rows])


def add_notes(sheet: np.ndarray, key: np.ndarray, key_text: str, notes: Sequence[str]) -> np.ndarray:
    """Add a margin, and below the sheet a color key and lines of text.

    Args:
        sheet: `(height, width, 3)` uint8.
        key: `(12, SIDE, 3)` uint8, from low to high.
        key_text: what the key means.
        notes: one line each.
    """
    longest = max(cv2.getTextSize(_ascii(note), FONT, FONT_SCALE, 1)[0][0] for note in notes)
    sheet = _widen(sheet, longest + GAP)
    below = np.full((GAP + (2 + len(notes)) * LINE_HEIGHT, sheet.shape[1], 3), 255, np.uint8)
    below[GAP : GAP + 12, GAP // 2 : GAP // 2 + SIDE] = key
    _write(below, key_text, (GAP + SIDE, GAP + 11))
    for number, note in enumerate(notes, start=1):
        _write(below, note, (GAP // 2, GAP + 8 + (number + 1) * LINE_HEIGHT - 6))
    return np.pad(np.concatenate([sheet, below]), ((4, 4), (GAP, GAP), (0, 0)), constant_values=255)


def _widen(image: np.ndarray, width: int) -> np.ndarray:
    """Pad an image with white on the right, up to a width."""
    return np.pad(image, ((0, 0), (0, max(0, width - image.shape[1])), (0, 0)), constant_values=255)


def _write(image: np.ndarray, text: str, place: tuple[int, int], color: tuple[int, int, int] = INK) -> None:
    """Write text that starts at (x, y)."""
    cv2.putText(image, _ascii(text), place, FONT, FONT_SCALE, color, 1, cv2.LINE_AA)


def _ascii(text: str) -> str:
    """Replace the characters that OpenCV's fonts lack."""
    return text.encode("ascii", "replace").decode()
