"""Typed results of trainings and evaluations. `json_files.py` writes them to files and reads them back."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Literal

from ferlab.emotions import Target

Interval = tuple[float, float]  # 95 %, lower and upper bound
SplitName = Literal["train", "validation", "test"]
Status = Literal["completed", "stopped early", "interrupted", "failed"]


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """One split of a dataset.

    Args:
        images: number of images.
        classes: number of images by class name.
        fingerprint: SHA-256 of the images and labels; it does not depend on names or order.
    """

    images: int
    classes: dict[str, int]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """The data that a result depends on.

    Args:
        source: last part of the given path.
        target: what the labels of FER2013's images are; null for other images.
        class_names: K names, in the order of the labels.
        splits: splits by name; a split without images is absent.
        notes: what was done to the data besides reading it.
    """

    source: str
    target: Target | None = None
    class_names: tuple[str, ...]
    splits: dict[str, SplitSummary]
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The source, with the target where there are several."""
        return f"{self.source}, target {self.target}" if self.target else self.source

    @property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of each split that is present."""
        return {name: split.fingerprint for name, split in self.splits.items()}


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An image or row that could not be read and was skipped, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The environment and data of a training run.

    Args:
        ferlab: version of the package.
        commit: commit of the source checkout; null for an installed package.
        python: version of Python.
        backend: backend of Keras.
        versions: versions of packages, by name.
        device: name of the processor or GPU.
        cores: number of processor cores.
        policy: dtype policy of Keras.
        seed: seed of the run.
        dataset: training, validation and test images.
        skipped: images that were left out because they could not be read.
        plugin_sha256: SHA-256 of the plugin file that defines the architecture; null for one of the package.
        teachers_sha256: SHA-256 of the model file of each teacher.
    """

    ferlab: str
    commit: str | None
    python: str
    backend: str = "tensorflow"
    versions: dict[str, str]
    device: str
    cores: int | None
    policy: str
    seed: int
    dataset: DatasetSummary
    skipped: tuple[Skipped, ...] = ()
    plugin_sha256: str | None = None
    teachers_sha256: tuple[str, ...] = ()

    @property
    def num_devices(self) -> int:
        """Among how many devices each batch was divided: two for `2 x NVIDIA H100`."""
        found = re.match(r"(\d+) x ", self.device)
        return int(found[1]) if found else 1


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The measurements of one epoch. Accuracies are within 0..1, losses in nats."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float = 0.0
    seconds: float


@dataclass(frozen=True, kw_only=True)
class AccuracyEstimate:
    """Accuracy, 0..1, on a number of images, with its 95 % interval. Both are null without images."""

    images: int
    accuracy: float | None
    accuracy_interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class SelectivePrediction(AccuracyEstimate):
    """Accuracy on the images whose confidence reaches a threshold.

    Args:
        threshold: lowest confidence, 0..1.
        coverage: share of the images that reach it, 0..1.
    """

    threshold: float
    coverage: float


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """Scores of one class, 0..1; null for a class without images."""

    precision: float | None
    recall: float | None
    f1: float | None
    images: int


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Mean confidence and accuracy, 0..1, of the images in one bin of confidence."""

    confidence: float
    accuracy: float
    images: int


@dataclass(frozen=True, kw_only=True)
class CoveragePoint:
    """Accuracy of the most confident predictions: their share of the images, and their lowest confidence."""

    coverage: float
    accuracy: float
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """All metrics of predictions on labeled images. Without probabilities, those that need them are null.

    Args:
        images: number of images.
        accuracy: top-1 accuracy, 0..1.
        accuracy_interval: 95 % interval, over images.
        balanced_accuracy: mean recall of the classes that have images, 0..1.
        top2_accuracy: share of images whose label is among the two most probable classes, 0..1.
        macro_f1: mean F1 of the classes that have images, 0..1.
        log_loss: mean negative log-likelihood of the labels, in nats.
        brier_score: mean squared distance between probabilities and one-hot labels, 0..2.
        expected_calibration_error: mean distance between confidence and accuracy over 15 bins, 0..1.
        reliability: bins of the reliability diagram.
        risk_coverage: points of the risk-coverage curve.
        per_class: scores by class name.
        confusion: `confusion[i][j]` counts images of class i predicted as class j.
        class_names: class names in the order of the labels.
    """

    images: int
    accuracy: float
    accuracy_interval: Interval
    balanced_accuracy: float
    top2_accuracy: float | None
    macro_f1: float
    log_loss: float | None
    brier_score: float | None
    expected_calibration_error: float | None
    reliability: tuple[ReliabilityBin, ...]
    risk_coverage: tuple[CoveragePoint, ...]
    per_class: dict[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]
    class_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Scores of the probabilities on another split, after scaling with a temperature fitted on the validation split."""

    temperature: float
    log_loss: float
    brier_score: float
    expected_calibration_error: float


