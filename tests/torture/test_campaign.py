"""A short campaign finds nothing, and a campaign finds what is broken."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.campaign import attacks
from tests.torture.outcomes import Outcome
from tests.torture.outputs import judge

ROOT = Path(__file__).parents[2]
# These take too long for every change.
SKIPPED = (
    "endless model",
    "stop-at-moment",
    "compare",
    "sweep",
    "finetune",
    "parquet",
    "-train",
    "keras",
    "checkpoint",
)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the campaign forks and reads peak memory as on Linux")
def test_a_short_campaign_finds_nothing(tmp_path: Path) -> None:
    names = [name for name in attacks() if not any(part in name for part in SKIPPED)]
    command = ["-m", "tests.torture", "--attempts", "2", "--minutes", "5", "--json", "short.json", "--folder", "."]
    ended = run_python(*command, *(argument for name in names for argument in ("--attack", name)), folder=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = json.loads((tmp_path / "short.json").read_text())["attacks"]
    assert [row["attack"] for row in rows] == names
    assert all(row["attempts"] == row["survived"] + row["refused"] > 0 for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["short.json"]


ATTEMPTS = """
import os, signal, time
from pathlib import Path

from tests.torture import children
from tests.torture.outcomes import Outcome, Report


def attempt(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 2:
        raise KeyError("unexpected")
    if number == 3:
        time.sleep(600)
    if number == 4:
        bytearray(os.urandom(1)) * 200_000_000
    return Report(outcome=Outcome.WRONG if number == 5 else Outcome.SURVIVED)


def show(numbers):
    for number, report in children.call_each(attempt, numbers, Path("log")):
        print(number, report.outcome, report.note)


children.MEMORY_LIMIT = 200_000_000
show([0, 1, 2, 4, 5, 6])
children.TIME_LIMIT = 1.0
show([3])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the campaign forks and reads peak memory as on Linux")
def test_attempts_that_end_their_process_are_crashes_and_the_rest_goes_on(tmp_path: Path) -> None:
    lines = run_python("-c", ATTEMPTS, folder=tmp_path).stdout.splitlines()
    expected = {
        "0 survived": "",
        "1 crashed": "ended with -11",
        "2 crashed": "KeyError",
        "4 crashed": "MB of memory",
        "5 wrong": "",
        "6 survived": "",
        "3 crashed": "no end within 1 s",
    }
    for line, (outcome, reason) in zip(lines, expected.items(), strict=True):
        assert line.startswith(outcome)
        assert reason in line


def run_python(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    """Run Python in a folder, with the tests and the package that this process imports."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, Outcome.SURVIVED),
        ({"history.jsonl": None}, Outcome.LOST),
        ({"history.jsonl": '{"loss": 1, "seconds": 3}\n'}, Outcome.WRONG),
        ({"faces.csv": "source,face\na.jpg,1\na.jpg,1\n"}, Outcome.WRONG),
        ({".ferlab-1-2-3": "left behind"}, Outcome.WRONG),
        ({"result.json": "{"}, Outcome.LOST),
    ],
)
def test_outputs_are_judged_without_measured_times(
    changes: dict[str, str | None], outcome: Outcome, tmp_path: Path
) -> None:
    files = {
        "history.jsonl": '{"loss": 2, "seconds": 1}\n',
        "result.json": '{"accuracy": 0.5, "seconds": 9}',
        "faces.csv": "source,face\na.jpg,1\n",
    }
    disturbed = files | {"history.jsonl": '{"loss": 2, "seconds": 7}\n'} | changes
    for folder, contents in (("expected", files), ("found", disturbed)):
        (tmp_path / folder).mkdir()
        for name, text in contents.items():
            if text is not None:
                (tmp_path / folder / name).write_text(text)
    assert judge(tmp_path / "found", tmp_path / "expected").outcome is outcome
