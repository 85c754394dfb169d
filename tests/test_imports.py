"""Heavy packages load only where they are needed. The layers are checked by import-linter (pyproject.toml)."""

import os
import subprocess
import sys
from pathlib import Path

import ferlab

HEAVY = ["keras", "tensorflow", "jax", "sklearn", "scipy", "statsmodels", "altair", "pandas", "matplotlib"]


def loaded_after(code: str, packages: list[str]) -> list[str]:
    """Run code in a fresh process and list which of the packages it imported."""
    code = f"import sys\n{code}\nprint()\nprint(*[name for name in {packages} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_importing_ferlab_loads_no_other_package() -> None:
    packages = [*HEAVY, "numpy", "cv2", "rich", "typer", "onnxruntime", "pydantic"]
    assert loaded_after("import ferlab; ferlab.EMOTIONS", packages) == []


def test_command_line_help_loads_no_heavy_or_optional_package() -> None:
    """Predicting installs no extras, so the command line must start without them."""
    code = "from typer.testing import CliRunner\nfrom ferlab.cli import app\nCliRunner().invoke(app, ['--help'])"
    assert loaded_after(code, [*HEAVY, "pydantic", "onnxruntime"]) == []


def test_prediction_loads_only_onnxruntime_and_numpy() -> None:
    code = "import numpy as np, ferlab\nferlab.Predictor().classify([np.zeros((48, 48), np.uint8)])"
    others = [*HEAVY, "cv2", "pydantic", "rich", "typer", "onnxruntime"]
    assert loaded_after(code, others) == ["onnxruntime"]


def test_public_names_are_not_hidden_by_modules_of_the_same_name() -> None:
    """Importing `ferlab.evaluation.evaluate`, for example, must not replace the function `ferlab.evaluate`."""
    code = (
        "import ferlab, ferlab.cli\n"
        "modules = [name for name in ferlab.__all__ if isinstance(getattr(ferlab, name), type(sys))]\n"
        "assert not modules, modules"
    )
    assert loaded_after(code, []) == []


def test_every_public_name_is_listed_by_dir() -> None:
    assert {"train", "evaluate", "compare", "Predictor", "load_dataset"} <= set(ferlab.__all__)
    assert set(ferlab.__all__) <= set(dir(ferlab))


def test_no_data_is_sent_to_microsoft(tmp_path: Path) -> None:
    """ONNX Runtime keeps a device number in the home folder unless its telemetry is off."""
    code = "import numpy as np, ferlab; ferlab.Predictor(detector='none').predict(np.zeros((48, 48), np.uint8))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.rglob("*Microsoft*"))


def test_the_users_choice_about_telemetry_is_kept() -> None:
    code = "import os, ferlab; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for value in ("0", "1"):
        environment = os.environ | {"ORT_DISABLE_TELEMETRY": value}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == value
