"""Blocks about the code and the data: the source tree, and the output of `ferlab data info`."""

import ast
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from blocks.common import ROOT, SOURCE
from ferlab.cli import app


def data_info() -> str:
    """The output of `ferlab data info demo`."""
    printed = CliRunner().invoke(app, ["data", "info", "demo"], env={"COLUMNS": "100", "NO_COLOR": "1"})
    lines = [line.rstrip() for line in printed.stdout.splitlines()]
    return "\n".join(["```text", *filter(None, lines), "```", ""])


def source_tree() -> str:
    """Every source file with the first line of its docstring, by layer, from the top layer to the bottom one."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return "\n".join(line for layer in layers for name in layer.split(" : ") for line in _part_lines(name)) + "\n"


def _part_lines(name: str) -> list[str]:
    """A list item for one module, or for one package with an item for each of its modules."""
    if not (SOURCE / name).is_dir():
        return [f"- `{name}.py`: {_first_line(SOURCE / f'{name}.py')}"]
    modules = [path for path in sorted((SOURCE / name).glob("*.py")) if path.name != "__init__.py"]
    items = [f"    - `{path.name}`: {_first_line(path)}" for path in modules]
    return [f"- **`{name}/`**: {_first_line(SOURCE / name / '__init__.py')}", *items]


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
