"""Prediction with Ray: images per second against the local engine, memory over time, and what is left after kills.

Images are synthetic faces, each a file or a row of a Parquet table. In one run:

- images per second of `ferlab predict` with the local engine, and with Ray and one, two, ... workers. The time until
  the first rows is not counted; it is a row of its own;
- resident memory of the command and of its workers, in each third of the last of these runs;
- another run, in which one worker is killed midway, then the whole command, and which is resumed: how many images have
  no outcome, or more than one.

    python benchmarks/ray_predict.py --images 100000 --json results/benchmarks/ray_predict.json
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import pyarrow.parquet
from machine import report

SAMPLE_SECONDS = 1.0
SIDE = 96  # pixels of an image
COMMAND = "-c", "import sys; sys.argv[0] = 'ferlab'; from ferlab.cli import main; main()"


def main() -> None:
    """Parse the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000, help="number of images (default: 100000)")
    parser.add_argument("--input", choices=("files", "table"), default="files", help="kind of input (default: files)")
    parser.add_argument("--detector", default="none", choices=("none", "yunet", "haar"), help="(default: none)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="numbers of workers (default: 1 2)")
    parser.add_argument("--shard-size", type=int, default=1000, help="images per shard (default: 1000)")
    parser.add_argument("--json", type=Path, help="output JSON file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make_files(folder, arguments.images)
        local = run(folder, [str(source), "--detector", arguments.detector], folder / "local.parquet", arguments.images)
        rows, speeds = {"images/s: local engine": local.images_per_second}, {"local": local.images_per_second}
        inputs = make_table(folder, source) if arguments.input == "table" else source
        command = [str(inputs), "--detector", arguments.detector, "--engine", "ray"]
        command += ["--shard-size", str(arguments.shard_size)]
        for workers in arguments.workers:
            out = folder / f"ray-{workers}"
            measured = run(folder, [*command, "--workers", str(workers)], out, arguments.images)
            rows[f"images/s: Ray, {workers} workers"] = speeds[str(workers)] = measured.images_per_second
        command += ["--workers", str(max(arguments.workers))]
        killed = kill_and_resume(folder, command, folder / "killed", arguments.images)
        outcomes = count_outcomes(folder / "killed", arguments.images)
    memory = {f"MB: {name}": value for name, value in measured.thirds().items()}
    rows |= {"seconds until the first rows with Ray": measured.starting, **memory, **killed, **outcomes}
    ratios = {
        f"Ray, {workers} workers / local": speeds[str(workers)] / speeds["local"] for workers in arguments.workers
    }
    ratios |= {
        f"memory, last / first third: {process}": memory[f"MB: {process}, last third"]
        / memory[f"MB: {process}, first third"]
        for process in ("command", "workers")
    }
    report("ray_predict", rows, "", ratios, arguments.json)


def make_files(folder: Path, number: int) -> Path:
    """Write JPEG files of demo faces under many names."""
    from ferlab import load_dataset

    images = load_dataset("demo").images
    contents = [
        cv2.imencode(".jpg", cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))[1].tobytes()
        for image in images
    ]
    files = folder / "images"
    files.mkdir()
    for index in range(number):
        (files / f"{index:08}.jpg").write_bytes(contents[index % len(contents)])
    return files


def make_table(folder: Path, files: Path) -> Path:
    """Write a Parquet table with the bytes of the files."""
    table, chunk = folder / "images.parquet", 1000
    schema, names = pyarrow.schema([("image", pyarrow.binary())]), sorted(files.iterdir())
    with pyarrow.parquet.ParquetWriter(table, schema) as writer:
        for start in range(0, len(names), chunk):
            contents = [name.read_bytes() for name in names[start : start + chunk]]
            writer.write_table(pyarrow.table({"image": contents}, schema))
    return table


@dataclass
class Measured:
    """Times and memory of a command.

    Args:
        starting: seconds until the first rows.
        images_per_second: after the first rows.
        command: resident megabytes of the command, each second after the first rows, while there are workers.
        workers: those of its largest worker.
    """

    starting: float = 0.0
    images_per_second: float = 0.0
    command: list[float] = field(default_factory=list)
    workers: list[float] = field(default_factory=list)

    def thirds(self) -> dict[str, float]:
        """Return the median memory in the first and last third of the time."""
        result = {}
        for name, samples in (("command", self.command), ("workers", self.workers)):
            third = max(1, len(samples) // 3)
            result[f"{name}, first third"] = statistics.median(samples[:third])
            result[f"{name}, last third"] = statistics.median(samples[-third:])
        return result


def run(folder: Path, arguments: list[str], out: Path, images: int) -> Measured:
    """Run `ferlab predict`. Its speed is measured from the first rows on disk to the last ones."""
    measured, started, begun, first = Measured(), time.time(), 0.0, 0
    process = start(folder, arguments, out)
    while process.poll() is None:
        if not begun and (first := images_done(out)):
            begun = time.time()
        if begun and (largest := max(map(resident_megabytes, workers_of(process.pid)), default=0.0)):
            measured.command.append(resident_megabytes(process.pid))
            measured.workers.append(largest)
        time.sleep(SAMPLE_SECONDS if begun else SAMPLE_SECONDS / 20)
    if process.returncode:
        raise SystemExit(f"ferlab predict {' '.join(arguments)} failed")
    ended = max(path.stat().st_mtime for path in parts_of(out)) if out.is_dir() else time.time()
    measured.starting, measured.images_per_second = begun - started, (images - first) / (ended - begun)
    return measured


def start(folder: Path, arguments: list[str], out: Path) -> subprocess.Popen[bytes]:
    """Start `ferlab predict`."""
    return subprocess.Popen([sys.executable, *COMMAND, "predict", *arguments, "--out", str(out), "--quiet"], cwd=folder)


def kill_and_resume(folder: Path, arguments: list[str], out: Path, images: int) -> dict[str, float]:
    """Kill a worker after a quarter of the images, the command after half of them, and resume."""
    process = start(folder, arguments, out)
    wait_for(process, lambda: images_done(out) > images / 4)
    os.kill(next(workers_of(process.pid)), signal.SIGKILL)
    wait_for(process, lambda: images_done(out) > images / 2)
    process.kill()
    process.wait()
    before = images_done(out)
    time.sleep(10)  # Ray ends its processes when it notices
    subprocess.run(
        [sys.executable, *COMMAND, "predict", *arguments, "--out", str(out), "--quiet", "--resume"],
        cwd=folder,
        check=True,
    )
    return {"images done when the command was killed": before}


def wait_for(process: subprocess.Popen[bytes], condition: Callable[[], bool]) -> None:
    """Wait until a condition is true, while a process runs."""
    while not condition():
        if process.poll() is not None:
            raise SystemExit("The command ended before it was killed. Use more images.")
        time.sleep(SAMPLE_SECONDS / 20)


def parts_of(out: Path) -> list[Path]:
    """List the finished tables of a job."""
    return sorted(out.glob("part-*.parquet"))


def images_done(out: Path) -> int:
    """Count the images with rows in a table that is being written, or in the finished tables of a job."""
    part = out.with_name(f"{out.name}.part.jsonl")
    if part.exists():
        with part.open() as file:
            return sum(1 for _ in file)
    return sum(len(set(pyarrow.parquet.read_table(path, columns=["source"])[0].to_pylist())) for path in parts_of(out))


def count_outcomes(out: Path, images: int) -> dict[str, float]:
    """Count the images of a job without an outcome, and those with more than one."""
    outcomes: Counter[str] = Counter()
    for path in parts_of(out):
        table = pyarrow.parquet.read_table(path, columns=["source", "face"])
        for source, face in zip(table["source"].to_pylist(), table["face"].to_pylist(), strict=True):
            outcomes[source] += face in (None, 1)
    twice = sum(number > 1 for number in outcomes.values())
    return {"images without an outcome": images - len(outcomes), "images with two outcomes": twice}


def workers_of(process: int) -> Iterator[int]:
    """Yield the worker processes that a process started."""
    for task in Path(f"/proc/{process}/task").glob("*"):
        with suppress(OSError):
            for child in map(int, (task / "children").read_text().split()):
                if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"ray::Worker"):
                    yield child
                yield from workers_of(child)


def resident_megabytes(process: int) -> float:
    """Return the resident memory of a process; 0 if it has ended."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 / 1e6
    return 0.0


if __name__ == "__main__":
    main()
