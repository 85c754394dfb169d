"""Code shared by all HTML pages: the Jinja environment and inline PNG images."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ferlab.errors import MissingExtraError
from ferlab.formatting import count, duration, percent, short

if TYPE_CHECKING:
    import jinja2


def environment(templates: Path, *, extra: str = "evaluate") -> "jinja2.Environment":
    """Create a Jinja environment with the filters `percent`, `count`, `duration`, `short` and `data_url`.

    Values are escaped in templates named `*.html.jinja`. An undefined name raises.

    Args:
        templates: folder of the templates.
        extra: the extra to install if Jinja is missing.

    Raises:
        MissingExtraError: if Jinja is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise MissingExtraError(extra, "jinja2") from None
    created = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    created.filters |= {
        "percent": percent,
        "count": count,
        "duration": duration,
        "short": short,
        "data_url": png_data_url,
    }
    return created


def png(image: np.ndarray) -> bytes:
    """Encode an image as PNG.

    Args:
        image: `(H, W)` grayscale or `(H, W, 3)` BGR, uint8.
    """
    return cv2.imencode(".png", image)[1].tobytes()


def png_data_url(image: np.ndarray) -> str:
    """Encode an image `(H, W)` or `(H, W, 3)` BGR, uint8, as a PNG data URL for the `src` of an HTML image."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()
