"""What several generated blocks need: results, tables and numbers."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ferlab.data import Split
from ferlab.data.fer2013 import SPLIT_SIZES

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
SOURCE = ROOT / "src" / "ferlab"
SPLIT_TITLES = {"validation": "PublicTest", "test": "PrivateTest"}
FULL_TRAINING = SPLIT_SIZES[Split.TRAIN]


def read(path: Path) -> dict[str, Any]:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Format a Markdown table."""
    lines = [f"| {' | '.join(str(cell) for cell in row)} |\n" for row in (header, *rows)]
    return "".join([lines[0], "|---" * len(header) + "|\n", *lines[1:]])


def percent(share: float, digits: int = 1) -> str:
    """Format a share 0..1 in percent, without the sign."""
    return f"{100 * share:.{digits}f}"


def interval(bounds: Sequence[float]) -> str:
    """Format an interval of shares in percent."""
    return f"{percent(bounds[0])} – {percent(bounds[1])}"


def split_titles(splits: Sequence[str]) -> str:
    """Format the splits of `selected_on` by their FER2013 names."""
    return " and ".join(SPLIT_TITLES[name] for name in splits) or "–"
