"""`compare`: train and score several recipes with several seeds. `compare_runs`: compare finished runs."""

import csv
import io
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.backend import start_keras
from ferlab.comparison.baselines import baseline_entries, majority_entry
from ferlab.comparison.findings import findings, summarize
from ferlab.comparison.results import Comparison, Entry, RankedRecipe
from ferlab.comparison.statistics import differences, rank, with_ties
from ferlab.data import Dataset, Split
from ferlab.engine import EndedRun, Engine, LocalEngine, PlannedRun
from ferlab.errors import FerlabError, RecipeError, RunError, reason_of
from ferlab.evaluation.evaluate import evaluate
from ferlab.explanation.explain import explain_split
from ferlab.files import make_folder, remove_abandoned, write_text
from ferlab.json_files import write_result
from ferlab.locks import exclusive
from ferlab.progress import ComparisonProgress, TrainingProgress, console
from ferlab.protocol import check_trainable, selection_splits
from ferlab.recipes import Recipe, find_recipes
from ferlab.recipes.model_stats import estimate_disk_bytes, image_passes, model_stats
from ferlab.results import DatasetSummary, Result, SplitName
from ferlab.runs import ClassMaps, RunFolder
from ferlab.training.train import train_recipe

EXPLAINED_PER_CLASS = 20  # images per class whose mean Grad-CAM map the report shows
DEFAULT_RECIPES = ("fair_newmodel", "fair_mobilenetv2", "fair_resnet50", "fair_vgg16")

# A small budget to try the tool: enough for the four architectures to learn the synthetic faces in a few minutes, too
# small to rank architectures. Regularization would only slow it down.
QUICK: dict[str, Any] = {
    "epochs": 5,
    "steps_per_epoch": 44,
    "batch_size": 32,
    "augmentation.flip": False,
    "augmentation.rotation": 0.0,
    "augmentation.shift": 0.0,
    "augmentation.zoom": 0.0,
    "label_smoothing": 0.0,
    "weight_decay": 0.0,
}
QUICK_RATES = {"fair_newmodel": 3e-3, "fair_vgg16": 1e-3}  # those of the recipes are for many more images

CSV_COLUMNS = (
    "recipe", "group", "architecture", "seed", "status", "parameters", "trainable_parameters", "multiply_adds",
    "epochs", "seconds_per_epoch",
)  # fmt: skip


def compare(
    recipes: Iterable[str | Recipe] | None,
    dataset: Dataset,
    out: str | Path,
    *,
    seeds: int = 1,
    resume: bool = False,
    quick: bool = False,
    engine: Engine | None = None,
    backend: str | None = None,
    quiet: bool = True,
    **changes: Any,
) -> Comparison:
    """Train and score several recipes, and write `comparison.json` and `comparison.csv`.

    Args:
        recipes: recipes, their names or names of groups; None for the four `fair` ones from scratch.
        dataset: a dataset with a training and a validation split. The test split, if there is one, is scored once at
            the end of each training, and ranks the models.
        out: output folder of the comparison; the run folders are in `out/runs`.
        seeds: train each recipe with the seeds 0 to seeds - 1.
        resume: continue a comparison in `out`.
        quick: use a small training budget, to try the tool.
        engine: what runs the trainings, such as `ferlab.distributed.engine.RayEngine`; None for this process.
        backend: `tensorflow` or `jax`.
        quiet: show no progress.
        changes: recipe fields to change in every recipe.

    Returns:
        The comparison. A run that failed is an entry with its reason. `ferlab.write_report` writes a report about it.

    Raises:
        DataError: if no model can learn from the dataset.
        ProtocolError: if a recipe would select its best epoch on the test split, or there is no split to select it on.
        RecipeError: if a recipe has no name, or two different ones have the same.
        UnknownNameError: if there is no such recipe.
        RunError: if `out` already contains a comparison and `resume` is off, or another process writes to it.
        KeyboardInterrupt: on Ctrl-C, after the finished runs were written.
    """
    out = Path(out)
    start_keras(backend)
    check_trainable(dataset)
    chosen = [_prepared(recipe, quick, changes) for recipe in _find(recipes)]
    for recipe in chosen:
        selection_splits(recipe, dataset)  # before hours of training
    if (out / "runs").exists() and not resume:
        raise RunError(f"{out} already contains a comparison. Resume it with --resume, or choose another --out.")
    make_folder(out)
    jobs = tuple((recipe, seed) for recipe in chosen for seed in range(seeds))
    with exclusive(out, out / ".lock", RunError):
        remove_abandoned(out)
        trainings = Trainings(jobs, dataset, out)
        _check_disk(trainings, quiet)
        return _train_and_rank(trainings, engine or LocalEngine(), quiet)


