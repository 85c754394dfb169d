"""What every benchmark says of itself: the machine, the versions, the table and the JSON."""

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """The processor and the number of cores."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return {"cpu": name, "cores": os.cpu_count(), "python": platform.python_version()}


def report(benchmark: str, rows: dict[str, float], unit: str, ratios: dict[str, float], file: Path | None) -> None:
    """Prints the rows and ratios, and writes them as JSON where a file is named."""
    width = max(map(len, [*rows, *ratios]))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value:10.3f} {unit}")
    for name, value in ratios.items():
        print(f"{name:<{width}}  {value:10.2f} x")
    if file:
        packages = ("keras", "tensorflow", "numpy", "opencv-python-headless", "pillow")
        versions = {package: importlib.metadata.version(package) for package in packages}
        result = {"schema": 1, "benchmark": benchmark, "unit": unit, "rows": rows, "ratios": ratios}
        file.write_text(json.dumps(result | {"machine": describe_machine(), "versions": versions}, indent=1) + "\n")
