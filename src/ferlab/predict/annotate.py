"""Draw bounding boxes and emotions on images."""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ferlab.emotions import COLORS
from ferlab.files import write_atomically
from ferlab.predict.results import Face

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

OTHER_COLOR = "#56B4E9"  # for classes outside FER2013
DARK = 128  # luma below which white text is more legible than black text
FORMATS_BY_SUFFIX = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
MAX_SIDES = {"JPEG": 65_500, "WEBP": 16_383}  # pixels that the format or its encoder supports


def annotate_image(pixels: np.ndarray, faces: Mapping[int, Face]) -> np.ndarray:
    """Draw faces on a copy of an image.

    Args:
        pixels: `(H, W, 3)` uint8, RGB.
        faces: faces by number. The number is shown only if there are several faces.

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
        x, y, box_width, box_height = face.box
        draw.rectangle((x, y, x + box_width, y + box_height), outline=color, width=width)
        text = f"{face.emotion} {100 * face.confidence:.0f} %"
        _draw_label(draw, (x, y), f"{number}: {text}" if len(faces) > 1 else text, font, color)
    return np.asarray(image)


def write_image(pixels: np.ndarray, target: Path) -> Path:
    """Write an image in the format that the suffix of its file names.

    Args:
        pixels: `(H, W, 3)` uint8, RGB.
        target: the output file. JPEG, PNG and WebP keep their format. Other files become a JPEG, with `.jpg` appended
            to the name. Images that are too large for their format become a PNG, with `.png` appended.

    Returns:
        The file that was written.

    Raises:
        OutputError: if the file cannot be written.
    """
    from PIL import Image

    image = Image.fromarray(pixels)
    if target.suffix.lower() not in FORMATS_BY_SUFFIX:
        target = target.with_name(f"{target.name}.jpg")
    file_format = FORMATS_BY_SUFFIX[target.suffix.lower()]
    if max(image.size) > MAX_SIDES.get(file_format, math.inf):
        target, file_format = target.with_name(f"{target.name}.png"), "PNG"
    content = io.BytesIO()  # written directly to a file on a full disk, Pillow loses the end without an error
    image.save(content, file_format, quality=90)
    write_atomically(target, lambda file: file.write(content.getbuffer()))
    return target


def _draw_label(
    draw: "ImageDraw", corner: tuple[int, int], text: str, font: "FreeTypeFont | BitmapFont", color: str
) -> None:
    """Draw text on a colored background above a corner, or below it at the top of the image, and inside the image."""
    from PIL import ImageColor

    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    height, pad = bottom - top, max(2, (bottom - top) // 4)
    image_width = draw.im.size[0]
    x, y = max(0, min(corner[0], image_width - int(right - left) - 2 * pad - 1)), corner[1] - height - 2 * pad
    y = y if y >= 0 else max(0, corner[1])
    draw.rectangle((x, y, x + right - left + 2 * pad, y + height + 2 * pad), fill=color)
    red, green, blue = ImageColor.getrgb(color)[:3]
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < DARK
    draw.text((x + pad - left, y + pad - top), text, font=font, fill="white" if dark else "black")
