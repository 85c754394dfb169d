"""`compare_runs`: compare finished runs."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.comparison.baselines import majority_entry
from ferlab.comparison.conclude import conclude, entry_of
from ferlab.comparison.results import Comparison
from ferlab.errors import RunError
from ferlab.files import make_folder
from ferlab.locks import exclusive
from ferlab.recipes import Recipe
from ferlab.results import SplitName
from ferlab.runs import RunFolder


def compare_runs(runs: Iterable[str | Path], out: str | Path) -> Comparison:
    """Compare finished runs from any folders.

    Args:
        runs: run folders. Runs of one recipe that differ in its fields or training images are named after their
            folders.
        out: folder of the comparison.

    Returns:
        The comparison, with the majority class as the only baseline.

    Raises:
        RunError: if a folder does not contain a finished run, or the runs have different classes or scored images.
    """
    out, folders = Path(out), [RunFolder(Path(path)) for path in runs]
    if not folders:
        raise RunError("No run folders given. Pass the runs to compare.")
    for run in folders:
        result = run.result() if run.exists() else None
        if result is None or not result.finished:
            raise RunError(
                f"{run.path} does not contain a finished run. Resume its training with --resume, or omit it."
            )
    ranked_on = _common_split(folders)
    for run in folders[1:]:
        _check_comparable(folders[0], run, ranked_on)
    named, data = _named(folders), folders[0].dataset()
    make_folder(out)
    with exclusive(out, out / ".lock", RunError):
        entries = [entry_of(recipe, run.seed(), run.num_training_images(), run, out, None) for recipe, run in named]
        return conclude([*entries, majority_entry(data)], data, ranked_on, out)


def _common_split(folders: Sequence[RunFolder]) -> SplitName:
    """Find the split that all runs were scored on: test, if possible."""
    splits: tuple[SplitName, ...] = ("test", "validation")
    for split in splits:
        if all((result := run.result()) and result.metrics(split) for run in folders):
            return split
    raise RunError("There is no split that all runs were scored on. Score them with `ferlab evaluate`.")


def _named(folders: list[RunFolder]) -> list[tuple[Recipe, RunFolder]]:
    """Name the recipes of runs. Those of one name with other fields or training images are named after their folders.

    Raises:
        RunError: if two runs have the same recipe, training images and seed.
    """

    def variant(recipe: Recipe, run: RunFolder) -> tuple[dict[str, Any], str]:
        return recipe.training_fields(), run.fingerprints()["train"]

    recipes, paths = [run.recipe() for run in folders], [run.path.resolve() for run in folders]
    parent = os.path.commonpath([path.parent for path in paths])
    firsts: dict[str, list[tuple[Any, str]]] = {}  # name of the recipe -> its variants: fields and first folder
    for recipe, run, path in zip(recipes, folders, paths, strict=True):
        variants, fields = firsts.setdefault(recipe.name, []), variant(recipe, run)
        if not any(fields == known for known, _ in variants):
            variants.append((fields, Path(os.path.relpath(path, parent)).as_posix()))
    seen: dict[tuple[str, int], RunFolder] = {}
    named = []
    for recipe, run in zip(recipes, folders, strict=True):
        variants, fields = firsts[recipe.name], variant(recipe, run)
        folder = next(folder for known, folder in variants if known == fields)
        name = f"{recipe.name} ({folder})" if len(variants) > 1 else recipe.name
        twin = seen.setdefault((name, run.seed()), run)
        if twin is not run:
            raise RunError(f"{twin.path} and {run.path} have the same recipe and seed. Omit one of them.")
        named.append((replace(recipe, name=name), run))
    return named


def _check_comparable(first: RunFolder, other: RunFolder, split: str) -> None:
    targets = first.dataset().target, other.dataset().target
    if None not in targets and targets[0] != targets[1]:
        raise RunError(
            f"{first.path} has the target {targets[0]}, and {other.path} has the target {targets[1]}. Scores on two "
            "targets cannot be ranked. Compare them in separate reports."
        )
    if first.dataset().class_names != other.dataset().class_names:
        raise RunError(f"{other.path} has different classes than {first.path}. Compare them in separate reports.")
    one, two = first.require_predictions(split), other.require_predictions(split)
    if not np.array_equal(one.keys[one.order], two.keys[two.order]):
        raise RunError(
            f"{other.path} was scored on different {split} images than {first.path}, so they cannot be ranked."
        )
