"""Findings: sentences worked out from the numbers of a comparison, each by one function that may also stay silent.

A finding takes the comparison and the histories of its runs, and yields sentences. A model that has not clearly left
the level of guessing is called under-trained, and no other finding speaks of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Comparison = Mapping[str, Any]
Histories = Mapping[str, list[dict[str, float]]]  # run -> one dictionary per epoch

MAJORITY = "baseline_majority"
OVERFITTING_RISE = 0.10  # relative rise of the validation loss above its minimum that counts


def findings(comparison: Comparison, histories: Histories) -> list[str]:
    """All findings of a comparison, in the order in which a reader wants them."""
    kinds = (_failed, _winner, _under_trained, _below_pixels, _selected_on_test, _study_against_fair, _overfitting)
    return [sentence for kind in kinds for sentence in kind(comparison, histories)]


def _failed(comparison: Comparison, histories: Histories) -> Iterator[str]:
    for entry in comparison["entries"]:
        if entry["status"] in ("failed", "interrupted"):
            reason = f": {entry['reason']}" if entry["reason"] else ""
            yield f"{entry['recipe']} (seed {entry['seed']}) {_past_tense(entry['status'])}{reason}"


def _winner(comparison: Comparison, histories: Histories) -> Iterator[str]:
    rows = _trained_rows(comparison)
    if len(rows) < 2:
        return
    first, second = rows[0], rows[1]
    lead = 100 * (first["accuracy"] - second["accuracy"])
    split = comparison["ranked_on"]
    if first["interval"][0] > second["interval"][1]:
        yield (
            f"{first['recipe']} has the highest {split} accuracy, {_percent(first)}, {lead:.1f} points above "
            f"{second['recipe']}; the 95 % intervals do not overlap."
        )
    else:
        yield (
            f"{first['recipe']} has the highest {split} accuracy, {_percent(first)}, but {second['recipe']} is only "
            f"{lead:.1f} points behind and their 95 % intervals overlap: this comparison does not tell them apart."
        )


def _under_trained(comparison: Comparison, histories: Histories) -> Iterator[str]:
    for row in comparison["ranking"]:
        if not row["recipe"].startswith("baseline_") and _near_chance(row, comparison):
            yield (
                f"{row['recipe']} is under-trained: its accuracy of {_percent(row)} is not clearly above that of "
                "always naming the commonest class. Nothing is concluded from it."
            )


def _below_pixels(comparison: Comparison, histories: Histories) -> Iterator[str]:
    pixels = _row(comparison, "baseline_pixels")
    for row in _trained_rows(comparison):
        if pixels and row["accuracy"] < pixels["accuracy"]:
            yield f"{row['recipe']} ({_percent(row)}) is below logistic regression on pixels ({_percent(pixels)})."


def _selected_on_test(comparison: Comparison, histories: Histories) -> Iterator[str]:
    ranked_on = comparison["ranked_on"]
    flagged = [row["recipe"] for row in comparison["ranking"] if ranked_on in (row["selected_on"] or "").split("+")]
    for recipe in flagged if ranked_on == "test" else []:
        yield f"{recipe} chose the best epoch on the test split as well, which makes its test accuracy too high."


def _study_against_fair(comparison: Comparison, histories: Histories) -> Iterator[str]:
    for row in _trained_rows(comparison):
        if not row["recipe"].startswith("study_"):
            continue
        name = row["recipe"].removeprefix("study_")
        twins = [_row(comparison, f"fair_{name}"), _row(comparison, f"fair_{name}_imagenet")]
        for twin in filter(None, twins):
            gain = 100 * (twin["accuracy"] - row["accuracy"])
            sure = twin["interval"][0] > row["interval"][1] or row["interval"][0] > twin["interval"][1]
            doubt = "" if sure else ", within the 95 % intervals"
            yield f"{twin['recipe']} scores {gain:+.1f} points against {row['recipe']}, the study's own recipe{doubt}."


def _overfitting(comparison: Comparison, histories: Histories) -> Iterator[str]:
    trained = {row["recipe"] for row in _trained_rows(comparison)}
    for entry in comparison["entries"]:
        history = histories.get(entry["run"] or "", [])
        if entry["recipe"] not in trained or len(history) < 3:
            continue
        lowest = min(range(len(history)), key=lambda index: history[index]["val_loss"])
        last = history[-1]
        rises = last["val_loss"] > (1 + OVERFITTING_RISE) * history[lowest]["val_loss"]
        if rises and last["loss"] < history[lowest]["loss"]:
            yield (
                f"{entry['recipe']} (seed {entry['seed']}) overfits from epoch {lowest + 2} on: its training loss "
                f"goes on falling while its validation loss rises from {history[lowest]['val_loss']:.3f} to "
                f"{last['val_loss']:.3f}."
            )


def _trained_rows(comparison: Comparison) -> list[Mapping[str, Any]]:
    """The ranked models from which something can be concluded."""
    rows = [row for row in comparison["ranking"] if not row["recipe"].startswith("baseline_")]
    return [row for row in rows if not _near_chance(row, comparison)]


def _near_chance(row: Mapping[str, Any], comparison: Comparison) -> bool:
    majority = _row(comparison, MAJORITY)
    return majority is not None and row["interval"][0] <= majority["interval"][1]


def _row(comparison: Comparison, recipe: str) -> Mapping[str, Any] | None:
    return next((row for row in comparison["ranking"] if row["recipe"] == recipe), None)


def _percent(row: Mapping[str, Any]) -> str:
    return f"{100 * row['accuracy']:.1f} %"


def _past_tense(status: str) -> str:
    return "failed" if status == "failed" else "was interrupted"
