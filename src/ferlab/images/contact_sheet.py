"""Contact sheets: rows of labeled images in one PNG."""

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ferlab.files import write_atomically

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

FONT_SIZE = 13  # pixels
SYSTEM_FONTS = ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")  # Pillow's own font only has ASCII characters
MARGIN, GAP, CAPTION_HEIGHT = 6, 4, 18  # pixels
DEFAULT_SHAPE = (48, 48)  # of a sheet without images


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a contact sheet.

    Args:
        label: text to the left of the images; it may have several lines.
        images: grayscale images, all `(H, W)` uint8. The list may be empty.
        captions: texts above the images; empty for no captions.
    """

    label: str
    images: Sequence[np.ndarray]
    captions: Sequence[str] = ()


def contact_sheet(rows: Sequence[Row], *, scale: int = 1) -> np.ndarray:
    """Arrange labeled images in rows.

    Args:
        rows: at least one row. All images have the same size.
        scale: integer factor by which the images are enlarged.

    Returns:
        The sheet, grayscale, `(height, width)` uint8.
    """
    shapes = [image.shape for row in rows for image in row.images]
    height, width = (scale * length for length in (shapes or [DEFAULT_SHAPE])[0])
    caption_height = CAPTION_HEIGHT if any(row.captions for row in rows) else 0
    left = 2 * MARGIN + max(_text_width(row.label) for row in rows)
    columns = max(len(row.images) for row in rows)
    size = (left + columns * (width + GAP), len(rows) * (height + caption_height))
    sheet = Image.new("L", size, 255)
    draw = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        top = number * (height + caption_height)
        _draw_text(draw, (MARGIN, top + (caption_height + height) // 2), row.label)
        for column, image in enumerate(row.images):
            enlarged = Image.fromarray(image).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left + column * (width + GAP), top + caption_height))
        for column, caption in enumerate(row.captions):
            _draw_text(draw, (left + column * (width + GAP), top + caption_height // 2), caption)
    return np.asarray(sheet)


def write_contact_sheet(path: Path, rows: Sequence[Row], *, scale: int = 1) -> None:
    """Write a contact sheet as PNG, see `contact_sheet`.

    Raises:
        OutputError: if the file cannot be written.
    """
    sheet = Image.fromarray(contact_sheet(rows, scale=scale))
    content = io.BytesIO()  # written directly to a file on a full disk, Pillow loses the end without an error
    sheet.save(content, "PNG", optimize=True)
    write_atomically(path, lambda file: file.write(content.getbuffer()))


def _text_width(text: str) -> int:
    font, shown = _font_for(text)
    return max(round(font.getlength(line)) for line in shown.split("\n"))


def _draw_text(draw: ImageDraw.ImageDraw, position: tuple[int, int], text: str) -> None:
    """Draw text whose left edge is centered vertically at a position (x, y)."""
    font, shown = _font_for(text)
    draw.text(position, shown, fill=0, font=font, anchor="lm")


def _font_for(text: str) -> tuple[Font, str]:
    """Return a font that can show a text; if there is none, Pillow's own font and the text in ASCII."""
    for font in _fonts():
        if all(_has_glyph(font, character) for character in text.replace("\n", "")):
            return font, text
    return _fonts()[0], to_ascii(text)


@cache
def _fonts() -> list[Font]:
    fonts: list[Font] = [ImageFont.load_default(FONT_SIZE)]
    for name in SYSTEM_FONTS:
        try:
            fonts.append(ImageFont.truetype(name, FONT_SIZE))
        except OSError:  # not installed
            continue
    return fonts


def _has_glyph(font: Font, character: str) -> bool:
    return character == " " or bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))


def to_ascii(text: str) -> str:
    """Write a text in ASCII: without accents, and with code points for characters of other scripts.

    Example:
        >>> to_ascii("vögel"), to_ascii("悲")
        ('vogel', 'U+60B2')
    """
    decomposed = unicodedata.normalize("NFKD", text)
    characters = (character for character in decomposed if not unicodedata.combining(character))
    return "".join(character if character.isascii() else f"U+{ord(character):04X}" for character in characters)
