"""Run folders: the only code that reads and writes them.

    config.json        the whole recipe
    environment.json   versions, commit, seed, device, fingerprints of the data
    history.jsonl      one line per epoch
    checkpoint/        state.npz: all that the next epoch depends on; best.npz: the weights of the best epoch
    model.keras        the best selection epoch's model, in float32
    predictions.npz    probabilities on each scored split
    explanations.npz   of a run in a comparison: where the model sees each class, as mean maps
    result.json        how the run ended, and its metrics
    failure.json       why it failed, where it did

Each file is written to a temporary one first, flushed to the disk and renamed, so that none is ever half there.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.data import Dataset
from ferlab.data.copies import group_copies
from ferlab.errors import MissingExtraError, RecipeError, RunError, UnknownNameError
from ferlab.files import write_atomically
from ferlab.recipes import Recipe

SCHEMA = 1
NUM_EXAMPLES = 12  # pictures of each kind that are kept for a report


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a JSON object, with the schema number first."""
    text = json.dumps({"schema": SCHEMA, **values}, indent=1, ensure_ascii=False)
    write_atomically(path, lambda file: file.write(f"{text}\n".encode()))


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        RunError: if it is not there or not readable.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} does not exist. Is {path.parent} a run folder of ferlab?") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}.") from None
    if not isinstance(values, dict):
        raise RunError(f"{path} holds no JSON object. Is {path.parent} a run folder of ferlab?")
    if values.get("schema") != SCHEMA:
        raise RunError(f"{path} has schema {values.get('schema')}, and this version of ferlab reads {SCHEMA}.")
    return values


