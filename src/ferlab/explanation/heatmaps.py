"""Heat maps as images: over the face that they explain, or alone.

Colors run from transparent to orange to light yellow (the upper part of the Inferno color map,
https://bids.github.io/colormap), so that the face stays visible where values are low. Images are BGR, as in OpenCV.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ferlab.explanation import sheet

OPACITY = 0.8  # of the highest value
DARKEST = 0.45  # of the color map, 0..1: darker colors are hardly visible on a gray face
KEY = "low to high support for the class"


def shares_by_height(heat: np.ndarray) -> list[float] | None:
    """Return the shares of a heat map in the upper, middle and lower third of the image.

    Args:
        heat: `(H, W)`, 0..1.

    Returns:
        Three shares that sum to 1, or None for an empty map.

    Example:
        >>> shares_by_height(np.repeat([0.0, 0.25, 0.75], 2)[:, None] * np.ones((6, 6)))
        [0.0, 0.25, 0.75]
    """
    rows = heat.mean(axis=1)
    thirds = np.repeat(rows, 3).reshape(3, -1).sum(axis=1)  # three copies of each row, so that 3 divides their number
    return [float(third) for third in thirds / thirds.sum()] if thirds.sum() else None


def overlay(face: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Draw a heat map over a face.

    Args:
        face: `(48, 48)` uint8.
        heat: `(H, W)`, 0..1.

    Returns:
        `(168, 168, 3)` uint8.
    """
    enlarged = cv2.resize(heat.astype(np.float32), (sheet.SIDE, sheet.SIDE), interpolation=cv2.INTER_CUBIC)
    return _blend(enlarge(face), np.asarray(enlarged).clip(0, 1))


def heat_alone(heat: np.ndarray) -> np.ndarray:
    """Draw a heat map `(H, W)`, 0..1, without a face: `(168, 168, 3)` uint8."""
    return overlay(np.full((48, 48), 70, np.uint8), heat)


def enlarge(face: np.ndarray) -> np.ndarray:
    """Enlarge a face `(48, 48)` uint8 to `(168, 168, 3)` uint8."""
    larger = cv2.resize(face, (sheet.SIDE, sheet.SIDE), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.cvtColor(larger, cv2.COLOR_GRAY2BGR))


def _blend(image: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Blend colors of strengths `(H, W)`, 0..1, with an image `(H, W, 3)`."""
    levels = np.rint(255 * (DARKEST + (1 - DARKEST) * strengths)).astype(np.uint8)
    colors = np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO))
    opacity = (OPACITY * strengths)[..., None]
    return np.rint((1 - opacity) * image + opacity * colors).astype(np.uint8)


def class_sheet(
    face: np.ndarray, class_names: Sequence[str], probabilities: np.ndarray, heats: np.ndarray, notes: Sequence[str]
) -> np.ndarray:
    """Draw one face, and the face under the map of each class with the class's probability.

    Args:
        face: `(48, 48)` uint8.
        class_names: K names.
        probabilities: `(K,)`, 0..1. The predicted class is framed.
        heats: `(K, H, W)`, 0..1.
        notes: lines below.

    Returns:
        `(height, width, 3)` uint8.
    """
    panels = [sheet.panel(enlarge(face), "model input")]
    for number, (name, probability, heat) in enumerate(zip(class_names, probabilities, heats, strict=True)):
        caption = f"{name}  {100 * probability:.1f} %"
        drawn = sheet.panel(overlay(face, heat), caption, "" if heat.any() else "no support")
        predicted = number == int(np.argmax(probabilities))
        sheet.draw_bar(drawn, float(probability), sheet.ACCENT if predicted else sheet.INK)
        if predicted:
            sheet.draw_frame(drawn)
        panels.append(drawn)
    return _with_notes(sheet.grid(panels), ["Each map has its own scale.", *notes])


def mean_sheet(captions: Sequence[str], heats: np.ndarray, notes: Sequence[str]) -> np.ndarray:
    """Draw the mean map of each class, without faces.

    Args:
        captions: K lines.
        heats: `(K, H, W)`, 0..1. All share one scale.
        notes: lines below.

    Returns:
        `(height, width, 3)` uint8.
    """
    pairs = zip(_on_one_scale(heats), captions, strict=True)
    panels = [sheet.panel(heat_alone(heat), caption) for heat, caption in pairs]
    return _with_notes(sheet.grid(panels), ["All mean maps share one scale.", *notes])


def face_sheet(
    captions: Sequence[str],
    heats: np.ndarray,
    faces: Sequence[np.ndarray],
    examples: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]],
    notes: Sequence[str],
) -> np.ndarray:
    """Draw a row for each class: its mean map alone, over the mean face, and maps of single images.

    Args:
        captions: K lines.
        heats: `(K, H, W)`, 0..1: mean maps. All share one scale.
        faces: K mean faces `(48, 48)` uint8.
        examples: for each class a few faces `(48, 48)` uint8, each with its map `(H, W)`, 0..1.
        notes: lines below.

    Returns:
        `(height, width, 3)` uint8.
    """
    rows = []
    for heat, caption, face, singles in zip(_on_one_scale(heats), captions, faces, examples, strict=True):
        panels = [sheet.panel(heat_alone(heat), caption), sheet.panel(overlay(face, heat), "over the mean face")]
        panels += [sheet.panel(overlay(single, own), "") for single, own in singles]
        rows.append(np.concatenate(panels, axis=1))
    return _with_notes(sheet.stack(rows), ["All mean maps share one scale.", *notes])


def _on_one_scale(heats: np.ndarray) -> np.ndarray:
    """Divide heat maps `(K, H, W)` by the maximum of all."""
    return heats / max(float(heats.max()), 1e-9)


def _with_notes(drawn: np.ndarray, notes: Sequence[str]) -> np.ndarray:
    """Add the color key and notes."""
    ramp = np.tile(np.linspace(0, 1, sheet.SIDE, dtype=np.float32), (12, 1))
    return sheet.add_notes(drawn, _blend(np.full((*ramp.shape, 3), 128, np.uint8), ramp), KEY, notes)
