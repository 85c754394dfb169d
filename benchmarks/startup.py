"""Where the time goes from a new process to the emotion of one 48x48 face.

Each turn starts Python anew and reads the clock after each step. What ferlab itself takes is its own import and the
hash by which it checks its file; the rest is paid by anyone who runs this network.

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
    "network: read, checked and prepared",
    "one face",
    "(the check's file)",
    "of it, ferlab's hash",
)
ANSWERED = 6  # steps up to the answer


def main() -> None:
    """Parses the arguments, and starts Python anew in each turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20, help="turns (default: 20)")
    parser.add_argument("--json", type=Path, help="write the result here as well")
    arguments = parser.parse_args()
    turns = [one_turn() for _ in range(arguments.repeats)]
    rows = {step: statistics.median(turn[step] for turn in turns) for step in turns[0]}
    del rows["(the check's file)"]
    rows["all"] = sum(list(rows.values())[:ANSWERED])
    ours = rows["ferlab: import"] + rows["of it, ferlab's hash"]
    report("startup", rows, "ms", {"ferlab's share": ours / rows["all"]}, arguments.json)


def one_turn() -> dict[str, float]:
    """Milliseconds of each step of one new process."""
    started = time.time()
    finished = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    times = [started, *json.loads(finished.stdout)]
    return {step: 1000 * (end - start) for step, start, end in zip(STEPS, times[:-1], times[1:], strict=True)}


if __name__ == "__main__":
    main()
