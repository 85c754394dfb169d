"""Statistics of accuracies over seeds and over images: ranking, paired tests, and ties."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from ferlab.comparison.results import Difference, Entry, RankedRecipe
from ferlab.evaluation.metrics import bootstrap_mean
from ferlab.evaluation.paired import mcnemar_p_value
from ferlab.results import Interval

LEVEL = 0.05  # significance level, over all pairs of a comparison


def rank(entries: Sequence[Entry], split: str) -> list[RankedRecipe]:
    """Rank recipes by their mean accuracy over seeds on one split, best first.

    Args:
        entries: runs and baselines; those without metrics on that split are left out.
        split: `test` or `validation`.
    """
    scored: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.metrics(split):
            scored.setdefault(entry.recipe, []).append(entry)
    rows = sorted((_row(runs, split) for runs in scored.values()), key=lambda row: -row.accuracy)
    return [replace(row, rank=position) for position, row in enumerate(rows, start=1)]


def _row(runs: list[Entry], split: str) -> RankedRecipe:
    metrics = [found for entry in runs if (found := entry.metrics(split))]
    accuracies = [found.accuracy for found in metrics]
    low, high = np.mean([found.accuracy_interval for found in metrics], axis=0)
    several = len(runs) > 1
    return RankedRecipe(
        rank=0,
        recipe=runs[0].recipe,
        group=runs[0].group,
        seeds=len(runs),
        accuracy=float(np.mean(accuracies)),
        spread=float(np.std(accuracies, ddof=1)) if several else None,
        interval=(float(low), float(high)),
        seed_interval=_seed_interval(accuracies) if several else None,
        selected_on=tuple(dict.fromkeys(split for entry in runs for split in entry.selected_on)),
    )


def _seed_interval(accuracies: list[float]) -> Interval:
    from scipy.stats import t

    mean, error = np.mean(accuracies), np.std(accuracies, ddof=1) / math.sqrt(len(accuracies))
    half = float(t.ppf(0.975, len(accuracies) - 1) * error)
    return max(0.0, float(mean) - half), min(1.0, float(mean) + half)


def differences(correct: Mapping[str, Sequence[np.ndarray]], copies: np.ndarray) -> list[Difference]:
    """Compare all pairs of recipes that were scored on the same images.

    With one seed each: McNemar's exact test (https://doi.org/10.1007/BF02295996), with copies counted once, and the
    percentile bootstrap over groups of copies.

    With more seeds: a t-test of the mean difference. Its variance is the sum of the variance over images (paired, by
    bootstrap over groups of copies) and, if both recipes have several seeds, the variances of the two means over seeds.
    The degrees of freedom are Welch and Satterthwaite's (https://doi.org/10.1093/biomet/34.1-2.28).

    P-values are corrected for the number of pairs by Holm's method (https://www.jstor.org/stable/4615733).

    Args:
        correct: by recipe, best first: for each seed, which predictions are correct, `(N,)` bool.
        copies: group number of identical images, `(N,)`.
    """
    from statsmodels.stats.multitest import multipletests

    pairs = [_compare(first, second, correct, copies) for first, second in combinations(correct, 2)]
    if not pairs:
        return []
    significant, corrected, *_ = multipletests([pair.p_value for pair in pairs], LEVEL, method="holm")
    return [
        replace(pair, holm_p_value=float(p_value), significant=bool(sure))
        for pair, sure, p_value in zip(pairs, significant, corrected, strict=True)
    ]


def with_ties(ranking: Sequence[RankedRecipe], pairs: Sequence[Difference]) -> list[RankedRecipe]:
    """Add to each row the recipes that are not significantly different from it."""
    ties: dict[str, list[str]] = {row.recipe: [] for row in ranking}
    for pair in pairs:
        if not pair.significant:
            ties[pair.first].append(pair.second)
            ties[pair.second].append(pair.first)
    return [replace(row, tied_with=tuple(ties[row.recipe])) for row in ranking]


def _compare(first: str, second: str, correct: Mapping[str, Sequence[np.ndarray]], copies: np.ndarray) -> Difference:
    one, other = (np.stack(list(correct[name])).astype(float) for name in (first, second))  # (S, N)
    paired = one.mean(axis=0) - other.mean(axis=0)  # (N,), -1..1
    difference = float(paired.mean())
    interval, error = bootstrap_mean(paired, copies)
    if len(one) == len(other) == 1:
        p_value = mcnemar_p_value(one[0] > 0, other[0] > 0, copies)
    else:
        parts = [(error**2, len(np.unique(copies)) - 1), *_seed_variances(one.mean(axis=1), other.mean(axis=1))]
        interval, p_value = welch_satterthwaite(difference, parts)
    several = min(len(one), len(other)) > 1
    return Difference(
        first=first, second=second, difference=difference, interval=interval, seeds=several, p_value=p_value
    )


def _seed_variances(*accuracies: np.ndarray) -> list[tuple[float, int]]:
    """Compute the variances of two means over seeds, with degrees of freedom; empty if a recipe has one seed only."""
    if min(map(len, accuracies)) < 2:
        return []
    return [(float(np.var(group, ddof=1)) / len(group), len(group) - 1) for group in accuracies]


def welch_satterthwaite(difference: float, variances: Sequence[tuple[float, int]]) -> tuple[Interval, float]:
    """Compute the 95 % interval and the p-value of a difference whose variance is a sum of independent estimates.

    Args:
        difference: the estimate.
        variances: variances with their degrees of freedom.
    """
    from scipy.stats import t

    total = sum(variance for variance, _ in variances)
    if not total:
        return (difference, difference), float(difference == 0)
    freedom = total**2 / sum(variance**2 / degrees for variance, degrees in variances if variance)
    error = math.sqrt(total)
    half = float(t.ppf(0.975, freedom)) * error
    return (difference - half, difference + half), float(2 * t.sf(abs(difference) / error, freedom))
