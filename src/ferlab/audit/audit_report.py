"""Write an audit as audit.json, audit.csv and audit.html."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.audit.audit import REASONS, Audit, Suspicion
from ferlab.audit.near_duplicates import THRESHOLD
from ferlab.csv_files import TableWriter, guarded
from ferlab.data import Split
from ferlab.files import write_text
from ferlab.formatting import percent
from ferlab.json_files import write_result
from ferlab.report.html import environment

COLUMNS = (
    "reason", "split", "label", "suggested", "name", "partner_split", "partner_label", "partner", "score",
)  # fmt: skip
TEMPLATES = Path(__file__).with_name("templates")
MAX_SHOWN = 24  # images of each reason on the page
AROUND_THRESHOLD = 12  # pairs shown just above the threshold, and as many just below


@dataclass(frozen=True, kw_only=True)
class Card:
    """An image, or two side by side, with lines of text."""

    image: np.ndarray
    lines: tuple[str, ...]


def write_audit(found: Audit, folder: str | Path, *, images: bool = True) -> Path:
    """Write audit.json, audit.csv and audit.html.

    Args:
        found: the result of `audit`.
        folder: output folder; created if it is missing.
        images: show images of the dataset on the page. False if they must not be shared.

    Returns:
        The path of the HTML page.

    Raises:
        MissingExtraError: if the libraries of the extra `audit` are not installed.
        OutputError: if the folder is not writable.
    """
    page = (
        environment(TEMPLATES, extra="audit")
        .get_template("audit.html.jinja")
        .render(
            audit=found.summary,
            reasons=REASONS,
            max_shown=MAX_SHOWN,
            shown=_by_reason(found) if images else {},
            around=_around_threshold(found) if images else {},
        )
    )
    folder = Path(folder)
    write_result(folder / "audit.json", found.summary)
    write_text(folder / "audit.csv", _table(found))
    write_text(folder / "audit.html", page)
    return folder / "audit.html"


def _table(found: Audit) -> str:
    text = io.StringIO()
    writer = TableWriter(text)
    writer.write(COLUMNS)
    for item in found.suspicions:
        row: dict[str, Any] = {"reason": item.reason, "suggested": item.suggested, "score": round(item.score, 4)}
        row |= _described(found, item.index)
        if item.partner is not None:
            row |= {f"partner_{key}": value for key, value in _described(found, item.partner).items()}
            row["partner"] = row.pop("partner_name")
        row |= {key: guarded(row[key]) for key in ("name", "partner") if key in row}
        writer.write(row.get(name, "") for name in COLUMNS)
    return text.getvalue()


def _described(found: Audit, index: int) -> dict[str, str]:
    data = found.dataset
    return {
        "split": Split(data.splits[index]).label,
        "label": data.class_names[data.labels[index]],
        "name": str(data.names[index]),
    }


def _by_reason(found: Audit) -> dict[str, list[Card]]:
    """Choose images for each reason: evenly spaced, or the first ones if they are ranked."""
    shown: dict[str, list[Card]] = {}
    for reason in REASONS:
        items = [item for item in found.suspicions if item.reason == reason]
        ranked = reason == "likely label error"
        step = 1 if ranked else max(1, len(items) // MAX_SHOWN)
        shown[reason] = [_card(found, item) for item in items[::step][:MAX_SHOWN]]
    return shown


def _card(found: Audit, item: Suspicion) -> Card:
    one = _described(found, item.index)
    if item.partner is None:
        score = f" ({percent(item.score, 0)} %)" if item.score < 1 else ""
        lines = (f"{one['label']}, {one['split']}", f"{item.suggested}{score}".strip())
        return Card(image=found.dataset.images[item.index], lines=lines)
    other = _described(found, item.partner)
    score = f"similarity {item.score:.2f}" if item.reason == "near copy" else ""
    return Card(
        image=_side_by_side(found, item.partner, item.index),
        lines=(f"{other['label']}, {other['split']} | {one['label']}, {one['split']}", score),
    )


def _side_by_side(found: Audit, *indices: int) -> np.ndarray:
    return np.hstack([found.dataset.images[index] for index in indices])


def _around_threshold(found: Audit) -> dict[str, list[Card]]:
    """Choose the pairs of near copies just above and just below the threshold."""
    near = found.near
    counted = int(np.sum(near.similarity >= THRESHOLD))  # sorted, most similar first
    ranges = {
        "just above": range(max(0, counted - AROUND_THRESHOLD), counted),
        "just below": range(counted, min(len(near), counted + AROUND_THRESHOLD)),
    }
    return {
        side: [
            Card(
                image=_side_by_side(found, int(near.first[index]), int(near.second[index])),
                lines=(f"{near.similarity[index]:.3f}{', mirrored' if near.mirrored[index] else ''}",),
            )
            for index in indices
        ]
        for side, indices in ranges.items()
    }
