"""The trials of a sweep: claim one, run it, and collect all of them.

A process claims a trial by locking its file, and the operating system releases the lock when the process ends in any
way, so that another process resumes the trial from its checkpoint.
"""

import json
import pprint
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ferlab.data import Dataset
from ferlab.engine import EndedRun, PlannedRun
from ferlab.errors import NetworkError, OutputError, RunError
from ferlab.files import write_text
from ferlab.formatting import short
from ferlab.json_files import write_result
from ferlab.locks import exclusive
from ferlab.progress import ComparisonProgress, TrainingProgress
from ferlab.recipes import Recipe
from ferlab.results import Epoch
from ferlab.runs import RunFolder
from ferlab.search.results import BEST_RECIPE, Sweep, SweepTrial, TrialStatus
from ferlab.search.space import Choice, Range
from ferlab.training.train import train_recipe

if TYPE_CHECKING:
    import optuna

SETTINGS = "ferlab"  # attribute of the study that holds what all its trials share
MIN_IMPORTANCE_TRIALS = 4


@dataclass(frozen=True)
class Search:
    """One process of a sweep. An engine calls it to run one trial.

    Args:
        study: the study.
        recipe: the recipe, with the changes of every trial.
        dataset: training and validation images.
        space: the fields to search.
        out: folder of the sweep.
        seed: seed of the search and of each training.
        wanted: number of trials of the study.
    """

    study: "optuna.Study"
    recipe: Recipe
    dataset: Dataset
    space: dict[str, Range | Choice]
    out: Path
    seed: int
    wanted: int

    def check_settings(self) -> None:
        """Store what all trials of the study share, or check that it is the same.

        Raises:
            RunError: if the study is one of another recipe, space, dataset or seed.
        """
        settings = {
            "recipe": self.recipe.training_fields(),
            "space": {field: str(dimension) for field, dimension in self.space.items()},
            "data": self.dataset.fingerprints,
            "seed": self.seed,
        }
        stored = json.loads(json.dumps(settings, sort_keys=True, default=str))
        with self._claiming():
            known = self.study.user_attrs.get(SETTINGS)
            if known is None:
                self.study.set_user_attr(SETTINGS, stored)
                return
        different = [name for name in stored if known.get(name) != stored[name]]
        if different:
            raise RunError(f"{self.out} contains a sweep with another {', '.join(different)}. Choose another --out.")

    def planned(self) -> list[PlannedRun]:
        """Return the runs of the trials that have not ended, and of those to come."""
        known = self.study.get_trials(deepcopy=False)
        left = [trial.number for trial in known if not trial.state.is_finished()]
        return [PlannedRun(path=self._path(number)) for number in [*left, *range(len(known), self.wanted)]]

    def __call__(self, number: int, progress: ComparisonProgress) -> EndedRun | None:
        """Claim a trial that no process runs, and run it to its end. Which trial that is does not depend on `number`.

        Returns:
            How it ended; None if no trial is left.

        Raises:
            KeyboardInterrupt: if Ctrl-C interrupted it. It can be resumed.
        """
        with self._claimed() as trial:
            return None if trial is None else self._run_trial(trial, progress)

    def _run_trial(self, trial: "optuna.Trial", progress: ComparisonProgress) -> EndedRun:
        import optuna

        changes = trial.params
        progress.begin(", ".join(f"{field}={short(value)}" for field, value in changes.items()))
        run, reason = RunFolder(self._path(trial.number)), None
        try:
            recipe = self.recipe.changed(changes)
            training = TrialProgress(recipe, progress, trial, run)
            result = train_recipe(recipe, self.dataset, run.path, self.seed, True, training).result()
            if result is None or not result.finished:
                raise KeyboardInterrupt
            outcome = result.describe()
            self.study.tell(trial, result.selection_accuracy)
        except optuna.TrialPruned:
            outcome = f"pruned after epoch {len(RunFolder(run.path).history())}"
            progress.print(outcome)
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except Exception as error:  # one failed trial must not end the others
            if isinstance(error, OutputError | RunError) and not isinstance(error, NetworkError):
                raise  # the disk is full, or the folder was changed: the trial can be resumed
            reason = (str(error) or type(error).__name__).splitlines()[0]
            outcome = f"failed: {reason}"
            progress.print(outcome)
            trial.set_user_attr("reason", reason)
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        shutil.rmtree(run.state_file.parent, ignore_errors=True)  # three times the size of the model
        progress.end()
        return EndedRun(path=run.path, outcome=outcome, reason=reason)

    @contextmanager
    def _claiming(self) -> Iterator[None]:
        """Keep other processes of the sweep from claiming trials."""
        import filelock

        with filelock.FileLock(self.out / ".sweep.lock"):
            yield

    @contextmanager
    def _claimed(self) -> Iterator["optuna.Trial | None"]:
        """Claim a trial that no process runs: one that was interrupted, or else a new one.

        Yields:
            The trial, or None if the study has as many trials as wanted and none is left to resume.
        """
        with ExitStack() as held:
            with self._claiming():
                trial = self._resumable(held) or self._new(held)
            yield trial

    def _resumable(self, held: ExitStack) -> "optuna.Trial | None":
        """Find a running trial whose process ended, and lock it."""
        import optuna

        running = (optuna.trial.TrialState.RUNNING,)
        for frozen in self.study.get_trials(deepcopy=False, states=running):
            try:
                held.enter_context(self._lock(frozen.number))
            except RunError:
                continue
            now = self.study.get_trials(deepcopy=False)[frozen.number]  # its process may just have ended it
            if now.state in running:
                trial = optuna.trial.Trial(self.study, frozen._trial_id)
                self._suggest(trial)
                return trial
        return None

    def _new(self, held: ExitStack) -> "optuna.Trial | None":
        """Create a trial, and lock it."""
        number = len(self.study.get_trials(deepcopy=False))
        if number >= self.wanted:
            return None
        held.enter_context(self._lock(number))
        trial = self.study.ask()
        self._suggest(trial)
        return trial

    def _suggest(self, trial: "optuna.Trial") -> None:
        """Choose the values that the trial does not have yet. They depend on the earlier trials and the seed alone."""
        import optuna

        for index, (field, dimension) in enumerate(self.space.items()):
            seed = np.random.SeedSequence([self.seed, trial.number, index]).generate_state(1)[0]
            self.study.sampler = optuna.samplers.TPESampler(seed=int(seed))
            dimension.suggest(trial, field)

    def _path(self, number: int) -> Path:
        return self.out / _run_path(number)

    def _lock(self, number: int) -> AbstractContextManager[None]:
        run = self._path(number)
        return exclusive(run, run.with_suffix(".lock"), RunError)

    def conclude(self) -> Sweep:
        """Collect the trials, and write `sweep.json` and the best recipe."""
        trials = tuple(_trial(frozen, self.out) for frozen in self.study.get_trials(deepcopy=False))
        result = Sweep(
            recipe=self.recipe.name or self.recipe.architecture,
            dataset=self.dataset.summary(),
            space=self.space,
            seed=self.seed,
            trials=trials,
            importances=self._importances(trials),
        )
        write_result(self.out / "sweep.json", result)
        if ranked := result.ranked():
            write_text(self.out / BEST_RECIPE, _plugin(self.recipe, result, ranked[0]))
        return result

    def _importances(self, trials: Sequence[SweepTrial]) -> dict[str, float]:
        import optuna

        accuracies = [trial.accuracy for trial in trials if trial.accuracy is not None]
        if len(accuracies) < MIN_IMPORTANCE_TRIALS or len(set(accuracies)) == 1:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {field: float(share) for field, share in found.items()}