@dataclass(frozen=True, kw_only=True)
class SplitMetrics(Metrics):
    """The metrics of a model on one split of a dataset.

    Args:
        target: what the labels are, for images of FER2013; null for other images.
        fingerprint: fingerprint of the split.
        leak_free: accuracy without the images that have an identical copy among the training images.
        leak_free_reason: why `leak_free` is null or incomplete.
        agreement: accuracy by how well the votes of the FER+ annotators agree with the label; null without votes.
        calibrated: scores after temperature scaling; null unless the validation split was scored before and this is
            another split.
    """

    target: Target | None = None
    fingerprint: str
    leak_free: AccuracyEstimate | None
    leak_free_reason: str | None
    agreement: dict[str, AccuracyEstimate] | None
    calibrated: Calibration | None = None


@dataclass(frozen=True, kw_only=True)
class AugmentedMetrics(Metrics):
    """The metrics of the mean prediction over several views of each image (test-time augmentation).

    Args:
        views: number of views.
        seconds_ratio: time that all views take, divided by that of one view.
    """

    views: int
    seconds_ratio: float


@dataclass(frozen=True, kw_only=True)
class AccuracyGap:
    """The largest difference in accuracy between two groups of images, with its 95 % interval."""

    higher: str
    lower: str
    difference: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class GroupAccuracies:
    """Accuracy by group of images; the gap is null for fewer than two groups."""

    groups: dict[str, AccuracyEstimate]
    largest_gap: AccuracyGap | None


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """A comparison of two models on the same images.

    Args:
        other: name of the other model.
        other_accuracy: accuracy of the other model, 0..1.
        difference: accuracy of the model minus that of the other.
        interval: 95 % interval of the difference, over groups of copies.
        p_value: p-value of McNemar's exact test.
    """

    other: str
    other_accuracy: float
    difference: float
    interval: Interval
    p_value: float


@dataclass(frozen=True, kw_only=True)
class Evaluation(SplitMetrics):
    """The result of `ferlab.evaluate`.

    Args:
        model: the model as given.
        split: the split that was scored.
        learned: target that the model learned; null if unknown, or if it learned from other images.
        selected_on: splits that the model was selected on; null if unknown.
        selected_here: whether one of those is the split that was scored, so that the scores are slightly too high;
            null if they only have the same name.
        recorded: whether the metrics, or the predictions on training images, were written into the run folder.
        tta: metrics with test-time augmentation, if requested.
        abstained: accuracy above a confidence threshold, if requested.
        by_group: accuracy by group, if requested.
        against: comparison with another model, if requested.
        probabilities_reason: why metrics that need probabilities are null.
    """

    model: str
    split: str
    learned: Target | None = None
    selected_on: tuple[str, ...] | None
    selected_here: bool | None = False
    recorded: bool
    tta: AugmentedMetrics | None = None
    abstained: SelectivePrediction | None = None
    by_group: GroupAccuracies | None = None
    against: PairedComparison | None = None
    probabilities_reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a run ended: `result.json`. For a failed run, only the first four fields are known.

    Args:
        status: how the run ended. An interrupted run can be resumed.
        recipe: name of the recipe.
        seed: seed of the run.
        target: what it learned from images of FER2013; null for other images.
        reason: why it failed.
        architecture: name of the architecture.
        parameters: number of parameters of the saved model.
        trainable_parameters: number of trainable parameters.
        multiply_adds: multiply-adds of one forward pass for one image.
        epochs: number of completed epochs.
        best_epoch: the epoch whose weights were kept, counted from 1.
        seconds_per_epoch: median time of an epoch.
        seconds: total training time.
        selected_on: splits that the best epoch was selected on.
        selection_accuracy: accuracy of the best epoch on those splits, 0..1.
        weights: which weights were kept.
        deviations: how the recipe deviates from good practice.
        validation: metrics on the validation split.
        validation_reason: why `validation` is null.
        test: metrics on the test split.
        test_reason: why `test` is null.
    """

    status: Status
    recipe: str
    seed: int
    target: Target | None = None
    reason: str | None = None
    architecture: str = ""
    parameters: int | None = None
    trainable_parameters: int | None = None
    multiply_adds: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    seconds_per_epoch: float | None = None
    seconds: float | None = None
    selected_on: tuple[str, ...] = ()
    selection_accuracy: float | None = None
    weights: str = ""
    deviations: tuple[str, ...] = ()
    validation: SplitMetrics | None = None
    validation_reason: str | None = None
    test: SplitMetrics | None = None
    test_reason: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the training has ended and left a model."""
        return self.status in ("completed", "stopped early")

    def describe(self) -> str:
        """Describe in a line how the run ended."""
        scored = self.validation.accuracy if self.validation else self.selection_accuracy
        where = "validation" if self.validation else " and ".join(self.selected_on)
        return f"{self.status}: best epoch {self.best_epoch}, {100 * (scored or 0):.2f} % on {where}"

    def metrics(self, split: str) -> SplitMetrics | None:
        """Return the metrics on the validation or test split."""
        return self.validation if split == "validation" else self.test

    def with_metrics(self, split: str, metrics: SplitMetrics) -> "Result":
        """Return the result with metrics on the validation or test split."""
        if split == "validation":
            return dataclasses.replace(self, validation=metrics, validation_reason=None)
        return dataclasses.replace(self, test=metrics, test_reason=None)
