"""`Recipe`: everything that determines a training run, except the data and the seed."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge

from ferlab.errors import RecipeError
from ferlab.recipes.augmentation import Augmentation
from ferlab.recipes.validation import Count, Fraction, NonNegative, apply_changes, flatten, validate

DESCRIPTIVE_FIELDS = ("name", "group", "summary", "deviations", "expected_accuracy", "expected_source")
OLD_NAMES = {"departures": "deviations", "averaging": "ema"}  # of fields in run folders written by earlier versions
REMOVED = {"votes": 0.0}  # fields of earlier versions, with the value that changes nothing


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop training after `patience` epochs without an improvement of `monitor`; 0 disables it."""

    monitor: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    patience: Count = 0


@dataclass(frozen=True, kw_only=True)
class ReduceOnPlateau:
    """Multiply the learning rate by `factor` after `patience` epochs without an improvement; 0 disables it."""

    monitor: Literal["val_accuracy", "val_loss"] = "val_loss"
    patience: Count = 0
    factor: Fraction = 0.1
    minimum: NonNegative = 0.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Hyperparameters of a training run. `--set field=value` and `--set model.option=value` change them.

    Args:
        name: filled in by the registry.
        group: filled in by the registry; for a recipe of the package, its module.
        summary: one line for people.
        architecture: a name of `ferlab.models`.
        model: options of the architecture.
        start: run folder of a network of the same architecture that the training starts from; empty for random or
            pretrained weights, as the architecture has them.
        epochs: number of epochs.
        batch_size: images per step.
        steps_per_epoch: steps per epoch; 0 for one pass over the training images.
        augmentation: random changes to training images.
        augment_validation: augment the validation images as well, as the original study did.
        validation_images: number of validation images used in each epoch; 0 for all.
        optimizer: `adam`, `sgd` (Nesterov momentum 0.9) or `rmsprop`.
        learning_rate: the peak learning rate of the schedule.
        schedule: `constant`, or `cosine` decay to zero.
        warmup_epochs: length of the linear warmup before the cosine decay, in epochs.
        weight_decay: decoupled weight decay, multiplied by the learning rate in each step; not applied to biases and
            normalization layers.
        label_smoothing: fraction of the probability that is spread evenly over all classes.
        mixup: mix each image with another one of its batch, with a weight from Beta(mixup, mixup); 0 disables it.
        clean_epochs: number of final epochs on images that are only flipped, without mixup
            (https://arxiv.org/abs/1909.09148). If it exceeds `epochs`, all epochs are clean.
        teachers: run folders or exported models whose mean probabilities on the same augmented images are training
            targets, too.
        distillation: weight of the teachers' probabilities in the training targets, 0..1; labels or vote distributions
            have the rest.
        teacher_views: number of augmented views of each image that the teachers predict. After as many passes, the same
            batches come again, and an epoch takes as long as one without teachers. 0 for new views in every pass.
        class_weights: `none`, or `balanced`: inversely proportional to the frequency of each class.
        ema: decay per step of the exponential moving average (EMA) of the weights; 0 disables it. Short trainings use a
            lower decay, so that the average spans at most a tenth of the steps. With an EMA, the averaged weights are
            evaluated and saved.
        early_stopping: when to stop before the last epoch.
        reduce_on_plateau: when to lower the learning rate.
        policy: dtype policy: `float32`, `mixed_bfloat16`, or `auto` for `mixed_bfloat16` where the hardware is fast at
            it.
        selection: the split that selects the best epoch: `validation` (PublicTest), or `test_folder` (both test
            splits), which only recipes of the original study use.
        deviations: how the recipe deviates from good practice.
        expected_accuracy: expected PublicTest accuracy on FER2013, 0..1, if it was measured or published.
        expected_source: source of the expected accuracy.
    """

    __pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False}  # noqa: RUF012  (read by pydantic, not a field)

    name: str = ""
    group: str = ""
    summary: str = ""
    architecture: str
    model: Mapping[str, Any] = field(default_factory=dict)
    start: str = ""
    epochs: Annotated[int, Ge(1)] = 12
    batch_size: Annotated[int, Ge(1)] = 64
    steps_per_epoch: Count = 0
    augmentation: Augmentation = Augmentation()
    augment_validation: bool = False
    validation_images: Count = 0
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    learning_rate: NonNegative = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    label_smoothing: Fraction = 0.0
    mixup: NonNegative = 0.0
    clean_epochs: Count = 0
    teachers: tuple[str, ...] = ()
    distillation: Fraction = 0.0
    teacher_views: Count = 0
    class_weights: Literal["none", "balanced"] = "none"
    ema: Fraction = 0.0
    early_stopping: EarlyStopping = EarlyStopping()
    reduce_on_plateau: ReduceOnPlateau = ReduceOnPlateau()
    policy: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    selection: Literal["validation", "test_folder"] = "validation"
    deviations: tuple[str, ...] = ()
    expected_accuracy: Fraction | None = None
    expected_source: str = ""

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return the recipe with other values, validated against the types of the fields.

        Args:
            changes: values, or their text as typed on a command line, by field name or dotted name, such as
                `augmentation.flip` or `model.dropout`.

        Raises:
            UnknownNameError: if a field or an option of the model does not exist.
            RecipeError: if a value has the wrong type or is out of range, or if values contradict each other.
        """
        recipe = validate(Recipe, apply_changes(self, changes))
        plateau = recipe.reduce_on_plateau
        if plateau.patience and recipe.schedule != "constant":
            raise RecipeError(
                f"reduce_on_plateau requires a constant learning rate, got schedule={recipe.schedule}. Set "
                "schedule=constant or reduce_on_plateau.patience=0."
            )
        return recipe

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return dataclasses.asdict(self)

    def training_fields(self) -> dict[str, Any]:
        """Return the fields that affect the training: all except names, descriptions and expectations."""
        return {key: value for key, value in self.as_dict().items() if key not in DESCRIPTIVE_FIELDS}

    def flat_fields(self) -> dict[str, Any]:
        """Return the fields that affect the training by dotted name, such as `augmentation.flip`."""
        return flatten(self.training_fields())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """Create a recipe from the values of `as_dict`, also those of earlier versions of ferlab.

        Raises:
            UnknownNameError: if a field does not exist.
            RecipeError: if a value is missing, has the wrong type or is out of range.
        """
        if not isinstance(values, Mapping):
            raise RecipeError(f"A recipe must be an object with its fields, got {type(values).__name__}.")
        kept = {key: value for key, value in values.items() if key not in REMOVED or value != REMOVED[key]}
        return validate(cls, {OLD_NAMES.get(key, key): value for key, value in kept.items()})
