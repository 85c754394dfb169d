"""Typed results of a sweep, as `sweep.json` holds them."""

import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ferlab.formatting import counted
from ferlab.results import DatasetSummary
from ferlab.search.space import Choice, Range

BEST_RECIPE = "best_recipe.py"  # a plugin with the best recipe

TrialStatus = Literal["completed", "pruned", "failed", "unfinished"]


@dataclass(frozen=True, kw_only=True)
class SweepTrial:
    """One training of a sweep.

    Args:
        number: number of the trial, counted from 0.
        status: `pruned` trials were stopped early because others were better at the same epoch; an `unfinished` one was
            interrupted, or is run by another process.
        accuracy: validation accuracy of the best epoch, 0..1; null unless completed.
        changes: the recipe fields that the trial changed, by dotted name.
        accuracies: validation accuracy after each epoch, 0..1.
        seconds: training time.
        run: path of the run folder, relative to the folder of the sweep.
        reason: why it failed; null otherwise.
    """

    number: int
    status: TrialStatus
    accuracy: float | None
    changes: dict[str, Any]
    accuracies: tuple[float, ...]
    seconds: float
    run: str
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A search of hyperparameters.

    Args:
        recipe: name of the recipe.
        dataset: the training and validation images. Sweeps never read test images.
        space: range or choice of each searched field, by dotted name.
        seed: seed of the search and of each training.
        trials: all trials, in the order of their numbers.
        importances: share of each field in the variance of the accuracy, by fANOVA over the completed trials; empty if
            there are fewer than four, or the accuracies are equal.
    """

    recipe: str
    dataset: DatasetSummary
    space: dict[str, Range | Choice]
    seed: int
    trials: tuple[SweepTrial, ...]
    importances: dict[str, float]

    @property
    def best_recipe(self) -> str:
        """Name of the recipe in `best_recipe.py`."""
        return re.sub(r"\W", "_", f"best_{self.recipe}")

    def ranked(self) -> list[SweepTrial]:
        """Return the completed trials, best first."""
        completed = [trial for trial in self.trials if trial.accuracy is not None]
        return sorted(completed, key=lambda trial: (-(trial.accuracy or 0.0), trial.number))

    def describe(self) -> str:
        """Describe how many trials there were, in one sentence, and what that means for the best one."""
        counts = [f"{self.count(status)} {status}" for status in get_args(TrialStatus) if self.count(status)]
        return (
            f"{counted(len(self.trials), 'trial')}: {', '.join(counts)}. The best accuracy is the highest of many, so "
            "it is higher than on new images; score the recipe on test images once, after training it again."
        )

    def count(self, status: TrialStatus) -> int:
        """Return the number of trials with a status."""
        return sum(trial.status == status for trial in self.trials)
