"""The commands that reports show: how to train a run again."""

import shlex
from pathlib import Path

from ferlab.data.exclude import EXCLUDED_NOTE, OLD_EXCLUDED_NOTE
from ferlab.data.faces import FACES_NOTE
from ferlab.emotions import CONTEMPT, Target
from ferlab.errors import FerlabError
from ferlab.recipes import get_recipe
from ferlab.runs import RunFolder


def train_command(run: RunFolder) -> str:
    """Build the command that reproduces a run."""
    recipe, name = run.recipe(), f"{run.recipe().name}-seed{run.seed()}"
    words = ["ferlab", "train", recipe.name, *_data_options(run)]
    words += ["--out", f"runs/{name}", "--seed", str(run.seed()), *_device_options(run)]
    try:
        original = get_recipe(recipe.name)
    except FerlabError:
        return f"{shlex.join(words)} --plugin FILE.py"
    usual = original.flat_fields()
    for key, value in recipe.flat_fields().items():
        text = ",".join(value) if isinstance(value, tuple) else value
        words += ["--set", f"{key}={text}"] if usual.get(key) != value else []
    return shlex.join(words)


def plugin_command(run: RunFolder, recipe: str, plugin: Path) -> str:
    """Build the command that trains a recipe of a plugin on the data of a run.

    Args:
        run: the run.
        recipe: name of the recipe.
        plugin: the file.
    """
    words = ["ferlab", "train", recipe, "--plugin", str(plugin), *_data_options(run), "--out", "runs/best"]
    return shlex.join([*words, *_device_options(run)])


def _device_options(run: RunFolder) -> list[str]:
    environment = run.environment()
    words = ["--backend", "jax"] if environment.backend == "jax" else []
    return [*words, "--devices", "all"] if environment.num_devices > 1 else words


def _data_options(run: RunFolder) -> list[str]:
    """Return the options that read the data of a run, as its environment and the notes about the data say."""
    data = run.dataset()
    words = ["--data", data.source]
    if data.target == Target.FERPLUS:
        words += ["--ferplus", "fer2013new.csv", "--target", Target.FERPLUS]
        words += ["--contempt"] if CONTEMPT in data.class_names else []
    words += ["--skip-bad"] if run.environment().skipped else []
    for note in data.notes:
        if note.startswith(FACES_NOTE):
            words += ["--faces"]
        elif note.startswith((EXCLUDED_NOTE, OLD_EXCLUDED_NOTE)):
            words += ["--exclude", note.rpartition(" listed in ")[2]]
    return words
