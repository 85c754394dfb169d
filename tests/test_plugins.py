"""Tests of plugins: the examples of CONTRIBUTING as a user runs them, and the message for every mistake."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ferlab import Dataset, FerlabError, compare, data, load_dataset, load_plugin, train
from ferlab.errors import DataError, PluginError
from ferlab.images.detection import Detector
from ferlab.models import build_model, model_names, model_options
from ferlab.models.registry import plugin_modules
from ferlab.plugins import unload_plugin
from ferlab.recipes import get_recipe, recipe_groups
from ferlab.recipes.model_stats import model_stats
from tests.cli.test_cli import run, run_as_process

ROOT = Path(__file__).parents[1]
PLUGINS = ["tiny.py", "no_dropout.py"]
QUICK = ["--set", "epochs=1", "--set", "steps_per_epoch=2", "--set", "batch_size=8"]

GOOD = """import keras
from ferlab.recipes import Recipe

def build(num_classes, *, width=4):
    images = keras.Input((48, 48, 1))
    x = keras.layers.Conv2D(width, 3, strides=4)(images)
    x = keras.layers.Flatten()(x)
    return keras.Model(images, keras.layers.Dense(num_classes, dtype="float32")(x))

def tiny_quick() -> Recipe:
    return Recipe(summary="Quick", architecture="tiny", epochs=1, steps_per_epoch=2, batch_size=8)
"""


@pytest.fixture(autouse=True)
def forget_plugins():
    yield
    for name in plugin_modules():
        unload_plugin(name)


def write(folder: Path, text: str, name: str = "tiny.py") -> Path:
    (folder / name).write_text(text)
    return folder / name


def examples() -> dict[str, str]:
    """The Python files of CONTRIBUTING by name; the line before each block contains the name."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return dict(re.findall(r"`([a-z_]+\.py)`[^\n]*:\n\n```python\n(.*?)```", text, re.DOTALL))


@pytest.mark.slow
def test_the_examples_of_contributing(tmp_path: Path) -> None:
    assert list(examples()) == [*PLUGINS, "npz.py", "center.py"]
    for name in PLUGINS:
        text = examples()[name]
        assert len([line for line in text.splitlines() if line.strip()]) < 15
        path = str(write(tmp_path, text, name))
        listed = run("recipes", "--plugin", path)
        recipe = re.search(rf"^\s*({Path(name).stem}\w*)", listed.stdout, re.MULTILINE)[1]
        out = str(tmp_path / f"run-{recipe}")
        trained = run("train", recipe, "--plugin", path, "--data", "demo", "--out", out, *QUICK)
        assert trained.exit_code == 0, trained.output
        scored = run("evaluate", out, "--data", "demo")
        assert scored.stdout.startswith("accuracy: "), scored.stderr


def test_the_data_format_of_contributing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, examples()["npz.py"], "npz.py")
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(tmp_path)])
    images, labels, splits = np.zeros((3, 48, 48), np.uint8), np.array([0, 9, 6]), np.array([0, 0, 1])
    np.savez(tmp_path / "faces.npz", images=images, labels=labels, splits=splits)
    try:
        dataset = load_dataset(tmp_path / "faces.npz", skip_bad=True)
        with pytest.raises(DataError, match="row 1: unknown label 9"):
            load_dataset(tmp_path / "faces.npz")
    finally:
        sys.modules.pop("ferlab.data.npz", None)
        vars(data).pop("npz", None)
    assert dataset.labels.tolist() == [0, 6]
    assert [item.name for item in dataset.skipped] == ["row 1"]


@pytest.mark.skipif(not hasattr(Detector, "_detect"), reason="the example uses the new name of the method")
def test_the_detector_of_contributing() -> None:
    """In a process of its own, because a subclass of Detector stays registered."""
    use = 'print(open_detector("center").detect(np.zeros((200, 300, 3), np.uint8)))'
    script = f"{examples()['center.py']}\nfrom ferlab.images.detectors import open_detector\n{use}"
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "box=(100.0, 50.0, 100.0, 100.0)" in finished.stdout, finished.stderr


