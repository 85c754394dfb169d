"""Drawing boxes and emotions into pictures."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ferlab.emotions import COLORS
from ferlab.files import write_atomically
from ferlab.images.decode import read_image
from ferlab.predict.results import Face

OTHER_COLOR = "#56B4E9"  # of classes that are none of FER2013's
DARK = 128  # luma below which white letters are read better than black ones
KEPT_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
LONGEST_SIDES = {"JPEG": 65_500, "WEBP": 16_383}  # pixels that the form, or its encoder, can hold


def annotated(pixels: np.ndarray, faces: Mapping[int, Face]) -> np.ndarray:
    """Draws faces into a picture.

    Args:
        pixels: `(H, W, 3)` uint8, RGB. It is left as it is.
        faces: by number; a number is written only where there are several faces.

    Returns:
        `(H, W, 3)` uint8, RGB.
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    size = max(11, round(max(pixels.shape[:2]) / 48))
    font, width = ImageFont.load_default(size), max(2, size // 7)
    for number, face in faces.items():
        color = COLORS.get(face.emotion, OTHER_COLOR)
        left, top, right, bottom = (*face.box[:2], face.box.x + face.box.width, face.box.y + face.box.height)
        draw.rectangle((left, top, right, bottom), outline=color, width=width)
        text = f"{face.emotion} {100 * face.confidence:.0f} %"
        _label(draw, (left, top), f"{number}: {text}" if len(faces) > 1 else text, font, color)
    return np.asarray(image)


def write_annotated(source: Path, faces: list[Face], target: Path) -> None:
    """Draws faces into a copy of a picture, in its own size.

    Args:
        source: the picture.
        faces: found in it; they are numbered from 1.
        target: of the same kind where that is JPEG, PNG or WebP; else a JPEG, with `.jpg` added to its name; or a PNG,
            with `.png` added, where the picture is too long for its kind.

    Raises:
        OutputError: if it cannot be written.
        ImageError: if the picture cannot be read.
    """
    from PIL import Image

    image = Image.fromarray(annotated(read_image(source).pixels, dict(enumerate(faces, start=1))))
    if target.suffix.lower() not in KEPT_SUFFIXES:
        target = target.with_name(f"{target.name}.jpg")
    form = KEPT_SUFFIXES[target.suffix.lower()]
    if max(image.size) > LONGEST_SIDES.get(form, math.inf):
        target, form = target.with_name(f"{target.name}.png"), "PNG"
    write_atomically(target, lambda file: image.save(file, form, quality=90))


def _label(draw, corner, text, font, color) -> None:  # type: ignore[no-untyped-def]  # Pillow's own types
    """Text on a patch of color, above the corner, or below it where the picture ends."""
    from PIL import ImageColor

    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    height, pad = bottom - top, max(2, (bottom - top) // 4)
    x, y = max(0, corner[0]), corner[1] - height - 2 * pad
    y = y if y >= 0 else max(0, corner[1])
    draw.rectangle((x, y, x + right - left + 2 * pad, y + height + 2 * pad), fill=color)
    red, green, blue = ImageColor.getrgb(color)[:3]
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < DARK
    draw.text((x + pad - left, y + pad - top), text, font=font, fill="white" if dark else "black")
