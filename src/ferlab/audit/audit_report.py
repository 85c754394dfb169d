"""The three forms of an audit: audit.json, audit.csv and audit.html."""

import base64
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ferlab.audit.audit import REASONS, Audit, Suspicion
from ferlab.audit.near_duplicates import THRESHOLD
from ferlab.data import Split
from ferlab.errors import MissingExtraError
from ferlab.files import write_atomically
from ferlab.formatting import percent
from ferlab.results import SCHEMA, write_json

COLUMNS = (
    "reason", "split", "label", "suggested", "name", "partner_split", "partner_label", "partner", "score",
)  # fmt: skip
MOST_SHOWN = 24  # of each reason, on the page
AROUND_THRESHOLD = 12  # pairs just above it, and as many just below


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A picture, or two side by side, with what is said of it."""

    image: np.ndarray
    lines: tuple[str, ...]


def write_audit(found: Audit, folder: str | Path, *, images: bool = True) -> Path:
    """Writes audit.json, audit.csv and audit.html.

    Args:
        found: what `audit` returned.
        folder: where to; made where it is missing.
        images: show images of the data set on the page; False where they may not be passed on.

    Returns:
        The page.

    Raises:
        MissingExtraError: if the libraries of the extra `audit` are not installed.
        RunError: if the folder cannot be written to.
    """
    try:
        import jinja2
    except ImportError:
        raise MissingExtraError("audit", "jinja2") from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "data_url": _data_url}
    page = environment.get_template("audit.html.jinja").render(
        audit=found.summary,
        reasons=REASONS,
        most_shown=MOST_SHOWN,
        shown=_by_reason(found) if images else {},
        around=_around_threshold(found) if images else {},
    )
    folder = Path(folder)
    write_json(folder / "audit.json", {"schema": SCHEMA, **found.summary})
    write_atomically(folder / "audit.csv", lambda file: file.write(_table(found).encode()))
    write_atomically(folder / "audit.html", lambda file: file.write(page.encode()))
    return folder / "audit.html"


def _table(found: Audit) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for item in found.suspicions:
        row: dict[str, Any] = {"reason": item.reason, "suggested": item.suggested, "score": round(item.score, 4)}
        row |= _described(found, item.index)
        if item.partner is not None:
            row |= {f"partner_{key}": value for key, value in _described(found, item.partner).items()}
            row["partner"] = row.pop("partner_name")
        writer.writerow(row)
    return text.getvalue()


def _described(found: Audit, index: int) -> dict[str, str]:
    data = found.dataset
    return {
        "split": Split(data.splits[index]).label,
        "label": data.class_names[data.labels[index]],
        "name": str(data.names[index]),
    }


def _by_reason(found: Audit) -> dict[str, list[Shown]]:
    """By reason the first images, evenly spread over all of that reason where their order says nothing."""
    shown: dict[str, list[Shown]] = {}
    for reason in REASONS:
        items = [item for item in found.suspicions if item.reason == reason]
        ranked = reason == "likely label error"
        step = 1 if ranked else max(1, len(items) // MOST_SHOWN)
        shown[reason] = [_shown(found, item) for item in items[::step][:MOST_SHOWN]]
    return shown


def _shown(found: Audit, item: Suspicion) -> Shown:
    one = _described(found, item.index)
    if item.partner is None:
        score = f" ({percent(item.score, 0)} %)" if item.score < 1 else ""
        lines = (f"{one['label']}, {one['split']}", f"{item.suggested}{score}".strip())
        return Shown(image=found.dataset.images[item.index], lines=lines)
    other = _described(found, item.partner)
    score = f"similarity {item.score:.2f}" if item.reason == "near copy" else ""
    return Shown(
        image=_side_by_side(found, item.partner, item.index),
        lines=(f"{other['label']}, {other['split']} | {one['label']}, {one['split']}", score),
    )


def _side_by_side(found: Audit, *indices: int) -> np.ndarray:
    return np.hstack([found.dataset.images[index] for index in indices])


def _around_threshold(found: Audit) -> dict[str, list[Shown]]:
    """The pairs of near copies just above the threshold, and those just below."""
    near = found.near
    counted = int(np.sum(near.similarity >= THRESHOLD))  # they are sorted, most similar first
    ranges = {
        "just above": range(max(0, counted - AROUND_THRESHOLD), counted),
        "just below": range(counted, min(len(near), counted + AROUND_THRESHOLD)),
    }
    return {
        side: [
            Shown(
                image=_side_by_side(found, int(near.first[index]), int(near.second[index])),
                lines=(f"{near.similarity[index]:.3f}{', mirrored' if near.mirrored[index] else ''}",),
            )
            for index in indices
        ]
        for side, indices in ranges.items()
    }


def _data_url(image: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()
