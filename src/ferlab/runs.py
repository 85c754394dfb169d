"""Run folders: `RunFolder` is the only code that reads and writes them.

    config.json        the recipe, the seed and the target
    environment.json   versions, commit, device, and fingerprints of the data
    history.jsonl      one line per epoch
    checkpoint/        state.npz: everything that the next epoch depends on; best-0007.npz: the weights of the best
                       epoch, here the seventh
    model.keras        the model of the best epoch, in float32
    predictions.npz    probabilities on each scored split
    explanations.npz   mean Grad-CAM maps of each class; only for runs of a comparison
    result.json        how the run ended, and its metrics

Each file is written to a temporary file first, flushed to disk and renamed, so that there are no partial files.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ferlab import array_files
from ferlab.array_files import write_arrays
from ferlab.emotions import Target
from ferlab.errors import RecipeError, RunError, UnknownNameError, reason_of
from ferlab.files import read_file, remove_abandoned, write_atomically, write_text
from ferlab.json_files import SCHEMA, decode_json, parse, read_json, read_result, write_json, write_result
from ferlab.limits import MAX_TEXT_BYTES
from ferlab.locks import exclusive
from ferlab.recipes import Recipe
from ferlab.results import DatasetSummary, Environment, Epoch, Result
from ferlab.run_arrays import ClassMaps, Predictions

Value = TypeVar("Value")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training. Each JSON file is read once; create a new object to read changes.

    Args:
        path: the folder.
    """

    path: Path
    _read: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def model_file(self) -> Path:
        """The trained model."""
        return self.path / "model.keras"

    @property
    def state_file(self) -> Path:
        """The checkpoint that a run resumes from."""
        return self.path / "checkpoint" / "state.npz"

    def best_file(self, epoch: int) -> Path:
        """Return the file of the weights of an epoch that is the best one so far.

        The epoch is part of the name, so that the file always belongs to the checkpoint that refers to it: a process
        may be killed after it wrote the weights of a better epoch, and before it wrote the checkpoint of that epoch.

        Args:
            epoch: number of the epoch, counted from 1.
        """
        return self.path / "checkpoint" / f"best-{epoch:04d}.npz"

    def remove_other_best_files(self, epoch: int) -> None:
        """Remove the weights of all epochs except one."""
        for path in self.best_file(epoch).parent.glob("best-*.npz"):
            if path != self.best_file(epoch):
                path.unlink()

    def exists(self) -> bool:
        """Return whether a training was started here."""
        return (self.path / "config.json").is_file()

    def recipe(self) -> Recipe:
        """Read the recipe of the run.

        Raises:
            RunError: if it is missing, or was written by an incompatible version of ferlab.
        """
        return self._once("recipe", self._recipe)

    def _recipe(self) -> Recipe:
        path = self.path / "config.json"
        try:
            return Recipe.from_dict(read_json(path)["recipe"])
        except (KeyError, RecipeError, UnknownNameError) as error:
            raise RunError(f"{path} was written by another version of ferlab ({error}). Train the run again.") from None

    def environment(self) -> Environment:
        """Read the environment and data of the run."""
        return self._once("environment", lambda: read_result(Environment, self.path / "environment.json"))

    def result(self) -> Result | None:
        """Read how the run ended; None if it has not ended."""
        path = self.path / "result.json"
        return self._once("result", lambda: read_result(Result, path) if path.is_file() else None)

    def trained_result(self) -> Result:
        """Read the result of a run that has a trained model, even if it was interrupted.

        Raises:
            RunError: if there is no model, or the run failed or was killed after the model was written.
        """
        result = self.result()
        if result is None or not result.selected_on or not self.model_file.is_file():
            raise RunError(
                f"{self.path} does not contain a trained model (model.keras and result.json). Train it first, or "
                "resume it with --resume."
            )
        return result

    def history(self) -> tuple[Epoch, ...]:
        """Read the measurements of each epoch."""
        return self._once("history", self._history)

    def _history(self) -> tuple[Epoch, ...]:
        path = self.path / "history.jsonl"
        if not path.is_file():
            return ()
        try:
            lines = [decode_json(line) for line in read_file(path, MAX_TEXT_BYTES).splitlines()]
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read: {reason_of(error)}.") from None
        return tuple(parse(Epoch, line, path) for line in lines)

    def dataset(self) -> DatasetSummary:
        """Return the summary of the data that the run was trained on."""
        return self.environment().dataset

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprints of the splits of that data, by name."""
        return self.dataset().fingerprints

    def seed(self) -> int:
        """Return the seed of the run."""
        return self.environment().seed

    def num_training_images(self) -> int:
        """Return the number of training images."""
        return self.dataset().splits["train"].images

    def class_shares(self) -> tuple[float, ...]:
        """Return the share of each class in the training images, 0..1: equal shares for balanced class weights."""
        counts = np.array([self.dataset().splits["train"].classes[name] for name in self.dataset().class_names], float)
        if self.recipe().class_weights == "balanced":
            counts = (counts > 0).astype(float)
        return tuple((counts / counts.sum()).tolist())

    def write_config(self, recipe: Recipe, seed: int, target: Target | None = None) -> None:
        """Write the recipe, the seed and the target."""
        config = {"schema": SCHEMA, "recipe": recipe.as_dict(), "seed": seed, "target": target}
        write_json(self.path / "config.json", config)
        self._read["recipe"] = recipe

    def write_environment(self, environment: Environment) -> None:
        """Write the environment and data of the run."""
        write_result(self.path / "environment.json", environment)
        self._read["environment"] = environment

    def write_result(self, result: Result) -> None:
        """Write how the run ended."""
        write_result(self.path / "result.json", result)
        self._read["result"] = result

    def write_history(self, epochs: Sequence[Epoch]) -> None:
        """Replace the history."""
        text = "".join(json.dumps(dataclasses.asdict(epoch)) + "\n" for epoch in epochs)
        write_text(self.path / "history.jsonl", text)
        self._read["history"] = tuple(epochs)

    def forget(self) -> None:
        """Remove the config and the environment of a run that never began."""
        for name in ("config.json", "environment.json"):
            (self.path / name).unlink(missing_ok=True)

    def _once(self, name: str, read: Callable[[], Value]) -> Value:
        if name not in self._read:
            self._read[name] = read()
        return self._read[name]

    def predictions(self, split: str) -> Predictions | None:
        """Read the predictions on one split; None if it was not scored."""
        arrays = self._all_predictions()
        if f"{split}_keys" not in arrays:
            return None
        names = [item.name for item in dataclasses.fields(Predictions)]
        found = {name: arrays[f"{split}_{name}"] for name in names if f"{split}_{name}" in arrays}
        # Before copies were stored, only identical images with the same label counted as copies.
        if "copies" not in found:
            found["copies"] = np.unique(found["keys"], return_inverse=True)[1]
        try:
            return Predictions(**found)
        except (TypeError, ValueError) as error:
            raise RunError(f"{self.path / 'predictions.npz'} is damaged: {error}. Score the run again.") from None

    def require_predictions(self, split: str) -> Predictions:
        """Read the predictions on one split, like `predictions`, but raise if there are none.

        Raises:
            RunError: if the split was not scored.
        """
        found = self.predictions(split)
        if found is None:
            raise RunError(f"{self.path} has no predictions on the {split} split. Run `ferlab evaluate` on it first.")
        return found

    def write_predictions(self, split: str, predictions: Predictions) -> None:
        """Add or replace the predictions on one split."""
        named = {f"{split}_{item.name}": getattr(predictions, item.name) for item in dataclasses.fields(predictions)}
        write_arrays(self.path / "predictions.npz", self._all_predictions() | named)

    def _all_predictions(self) -> dict[str, np.ndarray]:
        path = self.path / "predictions.npz"
        return read_arrays(path) if path.is_file() else {}

    def explanations(self) -> ClassMaps | None:
        """Read the mean map of each class; None if they were not computed.

        Raises:
            RunError: if the file cannot be read, or was written by another version of ferlab.
        """
        path = self.path / "explanations.npz"
        if not path.is_file():
            return None
        try:
            return ClassMaps(**read_arrays(path))
        except (TypeError, ValueError) as error:
            raise RunError(
                f"{path} was written by another version of ferlab, or is damaged: {error}. Delete it: reports omit "
                "the maps then."
            ) from None

    def write_explanations(self, maps: ClassMaps) -> None:
        """Replace the mean maps."""
        arrays = {item.name: np.asarray(getattr(maps, item.name)) for item in dataclasses.fields(maps)}
        write_arrays(self.path / "explanations.npz", arrays)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the run; a killed process releases the lock.

        Raises:
            RunError: if another process holds the lock.
        """
        write_atomically(self.path / ".writable", lambda file: None)
        (self.path / ".writable").unlink()
        with exclusive(self.path, self.path / ".lock", RunError):
            for folder in (self.path, self.state_file.parent):
                remove_abandoned(folder)
            yield


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an `.npz` file of a run.

    Raises:
        RunError: if it cannot be read.
    """
    try:
        return array_files.read_arrays(path)
    except ValueError as error:
        raise RunError(f"{path} cannot be read: {error}.") from None
