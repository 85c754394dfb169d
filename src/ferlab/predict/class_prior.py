"""Probabilities for a population in which the classes are not as frequent as in the training images.

By Bayes' rule p'(c) ~ p(c) * new(c) / trained(c), where `new` and `trained` are the shares of the classes (Saerens et
al. 2002, https://doi.org/10.1162/089976602753284446). It assumes that the faces of a class look alike in both.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ferlab.errors import ArtifactError


def prior_factors(
    model: str, class_names: Sequence[str], class_shares: Sequence[float] | None, class_prior: Mapping[str, float]
) -> np.ndarray:
    """Compute the factor of each class, `(K,)` float32.

    Args:
        model: name of the model, for errors.
        class_names: its K classes.
        class_shares: their shares in its training images; None if unknown.
        class_prior: expected share of each class, in any unit: only ratios count.

    Raises:
        ArtifactError: if the shares in the training images are unknown or 0, `class_prior` names other classes, or a
            share is negative.

    Example:
        >>> prior_factors("model", ["happy", "sad"], [0.8, 0.2], {"happy": 1, "sad": 1}).round(3).tolist()
        [0.625, 2.5]
    """
    if class_shares is None:
        raise ArtifactError(
            f"{model} does not say how frequent its classes were in training, which a class prior needs. Pass a run "
            "folder, or export it again with this version of ferlab."
        )
    if different := set(class_names) ^ set(class_prior):
        raise ArtifactError(
            f"The class prior must name every class of {model} once ({', '.join(class_names)}); "
            f"'{min(different)}' is {'missing' if min(different) in class_names else 'not one of them'}."
        )
    wanted = np.array([class_prior[name] for name in class_names], float)
    if not np.isfinite(wanted).all() or (wanted < 0).any() or not wanted.sum():
        raise ArtifactError("The shares of a class prior must be numbers of 0 or more, and not all 0.")
    trained = np.array(class_shares)
    if (unknown := (trained == 0) & (wanted > 0)).any():
        raise ArtifactError(f"{model} was trained without '{class_names[int(unknown.argmax())]}'. Set its share to 0.")
    return (wanted / wanted.sum() / np.where(trained, trained, 1)).astype(np.float32)


def reweight(probabilities: np.ndarray, factors: np.ndarray | None) -> np.ndarray:
    """Multiply probabilities `(N, K)` by the factors of the classes `(K,)`, and scale each row to the sum 1.

    Example:
        >>> reweight(np.array([[0.5, 0.5]]), np.array([1, 3])).tolist()
        [[0.25, 0.75]]
    """
    if factors is None:
        return probabilities
    weighted = probabilities * factors
    return weighted / np.maximum(weighted.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