@pytest.mark.slow
def test_a_plugin_is_listed_counted_trained_resumed_and_compared(tmp_path: Path, small: Dataset) -> None:
    path = write(tmp_path, GOOD)
    load_plugin(path)
    load_plugin(path)
    assert "tiny" in model_names()
    assert recipe_groups()["tiny"] == ["tiny_quick"]
    assert model_stats(get_recipe("tiny_quick")).parameters == 4 * 10 + (12 * 12 * 4 + 1) * 7
    assert "tiny_quick: " in run("models").stdout
    finished = train("tiny_quick", small, tmp_path / "run")
    assert train("tiny_quick", small, tmp_path / "run", resume=True).result() == finished.result()
    comparison = compare(["tiny", "tiny_quick"], small, tmp_path / "out")
    assert [entry.recipe for entry in comparison.entries if entry.run] == ["tiny_quick"]


def test_every_annotated_function_of_a_plugin_is_an_architecture(tmp_path: Path) -> None:
    functions = """
def wide(num_classes, *, width=8) -> keras.Model:
    return build(num_classes, width=width)

def block(x) -> keras.Model: ...

def _private(num_classes) -> "keras.Model": ...
"""
    before = model_names()
    load_plugin(write(tmp_path, GOOD + functions))
    assert sorted({*model_names()} - {*before}) == ["tiny", "wide"]
    assert model_options("wide") == {"width": 8}
    assert build_model("wide", 3).output_shape == (None, 3)


@pytest.mark.slow
def test_output_of_a_plugin_goes_to_standard_error(tmp_path: Path) -> None:
    """Options with any default are listed: None, a tuple, and others."""
    text = GOOD.replace("width=4):", 'width=4, kind=None, sizes=(1, 2), **others):\n    print("building")')
    path = write(tmp_path, "print('importing')\n" + text.replace("-> Recipe", '-> "ferlab.recipes.Recipe"'))
    finished = run_as_process("models", "--json", "--plugin", str(path))
    (tiny,) = [model for model in json.loads(finished.stdout)["models"] if model["model"] == "tiny"]
    assert tiny["options"] == {"width": 4, "kind": None, "sizes": [1, 2]}
    load_plugin(path)
    changed = get_recipe("tiny_quick").changed({"model.kind": "wide", "model.sizes": "(3, 4)", "model.width": "8"})
    assert changed.model == {"kind": "wide", "sizes": (3, 4), "width": 8}


def test_a_run_can_be_read_without_its_plugin(tmp_path: Path, small: Dataset) -> None:
    load_plugin(write(tmp_path, GOOD))
    finished = train("tiny_quick", small, tmp_path / "run")
    unload_plugin("tiny")
    assert finished.recipe().architecture == "tiny"
    with pytest.raises(FerlabError, match="Unknown recipe 'tiny_quick'"):
        get_recipe("tiny_quick")


def test_a_model_named_like_a_group_does_not_hide_its_recipes(tmp_path: Path) -> None:
    before = recipe_groups()
    load_plugin(write(tmp_path, GOOD[: GOOD.index("def tiny_quick")], "fair.py"))
    assert "fair" in model_names()
    assert recipe_groups() == before


