"""Time from a new process to the prediction on one 48x48 face, by step.

Each repetition starts a new Python process and reads the clock after each step. ferlab's own share is its import and
the hash of the model file; any other program that runs this model needs the rest as well.

    python benchmarks/startup.py --json startup.json
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import report

CODE = """
import json, time
times = [time.time()]
def tick():
    times.append(time.time())
import numpy as np
tick()
import onnxruntime
tick()
import ferlab
predictor_class = ferlab.Predictor
tick()
predictor = predictor_class(threads=2)
tick()
predictor.classify([np.zeros((48, 48), np.uint8)])
tick()
from ferlab.predict.artifact import digest
content, stated = predictor.artifact.path.read_bytes(), predictor.artifact.metadata["sha256"]
tick()
digest(content, stated)
tick()
print(json.dumps(times))
"""
STEPS = (
    "Python",
    "NumPy: import",
    "ONNX Runtime: import",
    "ferlab: import",
    "model: load",
    "model: predict one face",
    "(read the file again)",
    "part of loading: ferlab's hash",
)
PREDICTED = 6  # number of steps up to the prediction


def main() -> None:
    """Parse the arguments, start new processes, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20, help="new processes (default: 20)")
    parser.add_argument("--json", type=Path, help="output JSON file")
    arguments = parser.parse_args()
    runs = [measure_once() for _ in range(arguments.repeats)]
    rows = {step: statistics.median(run[step] for run in runs) for step in runs[0]}
    del rows["(read the file again)"]
    rows["total"] = sum(list(rows.values())[:PREDICTED])
    ours = rows["ferlab: import"] + rows["part of loading: ferlab's hash"]
    report("startup", rows, "ms", {"ferlab's share": ours / rows["total"]}, arguments.json)


def measure_once() -> dict[str, float]:
    """Measure the milliseconds of each step in one new process."""
    started = time.time()
    finished = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    times = [started, *json.loads(finished.stdout)]
    return {step: 1000 * (end - start) for step, start, end in zip(STEPS, times[:-1], times[1:], strict=True)}


if __name__ == "__main__":
    main()