@dataclass(frozen=True)
class Trainings:
    """The trainings of a comparison. An engine calls it to run one of them.

    Args:
        jobs: recipes and seeds.
        dataset: the dataset.
        out: folder of the comparison.
    """

    jobs: tuple[tuple[Recipe, int], ...]
    dataset: Dataset
    out: Path

    def path(self, number: int) -> Path:
        """Return the run folder of a training."""
        recipe, seed = self.jobs[number]
        return self.out / "runs" / f"{recipe.name}-seed{seed}"

    def planned(self) -> list[PlannedRun]:
        """Return the trainings, with their forward passes in multiply-adds as an estimate of their computation."""
        images = len(self.dataset.take(Split.TRAIN))
        work = [float(model_stats(recipe).multiply_adds * image_passes(recipe, images)) for recipe, _ in self.jobs]
        return [PlannedRun(path=self.path(number), work=value) for number, value in enumerate(work)]

    def __call__(self, number: int, progress: ComparisonProgress) -> EndedRun:
        """Train a recipe with a seed, unless it is finished, and score it on the test split, if there is one.

        Raises:
            KeyboardInterrupt: if Ctrl-C interrupted the training.
        """
        (recipe, seed), path = self.jobs[number], self.path(number)
        progress.begin(f"{recipe.name}, seed {seed}")
        try:
            training = TrainingProgress(recipe, progress.quiet, progress)
            result = train_recipe(recipe, self.dataset, path, seed, True, training).result()
            if result is None or not result.finished:
                raise KeyboardInterrupt
            if self.dataset.has(Split.TEST) and result.test is None:
                evaluate(path, self.dataset, Split.TEST)
            _explain(RunFolder(path), self.dataset, progress)
        except Exception as error:  # one failed run must not end the others
            reason = (str(error) or type(error).__name__).splitlines()[0]
            progress.print(f"failed: {reason}")
            return EndedRun(path=path, outcome=f"failed: {reason}", reason=reason)
        progress.end()
        return EndedRun(path=path, outcome=result.describe())


def _train_and_rank(trainings: Trainings, engine: Engine, quiet: bool) -> Comparison:
    dataset, out = trainings.dataset, trainings.out
    outcomes = engine.run(trainings, trainings.planned(), 0, quiet)
    entries = []
    for number, (recipe, seed) in enumerate(trainings.jobs):
        ended, run = outcomes.ended.get(number), RunFolder(trainings.path(number))
        if ended or run.exists():
            reason = ended.reason if ended else None
            entries.append(_entry(recipe, seed, len(dataset.take(Split.TRAIN)), run, out, reason))
    ranked_on: SplitName = "test" if dataset.has(Split.TEST) else "validation"
    comparison = _conclude([*entries, *baseline_entries(dataset)], dataset.summary(), ranked_on, out)
    if outcomes.interrupted:
        raise KeyboardInterrupt
    return comparison


def _find(recipes: Iterable[str | Recipe] | None) -> list[Recipe]:
    found = []
    for recipe in DEFAULT_RECIPES if recipes is None else recipes:
        found += [recipe] if isinstance(recipe, Recipe) else find_recipes([recipe])
    named: dict[str, Recipe] = {}
    for recipe in found:
        if not recipe.name or named.setdefault(recipe.name, recipe) != recipe:
            problem = f"Two different recipes have the name '{recipe.name}'" if recipe.name else "A recipe has no name"
            raise RecipeError(f"{problem}. Give each its own, with dataclasses.replace(recipe, name=...).")
    return list(named.values())


def _prepared(recipe: Recipe, quick: bool, changes: Mapping[str, Any]) -> Recipe:
    if quick:
        recipe = recipe.changed(QUICK | {"learning_rate": QUICK_RATES.get(recipe.name, recipe.learning_rate)})
    return recipe.changed(changes)


def _check_disk(trainings: Trainings, quiet: bool) -> None:
    """Check, before anything is trained, that there is enough disk space for what is not there yet.

    Raises:
        FerlabError: if there is not.
    """
    out, needed = trainings.out, 0
    for number, (recipe, _) in enumerate(trainings.jobs):
        folder = trainings.path(number)
        if not (folder / "result.json").is_file():
            there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            needed += max(0, estimate_disk_bytes(recipe) - there)
    if not quiet:
        console().print(f"{len(trainings.jobs)} runs: {needed / 1e6:,.0f} MB of disk space in {out}")
    free = shutil.disk_usage(out).free
    if free < needed:
        raise FerlabError(
            f"{out} has {free / 1e6:,.0f} MB free, but {needed / 1e6:,.0f} MB are needed. Choose another --out."
        )


