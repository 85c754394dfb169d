"""`read_space`: the search space of a sweep, from a TOML file.

    learning_rate = { min = 1e-4, max = 1e-2, log = true }
    batch_size = [32, 64, 128]
    augmentation.rotation = { min = 0.0, max = 20.0 }
    model.dropout = { min = 0.1, max = 0.5, step = 0.1 }

Each key is a field of a recipe, as in `--set`. A list holds the values to choose from; a table is a range.
"""

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferlab.errors import FerlabError, RecipeError
from ferlab.files import read_file
from ferlab.limits import MAX_TEXT_BYTES
from ferlab.protocol import check_recipe
from ferlab.recipes import Recipe

if TYPE_CHECKING:
    import optuna

RANGE_KEYS = {"min", "max", "log", "step"}
WITHIN = 0.3819  # where a range is tested, besides its ends: not a whole number in most ranges


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers between two bounds, both included.

    Args:
        low: lower bound.
        high: upper bound.
        log: sample on a logarithmic scale.
        step: distance between neighboring values, or None.
        whole: only whole numbers.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def suggest(self, trial: "optuna.Trial", field: str) -> float:
        """Let a trial choose a number."""
        if self.whole:
            return trial.suggest_int(field, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(field, self.low, self.high, log=self.log, step=self.step)

    def samples(self) -> tuple[float, ...]:
        """Return numbers of the range that must be valid."""
        within = self.low + WITHIN * (self.high - self.low)
        return (self.low, self.high, int(within) if self.whole else within)

    def position(self, value: float) -> float:
        """Return where a number lies in the range: 0 at the lower bound, 1 at the upper one."""
        low, high, value = (math.log(number) if self.log else number for number in (self.low, self.high, value))
        return (value - low) / (high - low)

    def ends(self) -> tuple[str, str]:
        """Return the bounds as text."""
        return f"{self.low:g}", f"{self.high:g}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A set of values without an order."""

    values: tuple[str | int | float | bool, ...]

    def suggest(self, trial: "optuna.Trial", field: str) -> Any:
        """Let a trial choose a value."""
        return trial.suggest_categorical(field, self.values)

    def samples(self) -> tuple[Any, ...]:
        """Return all values."""
        return self.values

    def position(self, value: Any) -> float:
        """Return the place of a value in the list: 0 for the first one, 1 for the last one."""
        return self.values.index(value) / (len(self.values) - 1)

    def ends(self) -> tuple[str, str]:
        """Return the first and the last value as text."""
        return str(self.values[0]), str(self.values[-1])


def read_space(path: str | Path, recipe: Recipe) -> dict[str, Range | Choice]:
    """Read the search space of a recipe.

    Args:
        path: a TOML file.
        recipe: the recipe whose fields the file names.

    Returns:
        The range or choice of each field, by dotted name.

    Raises:
        RecipeError: if the file cannot be read, a range is not valid, or a value does not suit its field.
        UnknownNameError: if the recipe has no such field.
        ProtocolError: if a value would select the best epoch on the test split.
    """
    path = Path(path)
    try:
        entries = dict(_entries(tomllib.loads(read_file(path, MAX_TEXT_BYTES).decode("utf-8"))))
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{path} cannot be read as TOML: {error}.") from None
    if not entries:
        raise RecipeError(f"{path} names no field. Add a line such as: learning_rate = {{ min = 1e-4, max = 1e-2 }}")
    space: dict[str, Range | Choice] = {}
    for field, entry in entries.items():
        try:
            space[field] = _dimension(entry, _takes_fractions(recipe, field))
            for value in space[field].samples():
                check_recipe(recipe.changed({field: value}))
        except FerlabError as error:
            raise type(error)(f"{path}: {field}: {error}") if isinstance(error, RecipeError) else error from None
    return space


def _takes_fractions(recipe: Recipe, field: str) -> bool:
    """Return whether a field of a recipe can be a number that is not whole.

    Raises:
        UnknownNameError: if there is no such field.
    """
    try:
        recipe.changed({field: 0.5})
    except RecipeError:
        return False
    return True


def _entries(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name of each field with its entry. A table with other keys than those of a range is a group."""
    for key, entry in table.items():
        if isinstance(entry, dict) and not RANGE_KEYS & entry.keys():
            yield from _entries(entry, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", entry


def _dimension(entry: Any, fractions: bool) -> Range | Choice:
    if isinstance(entry, list):
        if len(entry) < 2 or not all(isinstance(value, str | int | float) for value in entry):
            raise RecipeError("a list must hold two or more numbers, texts or booleans to choose from.")
        return Choice(values=tuple(entry))
    if not isinstance(entry, dict) or entry.keys() - RANGE_KEYS or not {"min", "max"} <= entry.keys():
        raise RecipeError("expected a list of values, or a range such as { min = 1e-4, max = 1e-2, log = true }.")
    low, high, log, step = entry["min"], entry["max"], entry.get("log", False), entry.get("step")
    numbers = [value for value in (low, high, step) if value is not None]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in numbers) or low >= high:
        raise RecipeError("min and max must be numbers, and min below max.")
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        raise RecipeError("log must be true or false; a logarithmic range begins above 0 and has no step.")
    if step is not None and step <= 0:
        raise RecipeError("step must be above 0.")
    whole = all(isinstance(value, int) for value in numbers) and (step is not None or not fractions)
    return Range(low=low, high=high, log=log, step=step, whole=whole)
