"""Dependencies run one way, and heavy packages load only where they are needed."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ferlab

SOURCE = Path(__file__).parents[1] / "src" / "ferlab"

# A module may import from its own floor's package and from any floor below it.
FLOORS = [
    {"emotions", "errors", "wording"},
    {"backend", "files"},
    {"predict"},
    {"augment", "data", "fused", "heatmaps", "metrics", "models"},
    {"gradcam", "recipes", "votes"},
    {"costs", "progress", "protocol", "batches", "ranking", "runs", "scoring", "targets"},
    {"baselines", "callbacks", "distillation", "explanation", "findings"},
    {"evaluation", "report", "training"},
    {"audit", "comparison", "plugins", "robustness"},
    {"speed"},
    {"export", "tables"},
    {"ensembles"},
    {"cli", "__init__"},
    {"__main__"},
]
FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for name in floor}
MODULES = sorted(path for path in SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ferlab":
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("ferlab.")}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_never_reach_up(path: Path) -> None:
    own = room(path)
    assert own in FLOOR_OF, f"{own} has no floor: give it one in FLOORS"
    for other in imported_rooms(path) - {own}:
        assert FLOOR_OF[other] < FLOOR_OF[own], f"{own} imports {other}, which is not below it"


def test_reports_never_see_a_model() -> None:
    for path in (SOURCE / "report").rglob("*.py"):
        allowed = {
            "report",
            "emotions",
            "findings",
            "heatmaps",
            "metrics",
            "recipes",
            "runs",
            "wording",
            "errors",
            "files",
        }
        assert imported_rooms(path) <= allowed


def test_prediction_stands_on_its_own() -> None:
    """Neither Keras nor the data sets are needed to answer for a face."""
    for path in (SOURCE / "predict").rglob("*.py"):
        assert imported_rooms(path) <= {"predict", "emotions", "errors", "files"}


def test_without_its_reports_the_package_goes_on(tmp_path: Path) -> None:
    """Only the command line names them: `ferlab report`, and nothing else, is gone with them."""
    shutil.copytree(SOURCE, tmp_path / "ferlab", ignore=shutil.ignore_patterns("report", "__pycache__"))
    code = (
        "import sys; from ferlab.cli import main; import ferlab; "
        "assert ferlab.__file__.startswith(sys.argv.pop(1)); main()"
    )
    for command in (["models"], ["data", "info", "demo"], ["compare", "--help"]):
        line = [sys.executable, "-c", code, str(tmp_path), *command]
        subprocess.run(line, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, check=True)
    others = [path for path in MODULES if room(path) not in ("report", "cli")]
    assert not [path for path in others if "report" in imported_rooms(path)]


def test_importing_loads_no_heavy_package() -> None:
    heavy = ["keras", "tensorflow", "jax", "altair", "sklearn", "scipy", "pandas", "onnxruntime"]
    code = f"import sys, ferlab.cli; print([name for name in {heavy} if name in sys.modules])"
    assert printed_by(code) == "[]"


def test_importing_ferlab_loads_nothing_else() -> None:
    others = ["numpy", "cv2", "rich", "typer", "onnxruntime"]
    code = f"import sys, ferlab; print([name for name in {others} if name in sys.modules], ferlab.EMOTIONS[0])"
    assert printed_by(code) == "[] angry"


def test_prediction_loads_onnxruntime_and_numpy_alone() -> None:
    others = [
        "keras",
        "tensorflow",
        "jax",
        "altair",
        "matplotlib",
        "pandas",
        "sklearn",
        "scipy",
        "cv2",
        "rich",
        "typer",
    ]
    code = (
        "import sys, numpy as np, ferlab; ferlab.Predictor().classify([np.zeros((48, 48), np.uint8)]); "
        f"print([name for name in {others} if name in sys.modules])"
    )
    assert printed_by(code) == "[]"


def test_names_of_the_package_are_what_they_say() -> None:
    """A module of the same name would hide the function once it is loaded."""
    code = "import ferlab, ferlab.cli; print([n for n in ferlab.__all__ if type(getattr(ferlab, n)) is type(ferlab)])"
    assert printed_by(code) == "[]"
    assert set(ferlab._ROOMS) | {"__version__"} == set(ferlab.__all__)


def printed_by(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
