"""Print the results of a benchmark, and write them as JSON with the machine and the versions."""

import importlib.metadata
import json
from pathlib import Path

from ferlab.backend import describe_machine


def report(benchmark: str, rows: dict[str, float], unit: str, ratios: dict[str, float], file: Path | None) -> None:
    """Print rows and ratios, and write them to a JSON file if one is given."""
    width = max(map(len, [*rows, *ratios]))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value:10.3f} {unit}")
    for name, value in ratios.items():
        print(f"{name:<{width}}  {value:10.2f} x")
    if file:
        packages = ("keras", "tensorflow", "numpy", "opencv-python-headless", "pillow")
        versions = {package: importlib.metadata.version(package) for package in packages}
        result = {"schema": 1, "benchmark": benchmark, "unit": unit, "rows": rows, "ratios": ratios}
        file.write_text(
            json.dumps(result | {"machine": vars(describe_machine()), "versions": versions}, indent=1) + "\n"
        )
