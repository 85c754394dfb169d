"""Ensembles: the weighted mean of the calibrated probabilities of several runs, in one artifact.

The weights minimize the log loss on the validation split (stacking of predictive distributions,
https://doi.org/10.1214/17-BA1091). Members with a weight close to zero are dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.data import Dataset
from ferlab.data.copies import group_copies
from ferlab.errors import ProtocolError, RunError
from ferlab.evaluation.metrics import accuracy, fit_temperature, log_loss, log_softmax, safe_log, softmax
from ferlab.evaluation.trained_model import Provenance, open_model
from ferlab.export.export import (
    CalibratedModel,
    Format,
    format_module,
    other_networks,
    validation_images,
    write_artifact,
)
from ferlab.export.parity import Parity, Quantize
from ferlab.models import predict_logits
from ferlab.progress import bar
from ferlab.protocol import check_origin
from ferlab.runs import RunFolder

if TYPE_CHECKING:
    import keras

MIN_WEIGHT = 0.02  # members below it are dropped
MAX_ITERATIONS = 1000  # of expectation maximization
FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores on the validation images.

    Args:
        accuracy: top-1 accuracy, 0..1.
        log_loss: mean negative log-likelihood of the labels, in nats.
    """

    accuracy: float
    log_loss: float


@dataclass(frozen=True, kw_only=True)
class Member:
    """One run of an ensemble.

    Args:
        run: its run folder.
        recipe: name of its recipe.
        seed: seed of its training.
        weight: weight in the mean, 0..1; 0 if it was dropped.
        scores: scores of the calibrated member alone.
    """

    run: str
    recipe: str
    seed: int
    weight: float
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The members of an ensemble, and scores on the validation images.

    Args:
        members: members in the given order.
        scores: scores of the weighted mean. Its weights were fitted on the same images, so these are optimistic.
        cross_validated: scores with weights and temperatures that were fitted on other images (five folds, with copies
            of an image in the same fold).
        equal_weights: scores of the unweighted mean of all members.
        parity: how far the artifact's predictions deviate from those of Keras.
    """

    members: tuple[Member, ...]
    scores: Scores
    cross_validated: Scores
    equal_weights: Scores
    parity: Parity


def ensemble(
    runs: Sequence[str | Path],
    dataset: Dataset,
    out: str | Path,
    *,
    format: Format | None = None,
    quantize: Quantize = "none",
    quiet: bool = True,
) -> Ensemble:
    """Export several runs as one artifact: the weighted mean of their calibrated probabilities, calibrated again.

    Args:
        runs: finished run folders, trained and selected on the same images.
        dataset: a dataset with their validation images. Temperatures and weights are fitted on these only. `int8` also
            needs the training split.
        out: the output file: `.onnx`, or `.tflite` for LiteRT.
        format: `onnx` or `litert`. None derives it from the file name.
        quantize: as in `ferlab.export.export`.
        quiet: do not show a progress bar.

    Raises:
        ProtocolError: if the runs were trained on different images, selected on images other than the validation images
            of `dataset`, or selected on the test split.
        RunError: if there are fewer than two runs, a run is given twice, or a folder contains no trained model.
        ArtifactError: as in `ferlab.export.export`.
    """
    folders = [RunFolder(Path(run)) for run in runs]
    if len({folder.path.resolve() for folder in folders}) < max(2, len(folders)):
        raise RunError("An ensemble needs two or more different runs. Pass each run once.")
    module = format_module(Path(out), format)
    validation = _shared_validation(folders, dataset)
    labels, (models, logits) = validation.labels, _load_and_predict(folders, validation.images, quiet)
    mixture = Mixture.fit(logits, labels)
    calibrated = CalibratedModel(
        model=mixture.model(models),
        logits=mixture.logits(logits),
        temperature=mixture.temperature,
        name="ensemble",
        provenance=_provenance(folders, mixture),
        training={"members": _members_metadata(folders, mixture)},
    )
    return Ensemble(
        parity=write_artifact(calibrated, validation, dataset, Path(out), module, quantize),
        members=tuple(_member(*row, labels) for row in zip(folders, logits, mixture.weights, strict=True)),
        scores=_scores(labels, mixture.calibrated_logits(logits)),
        cross_validated=_scores(labels, cross_validated(logits, labels, group_copies(validation.images))),
        equal_weights=_scores(labels, Mixture.fit(logits, labels, equal_weights=True).calibrated_logits(logits)),
    )


def _provenance(folders: Sequence[RunFolder], mixture: "Mixture") -> Provenance:
    """Return the provenance that all members share. Class shares differ if some were trained with class weights."""
    shares = mixture.weights @ np.array([folder.class_shares() for folder in folders])
    return replace(open_model(folders[0].path).provenance, class_shares=tuple(shares.tolist()))


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A weighted mean of the probabilities of M models.

    Args:
        temperatures: `(M,)`, divide the logits of the models.
        weights: `(M,)`, sum to 1.
        temperature: divides the logarithm of the mean, since the mean of calibrated probabilities is underconfident.
    """

    temperatures: np.ndarray
    weights: np.ndarray
    temperature: float = 1.0

    @classmethod
    def fit(cls, logits: np.ndarray, labels: np.ndarray, *, equal_weights: bool = False) -> "Mixture":
        """Fit temperatures and weights for the lowest log loss.

        Args:
            logits: `(M, N, K)`.
            labels: `(N,)`.
            equal_weights: do not fit the weights.
        """
        temperatures = np.array([fit_temperature(labels, one) for one in logits])
        weights = np.full(len(logits), 1 / len(logits))
        if not equal_weights:
            probabilities = np.exp([log_softmax(one / own) for one, own in zip(logits, temperatures, strict=True)])
            weights = stacking_weights(probabilities[:, np.arange(len(labels)), labels])
        mixture = cls(temperatures=temperatures, weights=weights)
        return replace(mixture, temperature=fit_temperature(labels, mixture.logits(logits)))

    def logits(self, logits: np.ndarray) -> np.ndarray:
        """Compute the logarithm `(N, K)` of the mean probabilities from the logits `(M, N, K)` of the models."""
        parts = zip(logits, self.temperatures, self.weights, strict=True)
        return safe_log(sum(weight * softmax(one / temperature) for one, temperature, weight in parts))

    def calibrated_logits(self, logits: np.ndarray) -> np.ndarray:
        """Compute `logits` divided by the temperature."""
        return self.logits(logits) / self.temperature

    def model(self, models: Sequence["keras.Model"]) -> "keras.Model":
        """Build `logits` as one Keras model of the members with a weight, from images `(N, 48, 48, 1)`."""
        import keras
        from keras import layers

        images = keras.Input((48, 48, 1))
        parts = []
        for number, index in enumerate(np.flatnonzero(self.weights).tolist()):
            models[index].name = f"member_{number}"
            logits = layers.Rescaling(1 / self.temperatures[index])(models[index](images))
            parts.append(layers.Rescaling(self.weights[index])(layers.Softmax()(logits)))
        mean = layers.Add()(parts) if len(parts) > 1 else parts[0]
        return keras.Model(images, keras.ops.log(keras.ops.maximum(mean, np.finfo(np.float32).tiny)))