@dataclass(frozen=True)
class RunFolder:
    """One training's folder."""

    path: Path

    @property
    def model_file(self) -> Path:
        """The trained model."""
        return self.path / "model.keras"

    @property
    def state_file(self) -> Path:
        """What resuming needs."""
        return self.path / "checkpoint" / "state.npz"

    @property
    def best_file(self) -> Path:
        """The weights of the best epoch so far."""
        return self.path / "checkpoint" / "best.npz"

    def exists(self) -> bool:
        """Whether a training was begun here."""
        return (self.path / "config.json").is_file()

    def recipe(self) -> Recipe:
        """The recipe that the run was begun with."""
        try:
            return Recipe.from_dict(read_json(self.path / "config.json")["recipe"])
        except (KeyError, RecipeError, UnknownNameError) as error:
            raise self._other_version("config.json", error) from None

    def environment(self) -> dict[str, Any]:
        """Versions, seed, device and fingerprints."""
        return read_json(self.path / "environment.json")

    def result(self) -> dict[str, Any] | None:
        """How the run ended, or None where it has not."""
        path = self.path / "result.json"
        return read_json(path) if path.is_file() else None

    def trained_result(self) -> dict[str, Any]:
        """How a run ended that left a trained model, even if it was interrupted: it says what chose that model.

        Raises:
            RunError: if there is no model, or the run failed or was killed after it was written.
        """
        result = self.result() or {}
        if "selected_on" not in result or not self.model_file.is_file():
            raise RunError(
                f"{self.path} holds no trained model (model.keras, and result.json beside it). Train it first, or go "
                "on with --resume."
            )
        return result

    def history(self) -> list[dict[str, float]]:
        """One dictionary per epoch."""
        path = self.path / "history.jsonl"
        if not path.is_file():
            return []
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:
            raise RunError(f"{path} cannot be read: {error}.") from None

    def write_history(self, epochs: list[dict[str, float]]) -> None:
        """Replaces the history."""
        text = "".join(json.dumps(epoch) + "\n" for epoch in epochs)
        write_atomically(self.path / "history.jsonl", lambda file: file.write(text.encode()))

    def write(self, name: str, values: Mapping[str, Any]) -> None:
        """Writes `<name>.json`."""
        write_json(self.path / f"{name}.json", values)

    def dataset(self) -> dict[str, Any]:
        """What was trained on: `source, class_names, splits`, as in `Dataset.describe`."""
        environment = self.environment()
        if "dataset" not in environment:
            raise self._other_version("environment.json", KeyError("dataset"))
        return environment["dataset"]

    def fingerprints(self) -> dict[str, str]:
        """Of the splits that the run was made with, by name; a split without images is not there."""
        return {name: split["fingerprint"] for name, split in self.dataset()["splits"].items()}

    def _other_version(self, name: str, error: Exception) -> RunError:
        return RunError(f"{self.path / name} was written by another version of ferlab ({error}). Train the run again.")

    def seed(self) -> int:
        """The seed of the run."""
        return int(self.environment()["seed"])

    def num_training_images(self) -> int:
        """How many images the training split had."""
        return int(self.dataset()["splits"]["train"]["images"])

    def predictions(self) -> dict[str, np.ndarray]:
        """Per scored split the arrays `<split>_probabilities` `(N, K)`, `<split>_labels`, `<split>_names` `(N,)`.

        With them `<split>_keys` `(N,)` uint64, by which images with their labels are told apart whatever their order;
        `<split>_copies` `(N,)` int64, equal for copies whatever their labels; and, to be shown, the positions
        `<split>_examples` `(M,)` and pictures `<split>_example_images` `(M, 48, 48)` uint8 of a few.
        """
        return read_arrays(self.path / "predictions.npz") if (self.path / "predictions.npz").is_file() else {}

    def write_predictions(self, split: str, probabilities: np.ndarray, part: Dataset) -> None:
        """Adds or replaces the predictions on one split."""
        probabilities = probabilities.astype(np.float32)
        examples = np.union1d(random_examples(len(part)), confident_mistakes(part.labels, probabilities))
        arrays = {
            "probabilities": probabilities,
            "labels": part.labels,
            "names": part.names,
            "keys": np.array([int.from_bytes(digest[:8], "big") for digest in part.digests()], np.uint64),
            "copies": group_copies(part.images),
            "examples": examples,
            "example_images": part.images[examples],
        }
        named = {f"{split}_{name}": array for name, array in arrays.items()}
        write_arrays(self.path / "predictions.npz", self.predictions() | named)

    def explanations(self) -> dict[str, np.ndarray]:
        """Where the model sees each class, on a few images of a split; empty where that was not looked at.

        `maps` `(K, H, W)` float32, 0..1: the mean map of each class; `images` `(K,)`: of how many; `split` and `layer`
        `()` str; `rank_correlation` `()`, -1..1, with the maps of untrained networks, NaN where it is not known.

        Raises:
            RunError: if the file cannot be read, or is of another version.
        """
        path = self.path / "explanations.npz"
        stored = read_arrays(path) if path.is_file() else {}
        if stored and not {"maps", "images", "split", "layer", "rank_correlation"} <= stored.keys():
            raise RunError(f"{path} was written by another version of ferlab. Remove it: the report goes without.")
        return stored

    def write_explanations(
        self, maps: np.ndarray, images: np.ndarray, split: str, layer: str, rank_correlation: float | None
    ) -> None:
        """Replaces what `explanations` gives."""
        correlation = np.array(np.nan if rank_correlation is None else rank_correlation)
        arrays = {"maps": maps, "images": images, "split": np.array(split), "layer": np.array(layer)}
        write_arrays(self.path / "explanations.npz", arrays | {"rank_correlation": correlation})

    def scored_images(self, split: str) -> np.ndarray:
        """The keys of the images of a scored split, in order `(N,)`.

        Raises:
            RunError: if the predictions are not there.
        """
        return np.sort(self._scored(split)[f"{split}_keys"])

    def copies(self, split: str) -> np.ndarray:
        """Groups of copies among the images of a scored split: `(N,)` int64, ordered by the images' keys.

        Predictions of an older version do not tell that images with different labels are copies.

        Raises:
            RunError: if the predictions are not there.
        """
        stored = self._scored(split)
        keys = stored[f"{split}_keys"]
        copies = stored.get(f"{split}_copies", np.unique(keys, return_inverse=True)[1])
        return copies[np.argsort(keys, kind="stable")]

    def hits(self, split: str) -> np.ndarray:
        """Which images of a scored split were answered rightly: `(N,)` bool, ordered by the images' keys.

        Raises:
            RunError: if the predictions are not there.
        """
        stored = self._scored(split)
        right = stored[f"{split}_probabilities"].argmax(axis=1) == stored[f"{split}_labels"]
        return right[np.argsort(stored[f"{split}_keys"], kind="stable")]

    def _scored(self, split: str) -> dict[str, np.ndarray]:
        stored = self.predictions()
        if f"{split}_keys" not in stored:
            raise RunError(f"{self.path} has no predictions on {split} images. Make them with ferlab evaluate.")
        return stored

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second process out for as long as this one is in; a killed process lets go by itself.

        Raises:
            RunError: if another process is in.
        """
        try:
            import filelock
        except ImportError:
            raise MissingExtraError("train", "filelock") from None
        write_atomically(self.path / ".writable", lambda file: None)
        (self.path / ".writable").unlink()
        lock = filelock.FileLock(self.path / ".lock", timeout=0)
        try:
            with lock:
                yield
        except filelock.Timeout:
            raise RunError(f"{self.path} is in use by another process. Wait for it, or choose another --out.") from None


def random_examples(num_images: int) -> np.ndarray:
    """Positions of a few images, in random order, the same ones for every run on the same data."""
    return np.random.default_rng(0).permutation(num_images)[:NUM_EXAMPLES]


def confident_mistakes(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Positions of the wrong answers `(M,)` that were given with the highest probability, highest first.

    Args:
        labels: `(N,)`.
        probabilities: `(N, K)`.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    return order[predicted[order] != labels[order]][:NUM_EXAMPLES]


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as one `.npz`, atomically."""
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads an `.npz`; pickled objects in it are refused.

    Raises:
        RunError: if it cannot be read.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} cannot be read: {error}.") from None
