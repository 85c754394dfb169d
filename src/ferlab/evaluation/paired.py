"""Paired tests: whether two models differ on the same images by more than chance."""

import numpy as np

from ferlab.evaluation.metrics import bootstrap_mean
from ferlab.results import PairedComparison


def compare_predictions(other: str, one: np.ndarray, two: np.ndarray, copies: np.ndarray) -> PairedComparison:
    """Compare the predictions of two models on the same images.

    Args:
        other: name of the second model.
        one: `(N,)` bool, which predictions of the first model are correct.
        two: `(N,)` bool, those of the second.
        copies: `(N,)` number of each image's group of copies.
    """
    paired = one.astype(float) - two.astype(float)
    interval, _ = bootstrap_mean(paired, copies)
    return PairedComparison(
        other=other,
        other_accuracy=float(two.mean()),
        difference=float(paired.mean()),
        interval=interval,
        p_value=mcnemar_p_value(one, two, copies),
    )


def sign_test_p_value(paired: np.ndarray, groups: np.ndarray) -> float:
    """Compute the exact sign test: whether more groups gain than lose. With groups of one image, it is McNemar's test.

    Args:
        paired: `(N,)` difference of each image: 1, 0 or -1.
        groups: `(N,)` number of each image's group, such as a person.
    """
    from scipy.stats import binomtest

    _, positions = np.unique(groups, return_inverse=True)
    sums = np.bincount(positions, weights=paired)
    gains, losses = int(np.sum(sums > 0)), int(np.sum(sums < 0))
    return float(binomtest(gains, gains + losses).pvalue) if gains + losses else 1.0


def mcnemar_p_value(one: np.ndarray, two: np.ndarray, copies: np.ndarray) -> float:
    """Compute McNemar's exact test (https://doi.org/10.1007/BF02295996), with copies counted once.

    Args:
        one: `(N,)` bool, which predictions of the first model are correct.
        two: `(N,)` bool, those of the second.
        copies: `(N,)` number of each image's group of copies.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    _, firsts = np.unique(copies, return_index=True)
    one, two = one[firsts], two[firsts]
    table = [[np.sum(one & two), np.sum(one & ~two)], [np.sum(~one & two), np.sum(~one & ~two)]]
    return float(mcnemar(table, exact=True).pvalue)