# The content of a file, the line in the message, and the message.
MISTAKES = {
    "syntax": ("x = 1\ndef build(:\n", 2, "SyntaxError"),
    "import": ("x = 1\n\nx.missing\n", 3, "AttributeError"),
    "in a function": ("def f():\n    return 1 / 0\n\nf()\n", 2, "ZeroDivisionError: division by zero"),
    "nothing": ("x = 1\n", 1, "defines no architecture and no recipe"),
    "no num_classes": ("def build(classes=7): ...\n", 1, "first parameter must be num_classes"),
    "no default": ("def build(num_classes, width): ...\n", 1, "must have a default"),
    "arguments": (GOOD.replace("tiny_quick()", "tiny_quick(x)"), 10, "takes no arguments"),
    "no recipe": (GOOD.replace('Recipe(summary="Quick"', 'dict(summary="Quick"'), 10, "must return a Recipe, not dict"),
    "field": (GOOD.replace("epochs=1", "epoch=1"), 11, "unexpected keyword argument 'epoch'"),
    "architecture": (GOOD.replace('"tiny"', '"tiney"'), 10, "Did you mean 'tiny'?"),
    "exit": ("x = 1\nraise SystemExit(0)\n", 2, "SystemExit"),
    "exit in a recipe": (GOOD.replace("return Recipe(", "raise SystemExit(Recipe)("), 11, "must return a Recipe"),
    "unknown name": (GOOD.replace("return Recipe", "get_recipe('x')\n    return Recipe").replace(
        "import Recipe", "import Recipe, get_recipe"), 11, "Unknown recipe"),
    "value": (GOOD.replace("batch_size=8", "optimizer='adamw'"), 10, "sgd, rmsprop, got 'adamw'"),
    "type": (GOOD.replace("batch_size=8", "batch_size='x'"), 10, "batch_size must be an int, got 'x'"),
    "option": (GOOD.replace("batch_size=8", "model={'widht': 3}"), 10, "Did you mean 'width'?"),
    "baseline": (GOOD.replace("tiny_quick", "baseline_quick"), 10, "reserved for baselines"),
    "named as its file": (
        GOOD.replace("tiny_quick", "tiny") + "def other() -> Recipe: ...\n", 10, "the name of the whole group"),
    "keyword only": ("def build(*, num_classes): ...\n", 1, "first parameter must be num_classes"),
    "taken recipe": (GOOD.replace("tiny_quick", "fair_newmodel"), 10, "named 'fair_newmodel' already exists"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_in_a_file(case: str, tmp_path: Path) -> None:
    text, line, message = MISTAKES[case]
    path = write(tmp_path, text)
    before = (model_names(), recipe_groups())
    with pytest.raises(PluginError, match=re.escape(message)) as raised:
        load_plugin(path)
    assert str(raised.value).startswith(f"{path}, line {line}: ")
    assert (model_names(), recipe_groups()) == before
    assert "ferlab_plugin_tiny" not in sys.modules, "a corrected file can be loaded"


# Mistakes that show when the network is built: what to replace, the replacement, the line and the message.
LAST = 'keras.Model(images, keras.layers.Dense(num_classes, dtype="float32")(x))'
NETWORKS = {
    "no model": (LAST, "None", 4, "must return a keras.Model, not NoneType"),
    "input": ("(48, 48, 1)", "(64, 64, 1)", 4, "(None, 48, 48, 1)"),
    "output": ("Dense(num_classes,", "Dense(5,", 4, "logits (None, 7)"),
    "probabilities": ('dtype="float32"', 'dtype="float32", activation="softmax"', 4, "not probabilities"),
    "dtype": (', dtype="float32"', "", 4, 'dtype="float32"'),
    "exception": ("strides=4", "strides=0", 6, "ValueError"),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_mistakes_in_a_network(case: str, tmp_path: Path) -> None:
    import keras

    good, bad, line, message = NETWORKS[case]
    assert good in GOOD
    path = write(tmp_path, GOOD.replace(good, bad))
    load_plugin(path)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with pytest.raises(PluginError, match=re.escape(message)) as raised:
            build_model("tiny")
    finally:
        keras.config.set_dtype_policy("float32")
    assert str(raised.value).startswith(f"{path}, line {line}: ")


def test_invalid_and_duplicate_names(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="does not exist"):
        load_plugin(tmp_path / "missing.py")
    with pytest.raises(PluginError, match="must be named with a Python identifier"):
        load_plugin(write(tmp_path, GOOD, "my-net.py"))
    with pytest.raises(PluginError, match="an architecture named 'newmodel' already exists"):
        load_plugin(write(tmp_path, GOOD, "newmodel.py"))
    load_plugin(write(tmp_path, GOOD))
    (tmp_path / "other").mkdir()
    with pytest.raises(PluginError, match="is also named 'tiny'"):
        load_plugin(write(tmp_path / "other", GOOD))


def test_the_command_line_prints_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "def build(:\n")
    finished = run_as_process("recipes", "--plugin", str(path))
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[0].startswith(f"error: {path}, line 1: SyntaxError")
    assert "Traceback" not in finished.stderr
