"""Heat maps as pictures: laid over the face that they explain, or alone.

Colors run from a transparent nothing over orange to a light yellow (the upper part of the Inferno map of
https://bids.github.io/colormap), so that a face stays visible where a map is low. Pictures are BGR, as OpenCV has them.
"""

from collections.abc import Sequence

import cv2
import numpy as np

SIDE = 168  # pixels, of a face on a sheet
GAP = 14
LINE_HEIGHT = 20
COLUMNS = 4  # of a grid
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.46
OPACITY = 0.8  # of the highest value
DARKEST = 0.45  # of the color map, 0..1: below it, colors are hardly seen on a gray face
INK, ACCENT, EMPTY, PAPER = (30, 30, 30), (178, 114, 0), (225, 225, 225), (255, 255, 255)


def enlarged(heat: np.ndarray, side: int) -> np.ndarray:
    """A heat map `(H, W)`, 0..1, as `(side, side)` float32, 0..1, smooth between its pixels."""
    larger = cv2.resize(heat.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger).clip(0, 1)


def shares_by_height(heat: np.ndarray) -> list[float] | None:
    """How much of a heat map `(H, W)` lies in the upper, middle and lower third, 0..1; None of an empty one.

    Example:
        >>> shares_by_height(np.repeat([0.0, 0.25, 0.75], 2)[:, None] * np.ones((6, 6)))
        [0.0, 0.25, 0.75]
    """
    rows = heat.mean(axis=1)
    thirds = np.repeat(rows, 3).reshape(3, -1).sum(axis=1)  # each row counts thrice, so that any number can be divided
    return [float(third) for third in thirds / thirds.sum()] if thirds.sum() else None


def overlaid(face: np.ndarray, heat: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A face under a heat map.

    Args:
        face: `(48, 48)` uint8.
        heat: `(H, W)`, 0..1.
        side: in pixels, of the picture.

    Returns:
        `(side, side, 3)` uint8, BGR.
    """
    strengths = enlarged(heat, side)
    opacity = (OPACITY * strengths)[..., None]
    return np.rint((1 - opacity) * plain(face, side) + opacity * _colored(strengths)).astype(np.uint8)


def plain(face: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A face `(48, 48)` uint8 as `(side, side, 3)` uint8."""
    larger = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.cvtColor(larger, cv2.COLOR_GRAY2BGR))