class TrialProgress(TrainingProgress):
    """Report the epochs of a trial to the study, and stop a trial that is worse than others.

    Args:
        recipe: recipe of the trial.
        progress: progress of the sweep.
        trial: the trial.
        run: its run folder. Epochs that the study does not know, since the process was killed, are reported first.
    """

    def __init__(self, recipe: Recipe, progress: ComparisonProgress, trial: "optuna.Trial", run: RunFolder) -> None:
        super().__init__(recipe, progress.quiet, progress)
        self.trial = trial
        known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        history = run.history() if run.exists() else ()
        for epoch in history:
            if epoch.epoch not in known:
                trial.report(epoch.val_accuracy, epoch.epoch)
        if history:
            self._check(history[-1])

    def end_epoch(self, epoch: Epoch) -> None:
        """End an epoch.

        Raises:
            optuna.TrialPruned: if the trial is worse than others.
        """
        super().end_epoch(epoch)
        self.trial.report(epoch.val_accuracy, epoch.epoch)
        self._check(epoch)

    def _check(self, epoch: Epoch) -> None:
        import optuna

        if epoch.epoch < self.recipe.epochs and self.trial.should_prune():
            raise optuna.TrialPruned


def _run_path(number: int) -> str:
    return f"runs/trial-{number:04d}"


def _trial(frozen: "optuna.trial.FrozenTrial", out: Path) -> SweepTrial:
    statuses: dict[str, TrialStatus] = {"COMPLETE": "completed", "PRUNED": "pruned", "FAIL": "failed"}
    run = RunFolder(out / _run_path(frozen.number))
    history = run.history() if run.exists() else ()
    return SweepTrial(
        number=frozen.number,
        status=statuses.get(frozen.state.name, "unfinished"),
        accuracy=frozen.value if frozen.state.name == "COMPLETE" else None,
        changes=dict(frozen.params),
        accuracies=tuple(epoch.val_accuracy for epoch in history),
        seconds=sum(epoch.seconds for epoch in history),
        run=_run_path(frozen.number),
        reason=frozen.user_attrs.get("reason"),
    )


def _plugin(recipe: Recipe, result: Sweep, best: SweepTrial) -> str:
    """Write the best recipe as Python code that `--plugin` loads. It holds all fields, so that it never changes."""
    name = result.best_recipe
    chosen = replace(
        recipe.changed(best.changes),
        name="",
        group="",
        selection="validation",  # what the sweep selected on, also for the recipes of the study
        summary=(
            f"trial {best.number}, the best of {len(result.trials)} on {result.dataset.source}: "
            f"{100 * (best.accuracy or 0.0):.2f} % on validation, the highest of many and so better than on new images"
        ),
        expected_accuracy=None,
        expected_source="",
    )
    fields = pprint.pformat(chosen.as_dict(), width=100, sort_dicts=False)
    return f'''"""The best recipe of a sweep. Use it with `ferlab train {name} --plugin {BEST_RECIPE}`."""

from ferlab.recipes import Recipe


def {name}() -> Recipe:
    """Return the recipe."""
    return Recipe.from_dict(FIELDS)


FIELDS = {fields}
'''
