"""Every input case of the modules in this folder."""

import importlib
import pkgutil
from pathlib import Path

import pytest

from tests import inputs
from tests.inputs.case import InputCase

MODULES = [
    importlib.import_module(f"tests.inputs.{info.name}")
    for info in pkgutil.iter_modules(inputs.__path__)
    if not info.name.startswith("test_")
]
CASES: list[InputCase] = [case for module in MODULES for case in getattr(module, "CASES", [])]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.input}")
def test_input(case: InputCase, tmp_path: Path) -> None:
    case.check(tmp_path)
