"""Which model is ahead, and whether by more than the noise: statistics of scores over seeds and over images."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

Entry = Mapping[str, Any]


def rank(entries: Sequence[Entry], split: str) -> list[dict[str, Any]]:
    """Orders recipes by their mean accuracy over seeds on one split.

    Args:
        entries: as in comparison.json; those without a score on that split are left out.
        split: `test` or `validation`.

    Returns:
        Best first: `rank, recipe, seeds, accuracy` (mean), `spread` (standard deviation over seeds), `interval` (95 %,
        over images, of the mean), `seed_interval` (95 %, Student's t, over seeds), `selected_on`. Spread and
        `seed_interval` are null for one seed.
    """
    scored: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry[split]:
            scored.setdefault(entry["recipe"], []).append(entry)
    rows = [_row(recipe, group, split) for recipe, group in scored.items()]
    rows.sort(key=lambda row: -row["accuracy"])
    return [{"rank": position, **row} for position, row in enumerate(rows, start=1)]


def _row(recipe: str, group: list[Entry], split: str) -> dict[str, Any]:
    accuracies = [entry[split]["accuracy"] for entry in group]
    intervals = [entry[split]["accuracy_interval"] for entry in group]
    mean, several = float(np.mean(accuracies)), len(group) > 1
    half = seeds_half_width(accuracies)
    return {
        "recipe": recipe,
        "seeds": len(group),
        "accuracy": mean,
        "spread": float(np.std(accuracies, ddof=1)) if several else None,
        "interval": [float(bound) for bound in np.mean(intervals, axis=0)],
        "seed_interval": [max(0.0, mean - half), min(1.0, mean + half)] if several else None,
        "selected_on": group[0]["selected_on"],
    }


def seeds_half_width(*groups: Sequence[float] | np.ndarray) -> float:
    """Half the 95 % interval, over seeds, of a mean or of the difference of two means; 0 where a group has one seed.

    Student's t with Welch's degrees of freedom (https://doi.org/10.1093/biomet/34.1-2.28).
    """
    from scipy.stats import t

    if min(len(group) for group in groups) < 2:
        return 0.0
    parts = [float(np.var(group, ddof=1)) / len(group) for group in groups]
    if not sum(parts):
        return 0.0
    freedom = sum(parts) ** 2 / sum(part**2 / (len(group) - 1) for part, group in zip(parts, groups, strict=True))
    return float(t.ppf(0.975, freedom)) * math.sqrt(sum(parts))


def differences(hits: Mapping[str, Sequence[np.ndarray]]) -> list[dict[str, Any]]:
    """Differences in mean accuracy between any two recipes that answered the same images.

    Args:
        hits: by recipe, best first, one boolean array `(N,)` per seed: which images were answered rightly.

    Returns:
        Per pair `first, second, difference` (of mean accuracies), `interval` (95 %) and `seeds` (whether it covers
        the noise of training). The noise of the images is that of the paired differences image by image; where both
        recipes have several seeds, the noise between seeds is added in quadrature.
    """
    return [_difference(first, second, hits) for first, second in combinations(hits, 2)]


def _difference(first: str, second: str, hits: Mapping[str, Sequence[np.ndarray]]) -> dict[str, Any]:
    one, other = (np.stack(list(hits[name])).astype(float) for name in (first, second))  # (S, N)
    paired = one.mean(axis=0) - other.mean(axis=0)  # (N,), -1..1
    images_half = 1.96 * float(paired.std(ddof=1)) / math.sqrt(len(paired)) if len(paired) > 1 else 1.0
    seeds_half = seeds_half_width(one.mean(axis=1), other.mean(axis=1))
    difference, half = float(paired.mean()), math.hypot(images_half, seeds_half)
    return {
        "first": first,
        "second": second,
        "difference": difference,
        "interval": [difference - half, difference + half],
        "seeds": min(len(one), len(other)) > 1,
    }
