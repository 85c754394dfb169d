"""Synthetic faces of another style than the demo's: other line widths, shades and framing."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ferlab.data import demo
from ferlab.emotions import EMOTIONS

PERSON = demo.PERSON_RANGES | {
    "skin": (40, 90),
    "hair": (150, 230),
    "brow_width": (0.14, 0.2),
    "eye_size": (0.12, 0.16),
}
VIEW = demo.VIEW_RANGES | {"scale": (1.1, 1.25), "shift_y": (-4, 4), "background": (0, 60), "roll": (-0.3, 0.0)}


def other_style(emotion: str, generator: np.random.Generator) -> np.ndarray:
    """Render a dark face with light hair, thick brows and small eyes, close and tilted: `(48, 48)` uint8."""
    prototype = generator.uniform(0.9, 1.2) * np.array(demo.PROTOTYPES[emotion])
    expression = demo.Expression(*(prototype + generator.normal(0, demo.ACTION_SPREAD, len(prototype))).tolist())
    person = demo.Person(**{name: generator.uniform(*limits) for name, limits in PERSON.items()})
    view = demo.View(**{name: generator.uniform(*limits) for name, limits in VIEW.items()})
    return demo.render(expression, person, view)


def write_style(folder: Path, count: int, classes: Sequence[str] | None = None, seed: int = 0) -> Path:
    """Write `count` faces of each class as `<class>/<number>.png`."""
    generator = np.random.default_rng(seed)
    for emotion in classes or EMOTIONS:
        (folder / emotion).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            cv2.imwrite(str(folder / emotion / f"{number:03d}.png"), other_style(emotion, generator))
    return folder
