"""Ensembles: the weighted mean of several networks' calibrated probabilities, as one file.

The weights are those of stacking predictive distributions (https://doi.org/10.1214/17-BA1091): the ones of the lowest
log loss on the validation split. Members of next to no weight are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferlab.data import Dataset
from ferlab.data.copies import group_copies
from ferlab.errors import ProtocolError, RunError
from ferlab.evaluation.metrics import accuracy, fit_temperature, log_loss, log_softmax, safe_log
from ferlab.export import Format, Parity, Quantize
from ferlab.export.export import Trained, format_module, run_metadata, taught_by, validation_of, write_artifact
from ferlab.models import load_model, predict_logits
from ferlab.progress import bar
from ferlab.protocol import check_origin
from ferlab.runs import RunFolder

if TYPE_CHECKING:
    import keras

MIN_WEIGHT = 0.02  # a member below it is left out
MOST_ROUNDS = 1000  # of expectation and maximization
FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Of probabilities on validation images.

    Args:
        accuracy: 0..1.
        log_loss: in nats.
    """

    accuracy: float
    log_loss: float


@dataclass(frozen=True, kw_only=True)
class Member:
    """One network of an ensemble.

    Args:
        run: its folder.
        recipe: by which it was trained.
        seed: of its training.
        weight: in the mean, 0..1; 0 where it is left out.
        scores: its own, with the temperature that suits it best.
    """

    run: str
    recipe: str
    seed: int
    weight: float
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """What an ensemble is made of, and how good it is on validation images.

    Args:
        members: in the order in which they were given.
        scores: of the weighted mean. Its weights were chosen on the same images, so these are a little too good.
        cross_validated: of weights and temperatures that were chosen on four fifths of the images and scored on the
            others, with copies of an image kept together.
        equal: of the plain mean of all members.
        parity: how the file's answers differ from those of Keras.
    """

    members: tuple[Member, ...]
    scores: Scores
    cross_validated: Scores
    equal: Scores
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
    """Writes one artifact of several runs: the weighted mean of their calibrated probabilities, calibrated again.

    Args:
        runs: finished run folders, trained and selected on the same images.
        dataset: with their validation images, which alone tell temperatures and weights; for `int8` with the training
            images too.
        out: the file: `.onnx`, or `.tflite` for LiteRT.
        format: `onnx` or `litert`; None for the one that the file's name tells.
        quantize: as in `ferlab.export.export`.
        quiet: show no progress.

    Raises:
        ProtocolError: if the runs learned from different images, or were selected on others than `dataset` has, or on
            the test split.
        RunError: if there are fewer than two runs, one is given twice, or one holds no trained model.
        ArtifactError: as in `ferlab.export.export`.
    """
    folders = [RunFolder(Path(run)) for run in runs]
    if len({folder.path.resolve() for folder in folders}) < max(2, len(folders)):
        raise RunError("An ensemble is made of two or more different runs. Name each of them once.")
    module = format_module(Path(out), format)
    validation = _checked_validation(folders, dataset)
    models, answers = [], []
    with bar("members", len(folders), quiet) as advance:
        for folder in folders:
            models.append(load_model(folder.model_file))
            answers.append(predict_logits(models[-1], validation.images))
            advance(1)
    labels, logits = validation.labels, np.stack(answers)
    mixture = Mixture.fit(logits, labels)
    trained = Trained(
        model=mixture.model(models),
        logits=mixture.logits(logits),
        temperature=mixture.temperature,
        metadata=_metadata(folders, mixture),
    )
    plain = Mixture.fit(logits, labels, equal=True)
    return Ensemble(
        parity=write_artifact(trained, validation, dataset, Path(out), module, quantize),
        members=tuple(_member(*row, labels) for row in zip(folders, logits, mixture.weights, strict=True)),
        scores=_scores(labels, trained.logits / mixture.temperature),
        cross_validated=_scores(labels, cross_validated(logits, labels, group_copies(validation.images))),
        equal=_scores(labels, plain.logits(logits) / plain.temperature),
    )


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A weighted mean of M models' probabilities.

    Args:
        temperatures: `(M,)`, by which their logits are divided.
        weights: `(M,)`, which sum to 1.
        temperature: by which the logarithm of the mean is divided: means are less sure than they might be.
    """

    temperatures: np.ndarray
    weights: np.ndarray
    temperature: float = 1.0

    @classmethod
    def fit(cls, logits: np.ndarray, labels: np.ndarray, *, equal: bool = False) -> "Mixture":
        """The mixture of the lowest log loss.

        Args:
            logits: `(M, N, K)`.
            labels: `(N,)`.
            equal: give all models the same weight.
        """
        temperatures = np.array([fit_temperature(labels, one) for one in logits])
        weights = np.full(len(logits), 1 / len(logits))
        if not equal:
            probabilities = np.exp([log_softmax(one / own) for one, own in zip(logits, temperatures, strict=True)])
            weights = stacking_weights(probabilities[:, np.arange(len(labels)), labels])
        mixture = cls(temperatures=temperatures, weights=weights)
        return replace(mixture, temperature=fit_temperature(labels, mixture.logits(logits)))

    def logits(self, logits: np.ndarray) -> np.ndarray:
        """Logarithms `(N, K)` of the mean of the probabilities that logits `(M, N, K)` stand for."""
        parts = zip(logits, self.temperatures, self.weights, strict=True)
        return safe_log(sum(weight * np.exp(log_softmax(one / temperature)) for one, temperature, weight in parts))

    def model(self, models: Sequence["keras.Model"]) -> "keras.Model":
        """The same as one network, of those models that have a weight: from images `(N, 48, 48, 1)` to `logits`."""
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
    """The weights of the mean that makes the labels most likely, by expectation and maximization.

    Weights below `MIN_WEIGHT` become 0, the smallest first.

    Args:
        likelihoods: `(M, N)`, the probability that each model gives to each label.

    Returns:
        `(M,)`, which sum to 1.

    Example:
        >>> stacking_weights(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.5]])).round(3)
        array([0.667, 0.333, 0.   ])
    """
    weights = np.full(len(likelihoods), 1 / len(likelihoods))
    possible = np.maximum(likelihoods, np.finfo(np.float32).tiny)
    while True:
        weights = _converged(weights, possible)
        small = np.flatnonzero((weights > 0) & (weights < MIN_WEIGHT))
        if not len(small):
            return weights
        weights[small[np.argmin(weights[small])]] = 0
        weights = weights / weights.sum()


def _converged(weights: np.ndarray, likelihoods: np.ndarray) -> np.ndarray:
    for _ in range(MOST_ROUNDS):
        shares = weights[:, None] * likelihoods
        before, weights = weights, (shares / shares.sum(axis=0)).mean(axis=1)
        if np.abs(weights - before).max() < 1e-6:
            break
    return weights


def cross_validated(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Logits `(N, K)` of mixtures that were fitted without the image, or a copy of it.

    Args:
        logits: `(M, N, K)`.
        labels: `(N,)`.
        groups: `(N,)`, equal for copies.
    """
    from sklearn.model_selection import GroupKFold

    answers = np.empty(logits.shape[1:])
    for others, held_back in GroupKFold(FOLDS).split(labels, groups=groups):
        mixture = Mixture.fit(logits[:, others], labels[others])
        answers[held_back] = mixture.logits(logits[:, held_back]) / mixture.temperature
    return answers


def _checked_validation(runs: Sequence[RunFolder], dataset: Dataset) -> Dataset:
    """The validation images of all runs, where they are the same, and learned from the same training images."""
    for run in runs:
        validation = validation_of(run, dataset)
        check_origin("member", run.path, run.trained_result()["selected_on"], run.fingerprints(), dataset)
        if run.fingerprints()["train"] != runs[0].fingerprints()["train"]:
            raise ProtocolError(
                f"{run.path} learned from other training images than {runs[0].path}. Members of an ensemble are to be "
                "trained on the same ones."
            )
    return validation


def _metadata(folders: Sequence[RunFolder], mixture: Mixture) -> dict[str, Any]:
    """Where the members come from."""
    members = [
        {
            "name": folder.recipe().name,
            "seed": folder.seed(),
            "weight": float(weight),
            "temperature": float(temperature),
            **taught_by(folder),
        }
        for folder, weight, temperature in zip(folders, mixture.weights, mixture.temperatures, strict=True)
        if weight
    ]
    protocol = {"trained_on": "train", "selected_on": "validation", "members": members}
    return run_metadata(folders[0]) | {"name": "ensemble", "protocol": protocol}


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
