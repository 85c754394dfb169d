"""Sanity check: do heat maps depend on what a model learned?

The maps are compared with those of networks of the same architecture and random weights
(https://arxiv.org/abs/1810.03292). If they agree, they reflect the architecture and the image, and nothing learned.
"""

from typing import TYPE_CHECKING

import numpy as np

from ferlab.explanation.grad_cam import grad_cam

if TYPE_CHECKING:
    import keras

CHECKED_PER_CLASS = 5  # images of each class
RANDOM_NETWORKS = 3
MEANING = (
    "mean rank correlation, -1 to 1, with the maps of untrained networks: near 0, the maps reflect what the model "
    "learned; near 1, only the architecture and the image"
)


def correlation_with_random(
    model: "keras.Model", images: np.ndarray, labels: np.ndarray, maps: np.ndarray
) -> float | None:
    """Compare maps with those of networks with random weights. This sets the random seeds of Keras, NumPy and Python.

    Args:
        model: maps images to logits `(N, K)`.
        images: `(N, 48, 48)` uint8. A few of each class are compared.
        labels: `(N,)`, the explained class of each image.
        maps: `(N, H, W)`, by `grad_cam`.

    Returns:
        The mean rank correlation, -1..1, or None if no pair of maps can be compared.
    """
    import keras

    chosen = np.concatenate([np.flatnonzero(labels == label)[:CHECKED_PER_CLASS] for label in np.unique(labels)])
    correlations = []
    for seed in range(RANDOM_NETWORKS):
        keras.utils.set_random_seed(seed)
        others = grad_cam(keras.models.clone_model(model), images[chosen], labels[chosen]).maps[:, 0]
        correlations += [rank_correlation(*pair) for pair in zip(maps[chosen], others, strict=True)]
    known = np.array(correlations)[~np.isnan(correlations)]
    return float(known.mean()) if len(known) else None


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Compute Spearman's rank correlation of two maps `(H, W)`.

    Returns:
        -1..1, or NaN if one of the maps is constant.

    Example:
        >>> rank_correlation(np.array([[1, 2, 4]]), np.array([[9, 8, 0]]))
        -1.0
    """
    from scipy.stats import spearmanr

    if not (np.ptp(one) and np.ptp(other)):
        return float("nan")
    return float(spearmanr(one, other, axis=None).statistic)