def stacking_weights(likelihoods: np.ndarray) -> np.ndarray:
    """Fit the weights of a mean that maximize the likelihood of the labels, by expectation maximization.

    Weights below `MIN_WEIGHT` become 0, the smallest first.

    Args:
        likelihoods: `(M, N)`, the probability of each label according to each model.

    Returns:
        `(M,)`, sum to 1.

    Example:
        >>> stacking_weights(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.5]])).round(3)
        array([0.667, 0.333, 0.   ])
    """
    weights = np.full(len(likelihoods), 1 / len(likelihoods))
    positive = np.maximum(likelihoods, np.finfo(np.float32).tiny)
    while True:
        weights = _maximize_likelihood(weights, positive)
        small = np.flatnonzero((weights > 0) & (weights < MIN_WEIGHT))
        if not len(small):
            return weights
        weights[small[np.argmin(weights[small])]] = 0
        weights = weights / weights.sum()


def _maximize_likelihood(weights: np.ndarray, likelihoods: np.ndarray) -> np.ndarray:
    for _ in range(MAX_ITERATIONS):
        shares = weights[:, None] * likelihoods
        before, weights = weights, (shares / shares.sum(axis=0)).mean(axis=1)
        if np.abs(weights - before).max() < 1e-6:
            break
    return weights


def cross_validated(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Compute logits `(N, K)` of mixtures that were fitted without the image and its copies.

    Args:
        logits: `(M, N, K)`.
        labels: `(N,)`.
        groups: `(N,)`, equal for copies.
    """
    from sklearn.model_selection import GroupKFold

    found = np.empty(logits.shape[1:])
    folds = min(FOLDS, len(np.unique(groups)))
    for others, held_out in GroupKFold(folds).split(labels, groups=groups):
        found[held_out] = Mixture.fit(logits[:, others], labels[others]).calibrated_logits(logits[:, held_out])
    return found


def _load_and_predict(
    runs: Sequence[RunFolder], images: np.ndarray, quiet: bool
) -> tuple[list["keras.Model"], np.ndarray]:
    """Load M models, and predict the logits `(M, N, K)` of images."""
    models, logits = [], []
    with bar("ensemble members", len(runs), quiet) as advance:
        for run in runs:
            models.append(open_model(run.path).keras_model)
            logits.append(predict_logits(models[-1], images))
            advance(1)
    return models, np.stack(logits)


def _shared_validation(runs: Sequence[RunFolder], dataset: Dataset) -> Dataset:
    """Return the validation images of all runs, if they share these and the training images."""
    for run in runs:
        validation = validation_images(run, dataset)
        check_origin("member", run.path, run.trained_result().selected_on, run.fingerprints(), dataset)
        if run.fingerprints()["train"] != runs[0].fingerprints()["train"]:
            raise ProtocolError(
                f"{run.path} was trained on different images than {runs[0].path}. The members of an ensemble must "
                "share their training images."
            )
    return validation


def _members_metadata(runs: Sequence[RunFolder], mixture: Mixture) -> list[dict[str, Any]]:
    """Describe the members with a weight, for the metadata of the artifact."""
    return [
        {
            "name": run.recipe().name,
            "seed": run.seed(),
            "weight": float(weight),
            "temperature": float(temperature),
            **other_networks(run),
        }
        for run, weight, temperature in zip(runs, mixture.weights, mixture.temperatures, strict=True)
        if weight
    ]


def _member(run: RunFolder, logits: np.ndarray, weight: float, labels: np.ndarray) -> Member:
    return Member(
        run=str(run.path),
        recipe=run.recipe().name,
        seed=run.seed(),
        weight=float(weight),
        scores=_scores(labels, logits / fit_temperature(labels, logits)),
    )


def _scores(labels: np.ndarray, logits: np.ndarray) -> Scores:
    logs = log_softmax(logits)
    return Scores(accuracy=accuracy(labels, logs), log_loss=log_loss(labels, logs))