def _explain(run: RunFolder, dataset: Dataset, progress: ComparisonProgress) -> None:
    """Store the mean Grad-CAM map of each class for the report, on validation images if there are any.

    A model without a suitable feature map, which a plugin may define, has no maps.
    """
    split = Split.VALIDATION if dataset.has(Split.VALIDATION) else Split.TEST
    try:
        if run.explanations():
            return
        found = explain_split(run.path, dataset, split, images_per_class=EXPLAINED_PER_CLASS)
    except Exception as error:  # the run itself is finished and scored
        progress.print(f"no Grad-CAM maps: {reason_of(error)}")
        return
    correlation = np.nan if found.rank_correlation is None else found.rank_correlation
    run.write_explanations(
        ClassMaps(
            maps=found.mean_maps(),
            images=np.asarray(found.counts()),
            split=np.array(split.label),
            layer=np.array(found.layer),
            rank_correlation=np.array(correlation),
        )
    )


def _entry(recipe: Recipe, seed: int, num_images: int, run: RunFolder, out: Path, reason: str | None) -> Entry:
    try:
        result = run.result() or Result(status="interrupted", recipe=recipe.name, seed=seed)
    except RunError as error:
        result = Result(status="failed", reason=str(error), recipe=recipe.name, seed=seed)
    status = "failed" if reason else result.status
    finished = status in ("completed", "stopped early")
    return Entry(
        recipe=recipe.name,
        group=recipe.group,
        architecture=recipe.architecture,
        seed=seed,
        status=status,
        reason=reason or result.reason or _stop_reason(recipe, status),
        run=Path(os.path.relpath(run.path.resolve(), out.resolve())).as_posix(),
        parameters=result.parameters,
        trainable_parameters=result.trainable_parameters,
        multiply_adds=result.multiply_adds,
        epochs=result.epochs,
        image_passes=image_passes(replace(recipe, epochs=result.epochs or recipe.epochs), num_images),
        seconds_per_epoch=result.seconds_per_epoch,
        seconds=result.seconds,
        selected_on=result.selected_on,
        validation=result.validation if finished else None,
        test=result.test if finished else None,
        trained_on=run.fingerprints()["train"] if run.exists() else None,
        deviations=recipe.deviations,
    )


def _stop_reason(recipe: Recipe, status: str) -> str | None:
    stopping = recipe.early_stopping
    if status != "stopped early":
        return None
    return f"{stopping.monitor} had not improved for {stopping.patience} of {recipe.epochs} planned epochs"


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
        entries = [_entry(recipe, run.seed(), run.num_training_images(), run, out, None) for recipe, run in named]
        return _conclude([*entries, majority_entry(data)], data, ranked_on, out)


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


def _conclude(entries: Sequence[Entry], data: DatasetSummary, ranked_on: SplitName, out: Path) -> Comparison:
    """Rank the entries, and write the comparison."""
    ranking = rank(entries, ranked_on)
    pairs = differences(*_correct(entries, ranking, ranked_on, out))
    comparison = Comparison(
        dataset=data,
        ranked_on=ranked_on,
        entries=tuple(entries),
        ranking=tuple(with_ties(ranking, pairs)),
        differences=tuple(pairs),
    )
    histories = {entry.run: RunFolder(out / entry.run).history() for entry in entries if entry.run}
    found, sentences = findings(comparison, histories), summarize(comparison)
    comparison = replace(comparison, findings=tuple(found), summary=tuple(sentences))
    write_result(out / "comparison.json", comparison)
    _write_csv(out / "comparison.csv", entries)
    return comparison


def _correct(
    entries: Sequence[Entry], ranking: Sequence[RankedRecipe], split: str, out: Path
) -> tuple[dict[str, list[np.ndarray]], np.ndarray]:
    """Find which images each seed predicts correctly, by recipe, best first; and the images' groups of copies."""
    predictions = {
        row.recipe: [
            RunFolder(out / entry.run).require_predictions(split)
            for entry in entries
            if entry.recipe == row.recipe and entry.run and entry.metrics(split)
        ]
        for row in ranking
        if not row.is_baseline
    }
    correct = {recipe: [one.correct[one.order] for one in runs] for recipe, runs in predictions.items()}
    first = next((runs[0] for runs in predictions.values()), None)
    return correct, np.empty(0, np.int64) if first is None else first.copies[first.order]


def _write_csv(path: Path, entries: Sequence[Entry]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, "selected_on", "validation_accuracy", "test_accuracy", "deviations", "reason"])
    for entry in entries:
        values = ["" if (value := getattr(entry, column)) is None else value for column in CSV_COLUMNS]
        scores = [metrics.accuracy if metrics else "" for metrics in (entry.validation, entry.test)]
        selected_on, deviations = "; ".join(entry.selected_on), "; ".join(entry.deviations)
        writer.writerow([*values, selected_on, *scores, deviations, entry.reason or ""])
    write_text(path, text.getvalue())
