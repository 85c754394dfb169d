"""`Recipe`: everything that a training depends on, besides data and seed."""

import ast
import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ferlab.errors import FerlabError, RecipeError, UnknownNameError
from ferlab.models import model_options
from ferlab.recipes.augmentation import Augmentation

DESCRIPTIVE = ("name", "group", "summary", "departures", "expected_accuracy", "expected_source")
LIMITS = {  # smallest and largest value that means anything
    "epochs": (1, math.inf),
    "batch_size": (1, math.inf),
    "steps_per_epoch": (0, math.inf),
    "validation_images": (0, math.inf),
    "learning_rate": (0, math.inf),
    "warmup_epochs": (0, math.inf),
    "weight_decay": (0, math.inf),
    "label_smoothing": (0, 1),
    "votes": (0, 1),
    "mixup": (0, math.inf),
    "clean_epochs": (0, math.inf),
    "distillation": (0, 1),
    "averaging": (0, 1),
}


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """Stop after `patience` epochs without a better value of `monitor`; a patience of 0 means never."""

    monitor: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    patience: int = 0


@dataclass(frozen=True, kw_only=True)
class ReduceOnPlateau:
    """Multiply the learning rate by `factor` after `patience` epochs without a better value; 0 means never."""

    monitor: Literal["val_accuracy", "val_loss"] = "val_loss"
    patience: int = 0
    factor: float = 0.1
    minimum: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one model is trained. Any field can be changed with `--set field=value`, or `--set model.option=value`.

    Args:
        name: filled in by the registry.
        group: filled in by the registry.
        summary: one line for people.
        architecture: a name of `ferlab.models`.
        model: options of the architecture.
        epochs: number of epochs.
        batch_size: images per step.
        steps_per_epoch: 0 for one pass over the training images.
        augmentation: random changes to training images.
        augment_validation: change the validation images as well, as the study did.
        validation_images: number of validation images looked at in each epoch; 0 for all.
        optimizer: `adam`, `sgd` (Nesterov momentum 0.9) or `rmsprop`.
        learning_rate: the highest one of the schedule.
        schedule: `constant`, or `cosine` down to zero.
        warmup_epochs: linear rise before the cosine.
        weight_decay: decoupled, as a rate per step times the learning rate; not on biases and normalization.
        label_smoothing: share of probability spread over all classes.
        votes: share of what FER+'s voters say of an image in what is learned of it, 0..1; the rest is its label's.
        mixup: mix each image with another one of its batch, by a weight drawn from Beta(mixup, mixup); 0 for never.
        clean_epochs: number of last epochs on images as they are, at most mirrored and not mixed; all epochs, if there
            are no more (https://arxiv.org/abs/1909.09148).
        teachers: run folders, or files of `ferlab export`, whose mean probabilities on the same augmented images are
            learned as well.
        distillation: share of the teachers' probabilities in what is learned, 0..1; labels and votes have the rest.
        class_weights: `none`, or `balanced`: inversely proportional to the class's frequency.
        averaging: decay per step of an exponential moving average of the weights; 0 for none. In a short training it is
            lowered, so that the average reaches back over a tenth of the steps at most. Where it is on, the
            averaged weights are selected and kept.
        early_stopping: when to end before the last epoch.
        reduce_on_plateau: when to lower the learning rate.
        policy: `float32`, `mixed_bfloat16`, or `auto`: the latter where the machine is fast at it.
        selection: `validation` (PublicTest), or `test_folder`: both test splits, which only the study did.
        departures: how the recipe departs from good practice.
        expected_accuracy: PublicTest accuracy to expect on FER2013, 0..1, where it was measured or published.
        expected_source: where that figure comes from.
    """

    name: str = ""
    group: str = ""
    summary: str = ""
    architecture: str
    model: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 12
    batch_size: int = 64
    steps_per_epoch: int = 0
    augmentation: Augmentation = Augmentation()
    augment_validation: bool = False
    validation_images: int = 0
    optimizer: Literal["adam", "sgd", "rmsprop"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    votes: float = 0.0
    mixup: float = 0.0
    clean_epochs: int = 0
    teachers: tuple[str, ...] = ()
    distillation: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    averaging: float = 0.0
    early_stopping: EarlyStopping = EarlyStopping()
    reduce_on_plateau: ReduceOnPlateau = ReduceOnPlateau()
    policy: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    selection: Literal["validation", "test_folder"] = "validation"
    departures: tuple[str, ...] = ()
    expected_accuracy: float | None = None
    expected_source: str = ""

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """The recipe with other values, checked against the types of the fields.

        Args:
            changes: field name, or dotted name such as `augmentation.flip` or `model.dropout`, to a value or to its
                text as typed on a command line.

        Raises:
            FerlabError: if there is no such field, or the value is not of its type.
            RecipeError: as in `check`.
        """
        recipe = self
        for key, value in changes.items():
            recipe = _changed(recipe, key, key.split("."), value)
        recipe.check()
        return recipe

    def check(self) -> None:
        """Refuses values that mean nothing, or that do not go together.

        Raises:
            RecipeError: if there are any.
        """
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                limits = f"{least:g} or more" if math.isinf(most) else f"{least:g} to {most:g}"
                raise RecipeError(f"{name} is {value:g}, and may be {limits}.")
        if self.reduce_on_plateau.patience and self.schedule != "constant":
            raise RecipeError(
                f"reduce_on_plateau lowers a constant learning rate, and this one follows a {self.schedule}: set "
                "schedule=constant, or reduce_on_plateau.patience=0."
            )

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return dataclasses.asdict(self)

    def training_fields(self) -> dict[str, Any]:
        """The fields that a training depends on: all but names, descriptions and expectations."""
        return {key: value for key, value in self.as_dict().items() if key not in DESCRIPTIVE}

    def flat_fields(self) -> dict[str, Any]:
        """The same, with dotted names such as `augmentation.flip`, as `changed` takes them."""
        return _flat(self.training_fields())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """The inverse of `as_dict`."""
        nested = {
            "augmentation": Augmentation(**values["augmentation"]),
            "early_stopping": EarlyStopping(**values["early_stopping"]),
            "reduce_on_plateau": ReduceOnPlateau(**values["reduce_on_plateau"]),
            "teachers": tuple(values.get("teachers", ())),
            "departures": tuple(values["departures"]),
        }
        return cls(**{**values, **nested})


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _changed(part: Any, key: str, path: list[str], value: Any) -> Any:
    """Replaces one field of a dataclass, of one nested in it, or one option of the model."""
    name, rest = path[0], path[1:]
    types_of_fields = typing.get_type_hints(type(part))
    settable = set(types_of_fields) - {"name", "group"}
    if name not in settable:
        raise UnknownNameError("recipe field", name, settable)
    current = getattr(part, name)
    if name == "model" and len(rest) == 1:
        return dataclasses.replace(part, model={**current, rest[0]: _model_option(part.architecture, rest[0], value)})
    if rest and dataclasses.is_dataclass(current):
        return dataclasses.replace(part, **{name: _changed(current, key, rest, value)})
    if rest or name == "model" or dataclasses.is_dataclass(current):
        raise FerlabError(f"'{key}' cannot be set: name one field, such as 'augmentation.flip' or 'model.dropout'.")
    return dataclasses.replace(part, **{name: _parse(key, value, types_of_fields[name])})


def _model_option(architecture: str, name: str, value: Any) -> Any:
    options = model_options(architecture)
    if name not in options:
        raise UnknownNameError(f"option of the model '{architecture}'", name, options)
    default = options[name]
    if isinstance(default, str | int | float):
        return _parse(f"model.{name}", value, type(default))
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        return value


def _parse(key: str, value: Any, wanted: Any) -> Any:
    """Turns a value, or its text, into the wanted type."""
    origin, choices = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is Literal:
        if value not in choices:
            raise FerlabError(f"{key} cannot be '{value}'. Choose from: {', '.join(choices)}.")
        return value
    if origin is types.UnionType:  # only `float | None` occurs
        return None if value in (None, "none") else _parse(key, value, choices[0])
    if origin is tuple:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else tuple(value)
    if wanted is bool:
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        parsed = words.get(str(value).lower())
    else:
        parsed = _number_or_text(value, wanted)
    if parsed is None:
        raise FerlabError(f"{key} takes a value of type {wanted.__name__}, and '{value}' is none.")
    return parsed


def _number_or_text(value: Any, wanted: type) -> Any:
    if wanted is int and isinstance(value, float):
        return None
    try:
        return wanted(value)
    except (TypeError, ValueError):
        return None