def alone(heat: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A heat map `(H, W)`, 0..1, without a face: `(side, side, 3)` uint8, BGR."""
    return overlaid(np.full((48, 48), 70, np.uint8), heat, side)


def _colored(strengths: np.ndarray) -> np.ndarray:
    levels = np.rint(255 * (DARKEST + (1 - DARKEST) * strengths)).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO))


def sheet_of_classes(
    face: np.ndarray, class_names: Sequence[str], probabilities: np.ndarray, heats: np.ndarray, notes: Sequence[str]
) -> np.ndarray:
    """One face as a model sees it, and under the map of each class, with the class's probability.

    Args:
        face: `(48, 48)` uint8.
        class_names: K names.
        probabilities: `(K,)`, 0..1. The highest is framed.
        heats: `(K, H, W)`, 0..1.
        notes: lines below.

    Returns:
        `(height, width, 3)` uint8, BGR.
    """
    answer = int(np.argmax(probabilities))
    cells = [_cell(plain(face), "what the model sees")]
    for number, (name, probability, heat) in enumerate(zip(class_names, probabilities, heats, strict=True)):
        caption = f"{name}  {100 * probability:.1f} %"
        cells.append(_cell(overlaid(face, heat), caption, "" if heat.any() else "nothing speaks for it"))
        _draw_bar(cells[-1], float(probability), ACCENT if number == answer else INK)
        if number == answer:
            corner = (GAP // 2 + SIDE - 1, 2 * LINE_HEIGHT + SIDE - 1)
            cv2.rectangle(cells[-1], (GAP // 2, 2 * LINE_HEIGHT), corner, ACCENT, 3)
    return _with_notes(_grid(cells), ["Each map on a scale of its own.", *notes])


def sheet_of_means(
    class_names: Sequence[str],
    counts: np.ndarray,
    heats: np.ndarray,
    faces: Sequence[np.ndarray],
    examples: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]],
    notes: Sequence[str],
) -> np.ndarray:
    """A row for each class: its mean map alone, and, where there are faces, over the mean face and over single ones.

    Args:
        class_names: K names.
        counts: `(K,)`: images of each class.
        heats: `(K, H, W)`, 0..1: mean maps; the highest value of all gets the strongest color.
        faces: K mean faces `(48, 48)` uint8; none for a sheet of maps alone.
        examples: of each class a few faces `(48, 48)` uint8, each with its map `(H, W)`, 0..1.
        notes: lines below.

    Returns:
        `(height, width, 3)` uint8, BGR.
    """
    scaled = heats / max(float(heats.max()), 1e-9)
    notes = ["One scale for all mean maps.", *notes]
    captions = [f"{name}, {count} images" for name, count in zip(class_names, counts, strict=True)]
    if not faces:
        return _with_notes(
            _grid([_cell(alone(heat), caption) for heat, caption in zip(scaled, captions, strict=True)]), notes
        )
    rows = []
    for heat, caption, face, singles in zip(scaled, captions, faces, examples, strict=True):
        pictures = [(alone(heat), caption), (overlaid(face, heat), "over the mean face")]
        pictures += [(overlaid(single, own), "") for single, own in singles]
        rows.append(np.concatenate([_cell(picture, text) for picture, text in pictures], axis=1))
    width = max(row.shape[1] for row in rows)
    return _with_notes(np.concatenate([_widened(row, width) for row in rows]), notes)


def _grid(cells: list[np.ndarray]) -> np.ndarray:
    cells = cells + [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    rows = [np.concatenate(cells[start : start + COLUMNS], axis=1) for start in range(0, len(cells), COLUMNS)]
    return np.concatenate(rows)


def _widened(picture: np.ndarray, width: int) -> np.ndarray:
    """A picture with white to its right, up to a width."""
    return np.pad(picture, ((0, 0), (0, max(0, width - picture.shape[1])), (0, 0)), constant_values=255)


def _cell(picture: np.ndarray, caption: str, below: str = "") -> np.ndarray:
    """A picture `(SIDE, SIDE, 3)` under its caption, with a line of text at its foot."""
    cell = np.full((2 * LINE_HEIGHT + SIDE + GAP // 2, SIDE + GAP, 3), 255, np.uint8)
    cell[2 * LINE_HEIGHT : 2 * LINE_HEIGHT + SIDE, GAP // 2 : GAP // 2 + SIDE] = picture
    _write(cell, caption, (GAP // 2, LINE_HEIGHT))
    if below:
        cell[LINE_HEIGHT + SIDE : 2 * LINE_HEIGHT + SIDE, GAP // 2 : GAP // 2 + SIDE] = INK
        _write(cell, below, (GAP // 2 + 4, 2 * LINE_HEIGHT + SIDE - 6), PAPER)
    return cell


def _draw_bar(cell: np.ndarray, share: float, color: tuple[int, int, int]) -> None:
    """A probability, 0..1, as a bar between the caption and the picture."""
    top = LINE_HEIGHT + 7
    cell[top : top + 7, GAP // 2 : GAP // 2 + SIDE] = EMPTY
    cell[top : top + 7, GAP // 2 : GAP // 2 + round(share * SIDE)] = color


def _with_notes(sheet: np.ndarray, notes: Sequence[str]) -> np.ndarray:
    """A sheet with a margin, a key of the colors and lines of text below."""
    longest = max(cv2.getTextSize(_ascii(note), FONT, FONT_SCALE, 1)[0][0] for note in notes)
    sheet = _widened(sheet, longest + GAP)
    below = np.full((GAP + (2 + len(notes)) * LINE_HEIGHT, sheet.shape[1], 3), 255, np.uint8)
    ramp = np.tile(np.linspace(0, 1, SIDE, dtype=np.float32), (12, 1))
    opacity = (OPACITY * ramp)[..., None]
    key = (1 - opacity) * 128 + opacity * _colored(ramp)
    below[GAP : GAP + 12, GAP // 2 : GAP // 2 + SIDE] = np.rint(key)
    _write(below, "from nothing to most of what speaks for the class", (GAP + SIDE, GAP + 11))
    for number, note in enumerate(notes, start=1):
        _write(below, note, (GAP // 2, GAP + 8 + (number + 1) * LINE_HEIGHT - 6))
    return np.pad(np.concatenate([sheet, below]), ((4, 4), (GAP, GAP), (0, 0)), constant_values=255)


def _write(image: np.ndarray, text: str, place: tuple[int, int], color: tuple[int, int, int] = INK) -> None:
    """Writes text whose first letter stands at a place (x, y). OpenCV's fonts know ASCII alone."""
    cv2.putText(image, _ascii(text), place, FONT, FONT_SCALE, color, 1, cv2.LINE_AA)


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()
