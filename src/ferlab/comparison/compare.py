"""Comparison: recipes times seeds make runs, and runs make one comparison with a report."""

import csv
import importlib
import importlib.util
import io
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.backend import start_keras
from ferlab.comparison.baselines import baseline_entries, majority_entry
from ferlab.recipes.model_stats import estimate_disk_bytes, image_passes
from ferlab.data import Dataset, Split
from ferlab.errors import FerlabError, RunError
from ferlab.evaluation.evaluate import evaluate
from ferlab.explanation.explain import explain_split
from ferlab.files import make_folder, write_atomically
from ferlab.comparison.findings import findings
from ferlab.progress import console
from ferlab.protocol import check_recipe
from ferlab.comparison.statistics import add_ties, differences, rank
from ferlab.recipes import Recipe, find_recipes
from ferlab.runs import RunFolder, read_json, write_json
from ferlab.training.train import train
from ferlab.formatting import duration

EXPLAINED_PER_CLASS = 20  # images, whose maps the report shows as means
FINISHED = ("completed", "stopped early")
DEFAULT_RECIPES = ("fair_newmodel", "fair_mobilenetv2", "fair_resnet50", "fair_vgg16")

# A budget to try the tool out with: enough to see a model learn on the demo data, and to rank none of them for good.
QUICK: dict[str, Any] = {
    "epochs": 3,
    "steps_per_epoch": 40,
    "batch_size": 16,
    "augmentation.rotation": 0.0,
    "augmentation.shift": 0.0,
    "augmentation.zoom": 0.0,
}

CSV_COLUMNS = (
    "recipe", "model", "seed", "status", "parameters", "trainable_parameters", "multiply_adds", "epochs",
    "seconds_per_epoch", "selected_on",
)  # fmt: skip


def compare(
    recipes: Iterable[str | Recipe] | None,
    dataset: Dataset,
    out: str | Path,
    *,
    seeds: int = 1,
    resume: bool = False,
    quick: bool = False,
    backend: str | None = None,
    quiet: bool = True,
    **changes: Any,
) -> dict[str, Any]:
    """Trains what is missing, scores everything, and writes comparison.json, comparison.csv and report.html.

    Args:
        recipes: recipes, their names or names of groups; None for the four `fair` ones from scratch.
        dataset: with a training and a validation split. Where it has a test split, that is scored once at the end of
            each training, and ranks the models.
        out: folder of the comparison; the runs lie in `out/runs`.
        seeds: number of seeds, 0 to seeds - 1.
        resume: go on with a comparison begun in `out`.
        quick: a small budget, to try the tool out.
        backend: `tensorflow` or `jax`.
        quiet: show no progress.
        changes: recipe fields to change in every recipe.

    Returns:
        What comparison.json holds. A run that failed is an entry with its reason.

    Raises:
        ProtocolError: if a recipe would select on the test split.
        UnknownNameError: if there is no such recipe.
        RunError: if `out` already holds a comparison and `resume` is off.
        KeyboardInterrupt: on Ctrl-C, after the reports of what is done were written.
    """
    out = Path(out)
    start_keras(backend)
    chosen = [_prepared(recipe, quick, changes) for recipe in _find(recipes)]
    if (out / "runs").exists() and not resume:
        raise RunError(f"{out} already holds a comparison. Go on with it by --resume, or choose another --out.")
    say = (lambda line: None) if quiet else console().print
    jobs = [(recipe, seed) for recipe in chosen for seed in range(seeds)]
    _announce(jobs, dataset, out, say)
    started, interrupted = time.monotonic(), False
    entries = []
    for number, (recipe, seed) in enumerate(jobs, start=1):
        say(f"[{number}/{len(jobs)}] {recipe.name}, seed {seed}")
        entry = _run(recipe, seed, dataset, out, backend, quiet)
        entries.append(entry)
        if interrupted := entry["status"] == "interrupted":
            break
        if number < len(jobs):
            left = (time.monotonic() - started) / number * (len(jobs) - number)
            say(f"    {number} of {len(jobs)} runs done, about {duration(left)} left")
    ranked_on = "test" if dataset.has(Split.TEST) else "validation"
    comparison = _conclude(entries + baseline_entries(dataset), dataset.describe(), ranked_on, out)
    if importlib.util.find_spec("ferlab.report"):  # it only reads what lies here: without it, nothing else is missing
        importlib.import_module("ferlab.report").write_report(out)
    if interrupted:
        raise KeyboardInterrupt
    return comparison


def _find(recipes: Iterable[str | Recipe] | None) -> list[Recipe]:
    found = []
    for recipe in DEFAULT_RECIPES if recipes is None else recipes:
        found += [recipe] if isinstance(recipe, Recipe) else find_recipes([recipe])
    return list({recipe.name: recipe for recipe in found}.values())


