"""`sweep`: search the hyperparameters of a recipe, with trials that several processes can share and resume.

An Optuna study (https://optuna.org) in a database holds the trials; each one trains into a run folder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferlab.backend import start_keras
from ferlab.data import Dataset, Split
from ferlab.engine import Engine, LocalEngine
from ferlab.errors import MissingExtraError, RunError
from ferlab.files import make_folder, remove_abandoned
from ferlab.models import build_without_pretrained_weights
from ferlab.protocol import check_trainable, selection_splits
from ferlab.recipes import Recipe, get_recipe
from ferlab.search.results import Sweep
from ferlab.search.space import Choice, Range, read_space
from ferlab.search.trials import Search

if TYPE_CHECKING:
    import optuna

SQLITE = "sqlite:///"
STUDY = "ferlab"  # name of the study in its database
REDUCTION = 3  # Hyperband keeps one of so many trials at each check


def sweep(
    recipe: str | Recipe,
    dataset: Dataset,
    space: str | Path,
    out: str | Path,
    *,
    trials: int = 20,
    study: str | None = None,
    seed: int = 0,
    resume: bool = False,
    engine: Engine | None = None,
    backend: str | None = None,
    quiet: bool = True,
    **changes: Any,
) -> Sweep:
    """Search the hyperparameters of a recipe by their validation accuracy.

    Optuna's TPE sampler proposes the values (https://papers.nips.cc/paper/4443). Hyperband stops trials early that are
    worse than others at the same epoch (https://arxiv.org/abs/1603.06560). Test images are removed before anything
    else: no trial sees them.

    Args:
        recipe: a recipe or the name of one.
        dataset: a dataset with a training and a validation split.
        space: a TOML file with the fields to search; see `ferlab.search.space`.
        out: output folder; the run folders are in `out/runs`.
        trials: number of trials of the study, earlier ones included.
        study: URL of the study's database, such as `sqlite:///sweep.db`; None for `out/sweep.db`. Processes that share
            it must share `out`, too.
        seed: seed of the search and of each training.
        resume: continue a sweep, or join one that another process runs.
        engine: what runs the trials, such as `ferlab.distributed.engine.RayEngine`; None for this process.
        backend: `tensorflow` or `jax`.
        quiet: show no progress.
        changes: recipe fields to change in every trial.

    Returns:
        The sweep, which is also in `out/sweep.json`; `out/best_recipe.py` is a plugin with the best recipe.

    Raises:
        DataError: if no model can learn from the dataset.
        ProtocolError: if the recipe would select its best epoch on the test split.
        RecipeError: if the space does not suit the recipe.
        RunError: if `out` contains a sweep and `resume` is off, or the study is one of another recipe, space or
            dataset.
        MissingExtraError: if Optuna is not installed.
        KeyboardInterrupt: on Ctrl-C, after the finished trials were written.
    """
    out = Path(out)
    start_keras(backend)
    chosen = (get_recipe(recipe) if isinstance(recipe, str) else recipe).changed(changes)
    data = dataset.where(dataset.splits != Split.TEST)
    check_trainable(data)
    selection_splits(chosen, data)
    if (out / "runs").exists() and not resume:
        raise RunError(f"{out} already contains a sweep. Resume or join it with --resume, or choose another --out.")
    ranges = read_space(space, chosen)
    _check_models(ranges, chosen)
    make_folder(out)
    opened = _open_study(_absolute(study or f"{SQLITE}{out / 'sweep.db'}"), chosen)
    make_folder(out / "runs")  # last: it makes the folder that of a sweep
    remove_abandoned(out)
    search = Search(opened, chosen, data, ranges, out, seed, trials)
    search.check_settings()
    planned = search.planned()
    outcomes = (engine or LocalEngine()).run(search, planned, max(0, trials - len(planned)), quiet)
    result = search.conclude()
    if outcomes.interrupted:
        raise KeyboardInterrupt
    return result


def _check_models(space: Mapping[str, Range | Choice], recipe: Recipe) -> None:
    """Build the model with each option that will be tried, as far as these can be known."""
    for field, dimension in space.items():
        for value in dimension.samples() if field.startswith("model.") else ():
            changed = recipe.changed({field: value})
            build_without_pretrained_weights(changed.architecture, **changed.model)


def _absolute(url: str) -> str:
    """Make the path of an SQLite database absolute, so that the workers of a cluster open the same file."""
    return f"{SQLITE}{Path(url.removeprefix(SQLITE)).absolute()}" if url.startswith(SQLITE) else url


def _open_study(url: str, recipe: Recipe) -> "optuna.Study":
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingExtraError("sweep", "optuna") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.HyperbandPruner(max_resource=recipe.epochs, reduction_factor=REDUCTION)
    try:
        return optuna.create_study(
            storage=url, study_name=STUDY, direction="maximize", pruner=pruner, load_if_exists=True
        )
    except Exception as error:  # each database has its own exceptions
        raise RunError(f"The study {url} cannot be opened: {str(error).splitlines()[0]}") from None
