"""`compare`: train and score several recipes with several seeds."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferlab.backend import start_keras
from ferlab.comparison.baselines import baseline_entries
from ferlab.comparison.conclude import conclude, entry_of
from ferlab.comparison.results import Comparison
from ferlab.data import Dataset, Split
from ferlab.engine import EndedRun, Engine, LocalEngine, PlannedRun
from ferlab.errors import FerlabError, RecipeError, RunError, reason_of
from ferlab.evaluation.evaluate import evaluate
from ferlab.explanation.explain import explain_split
from ferlab.files import make_folder, remove_abandoned
from ferlab.locks import exclusive
from ferlab.progress import ComparisonProgress, TrainingProgress, console
from ferlab.protocol import check_trainable, selection_splits
from ferlab.recipes import Recipe, find_recipes
from ferlab.recipes.model_stats import estimate_disk_bytes, image_passes, model_stats
from ferlab.results import SplitName
from ferlab.run_arrays import ClassMaps
from ferlab.runs import RunFolder
from ferlab.training.job import check_same_run
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
        RunError: if `out` already contains a comparison and `resume` is off, or one with other settings, or another
            process writes to it.
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
        trainings.check_resumable()
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

    def check_resumable(self) -> None:
        """Check that the runs that exist are those of these recipes, seeds and data.

        Raises:
            RunError: if one is not.
        """
        for number, (recipe, seed) in enumerate(self.jobs):
            run = RunFolder(self.path(number))
            if run.exists():
                check_same_run(run, recipe, self.dataset, seed, True)

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
            entries.append(entry_of(recipe, seed, len(dataset.take(Split.TRAIN)), run, out, reason))
    ranked_on: SplitName = "test" if dataset.has(Split.TEST) else "validation"
    comparison = conclude([*entries, *baseline_entries(dataset)], dataset.summary(), ranked_on, out)
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