def _prepared(recipe: Recipe, quick: bool, changes: Mapping[str, Any]) -> Recipe:
    prepared = recipe.changed(QUICK if quick else {}).changed(changes)
    check_recipe(prepared)
    return prepared


def _announce(jobs: list[tuple[Recipe, int]], dataset: Dataset, out: Path, say: Any) -> None:
    """Says how long it will take and how much disk it needs, before anything is trained.

    Raises:
        FerlabError: if the disk is too small.
    """
    needed = sum(estimate_disk_bytes(recipe) for recipe, _ in jobs)
    say(f"{len(jobs)} runs: {needed / 1e6:,.0f} MB of disk space in {out}")
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise FerlabError(
            f"{out} has {free / 1e6:,.0f} MB free, and {needed / 1e6:,.0f} MB are needed. Choose another --out."
        )


def _run(recipe: Recipe, seed: int, dataset: Dataset, out: Path, backend: str | None, quiet: bool) -> dict[str, Any]:
    """One entry of the comparison: trained, unless that is done, and scored on the test split, if there is one."""
    run = RunFolder(out / "runs" / f"{recipe.name}-seed{seed}")
    reason = None
    try:
        train(recipe, dataset, run.path, seed=seed, resume=True, backend=backend, quiet=quiet)
        result = run.result() or {}
        if dataset.has(Split.TEST) and result.get("status") in FINISHED and result.get("test") is None:
            evaluate(run.path, dataset, Split.TEST)
        if result.get("status") in FINISHED and not run.explanations():
            _explain(run, dataset, quiet)
    except Exception as error:  # whatever one run dies of must not take the others with it
        reason = str(error) or type(error).__name__
        if not quiet:
            console().print(f"    failed: {reason.splitlines()[0]}")
    return _entry(recipe, seed, len(dataset.take(Split.TRAIN)), run, out, reason)


def _explain(run: RunFolder, dataset: Dataset, quiet: bool) -> None:
    """Keeps mean maps of each class for the report, of validation images where there are any: looking changes minds.

    A model that has none, such as a plugin's without a feature map, is none the worse for it.
    """
    split = Split.VALIDATION if dataset.has(Split.VALIDATION) else Split.TEST
    try:
        found = explain_split(run.path, dataset, split, images_per_class=EXPLAINED_PER_CLASS)
    except FerlabError as error:
        if not quiet:
            console().print(f"    no maps of where it looks: {error}", markup=False)
        return
    run.write_explanations(found.mean_maps(), found.counts(), split.label, found.layer, found.rank_correlation)


def _entry(recipe: Recipe, seed: int, num_images: int, run: RunFolder, out: Path, reason: str | None) -> dict[str, Any]:
    result = run.result() or {}
    keys = ("parameters", "trainable_parameters", "multiply_adds", "epochs", "seconds_per_epoch", "seconds")
    status = "failed" if reason else result.get("status", "interrupted")
    scores = {split: result.get(split) if status in FINISHED else None for split in ("validation", "test")}
    trained = replace(recipe, epochs=result.get("epochs") or recipe.epochs)
    return {
        "recipe": recipe.name,
        "model": recipe.architecture,
        "seed": seed,
        "status": status,
        "reason": reason.splitlines()[0] if reason else _stop_reason(recipe, status),
        "run": Path(os.path.relpath(run.path.resolve(), out.resolve())).as_posix(),
        **{key: result.get(key) for key in keys},
        **scores,
        "image_passes": image_passes(trained, num_images),
        "trained_on": run.dataset()["splits"]["train"]["fingerprint"] if run.exists() else None,
        "selected_on": result.get("selected_on"),
        "deviations": list(recipe.deviations),
    }


def _stop_reason(recipe: Recipe, status: str) -> str | None:
    stopping = recipe.early_stopping
    if status != "stopped early":
        return None
    return f"{stopping.monitor} had not improved for {stopping.patience} epochs, of {recipe.epochs} planned"


def compare_runs(runs: Iterable[str | Path], out: str | Path) -> dict[str, Any]:
    """Makes a comparison from finished runs, wherever they were trained; `ferlab.report.write_report` shows it.

    Args:
        runs: run folders. Runs of one recipe that differ in its fields are told apart by the name of the folder.
        out: folder of the comparison.

    Returns:
        What comparison.json holds, with the majority class as the only baseline.

    Raises:
        RunError: if a folder holds no finished run, or the runs do not share their classes and scored images.
    """
    out, folders = Path(out), [RunFolder(Path(path)) for path in runs]
    if not folders:
        raise RunError("No run folders given: name those that are to be compared.")
    for run in folders:
        if not run.exists() or (run.result() or {}).get("status") not in FINISHED:
            raise RunError(f"{run.path} holds no finished run. Finish its training with --resume, or leave it out.")
    ranked_on = _common_split(folders)
    described = folders[0].dataset()
    for run in folders[1:]:
        _check_comparable(folders[0], run, ranked_on)
    make_folder(out)
    entries = [_entry(recipe, run.seed(), run.num_training_images(), run, out, None) for recipe, run in _named(folders)]
    return _conclude([*entries, majority_entry(described)], described, ranked_on, out)


