"""Which model is ahead, and whether by more than the noise: statistics of scores over seeds and over images."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ferlab.evaluation.metrics import bootstrap_interval

Entry = Mapping[str, Any]
LEVEL = 0.05  # of significance, over all pairs of a comparison
NORMAL_95 = 1.96  # standard deviations on either side of 95 % of a normal variable


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


def differences(hits: Mapping[str, Sequence[np.ndarray]], groups: np.ndarray) -> list[dict[str, Any]]:
    """Differences in mean accuracy between any two recipes that answered the same images.

    Args:
        hits: by recipe, best first, one boolean array `(N,)` per seed: which images were answered rightly.
        groups: `(N,)` number of each image's group of copies.

    Returns:
        Per pair:
        `first, second, difference` of the mean accuracies and its `interval` (95 %). The noise of the images is that of
        the paired differences, by a bootstrap over groups of copies; where both recipes have several seeds, the noise
        between seeds is added in quadrature, and `seeds` is true.
        `p_value` that two recipes of equal accuracy differ by as much: with one seed each, McNemar's test on the images
        that just one answers rightly (https://doi.org/10.1007/BF02295996), exact, copies counted once; else that of a
        normal variable of the interval's width.
        `holm_p_value`, corrected for the number of pairs (https://www.jstor.org/stable/4615733), and `distinct`:
        whether it is below 0.05.
    """
    from statsmodels.stats.multitest import multipletests

    pairs = [_difference(first, second, hits, groups) for first, second in combinations(hits, 2)]
    if pairs:
        distinct, corrected, *_ = multipletests([pair["p_value"] for pair in pairs], LEVEL, method="holm")
        for pair, sure, p_value in zip(pairs, distinct, corrected, strict=True):
            pair |= {"holm_p_value": float(p_value), "distinct": bool(sure)}
    return pairs


def add_ties(ranking: Sequence[dict[str, Any]], pairs: Sequence[Mapping[str, Any]]) -> None:
    """Says in each row of a ranking, under `tied_with`, from which other recipes it is not told apart."""
    for row in ranking:
        name = row["recipe"]
        both = [(pair["first"], pair["second"]) for pair in pairs if not pair["distinct"]]
        row["tied_with"] = [one if other == name else other for one, other in both if name in (one, other)]


def _difference(
    first: str, second: str, hits: Mapping[str, Sequence[np.ndarray]], groups: np.ndarray
) -> dict[str, Any]:
    one, other = (np.stack(list(hits[name])).astype(float) for name in (first, second))  # (S, N)
    paired = one.mean(axis=0) - other.mean(axis=0)  # (N,), -1..1
    low, high = bootstrap_interval(paired, groups)
    seeds_half = seeds_half_width(one.mean(axis=1), other.mean(axis=1))
    difference, half = float(paired.mean()), math.hypot((high - low) / 2, seeds_half)
    if len(one) == len(other) == 1:
        _, firsts = np.unique(groups, return_index=True)
        p_value = mcnemar_p_value(one[0, firsts] > 0, other[0, firsts] > 0)
    else:
        p_value = _normal_p_value(difference, half)
    return {
        "first": first,
        "second": second,
        "difference": difference,
        "interval": [difference - half, difference + half],
        "seeds": min(len(one), len(other)) > 1,
        "p_value": p_value,
    }


def mcnemar_p_value(one: np.ndarray, other: np.ndarray) -> float:
    """McNemar's exact test (https://doi.org/10.1007/BF02295996) on two models' right answers `(N,)` bool."""
    from statsmodels.stats.contingency_tables import mcnemar

    table = [[np.sum(one & other), np.sum(one & ~other)], [np.sum(~one & other), np.sum(~one & ~other)]]
    return float(mcnemar(table, exact=True).pvalue)


def _normal_p_value(difference: float, half: float) -> float:
    from scipy.stats import norm

    return float(2 * norm.sf(NORMAL_95 * abs(difference) / half)) if half else float(difference == 0)