def _common_split(folders: list[RunFolder]) -> str:
    """The split that all runs were scored on: test, if they were."""
    for split in ("test", "validation"):
        if all((run.result() or {}).get(split) for run in folders):
            return split
    raise RunError("The runs share no split that all of them were scored on. Score them with ferlab evaluate.")


def _named(folders: list[RunFolder]) -> list[tuple[Recipe, RunFolder]]:
    """The recipes of runs; those that share a name but not their fields are named after their first folders.

    Raises:
        RunError: if a recipe and seed is there twice.
    """
    recipes, paths = [run.recipe() for run in folders], [run.path.resolve() for run in folders]
    parent = os.path.commonpath([path.parent for path in paths])
    firsts: dict[str, list[tuple[Any, str]]] = {}  # name of the recipe -> its variants: fields and first folder
    for recipe, path in zip(recipes, paths, strict=True):
        variants, fields = firsts.setdefault(recipe.name, []), recipe.training_fields()
        if not any(fields == known for known, _ in variants):
            variants.append((fields, Path(os.path.relpath(path, parent)).as_posix()))
    seen: dict[tuple[str, int], RunFolder] = {}
    named = []
    for recipe, run in zip(recipes, folders, strict=True):
        variants, fields = firsts[recipe.name], recipe.training_fields()
        folder = next(folder for known, folder in variants if known == fields)
        name = f"{recipe.name} ({folder})" if len(variants) > 1 else recipe.name
        twin = seen.setdefault((name, run.seed()), run)
        if twin is not run:
            raise RunError(f"{twin.path} and {run.path} are the same recipe and seed: leave one of them out.")
        named.append((replace(recipe, name=name), run))
    return named


def _check_comparable(first: RunFolder, other: RunFolder, split: str) -> None:
    if first.dataset()["class_names"] != other.dataset()["class_names"]:
        raise RunError(f"{other.path} tells other classes apart than {first.path}. Compare them in separate reports.")
    if not np.array_equal(first.scored_images(split), other.scored_images(split)):
        raise RunError(f"{other.path} was scored on other {split} images than {first.path}: they cannot be ranked.")


def _conclude(entries: list[dict[str, Any]], described: Mapping[str, Any], ranked_on: str, out: Path) -> dict[str, Any]:
    """Ranks the entries and writes the comparison in all its forms."""
    ranking = rank(entries, ranked_on)
    hits, groups = _hits(entries, ranking, ranked_on, out)
    pairs = differences(hits, groups)
    add_ties(ranking, pairs)
    comparison: dict[str, Any] = {
        "dataset": dict(described),
        "entries": entries,
        "ranking": ranking,
        "ranked_on": ranked_on,
        "differences": pairs,
    }
    histories = {entry["run"]: RunFolder(out / entry["run"]).history() for entry in entries if entry["run"]}
    comparison["findings"] = findings(comparison, histories)
    write_json(out / "comparison.json", comparison)
    _write_csv(out / "comparison.csv", entries)
    return read_json(out / "comparison.json")


def _hits(
    entries: list[dict[str, Any]], ranking: list[dict[str, Any]], split: str, out: Path
) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Per trained recipe, best first, which images each seed answered rightly; and the images' groups of copies."""
    trained = [row["recipe"] for row in ranking if not row["recipe"].startswith("baseline_")]
    runs = {
        name: [RunFolder(out / entry["run"]) for entry in entries if entry["recipe"] == name and entry[split]]
        for name in trained
    }
    hits = {name: [run.hits(split) for run in folders] for name, folders in runs.items()}
    return hits, next(iter(runs.values()))[0].copies(split) if runs else np.empty(0, np.int64)


def _write_csv(path: Path, entries: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, "validation_accuracy", "test_accuracy", "deviations", "reason"])
    for entry in entries:
        scores = [entry[split]["accuracy"] if entry[split] else "" for split in ("validation", "test")]
        values = ["" if entry[column] is None else entry[column] for column in CSV_COLUMNS]
        writer.writerow([*values, *scores, "; ".join(entry["deviations"]), entry["reason"] or ""])
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))
