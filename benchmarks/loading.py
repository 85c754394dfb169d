"""Measure the time to load FER2013 with ferlab, with and without its cache, and with a Pillow loop over a folder.

ferlab reads the zip in place. The Pillow loop reads the same images from an unpacked folder; unpacking is not counted.
Each measurement runs in a separate process, without the time for imports; the best of all repeats is reported. Cold
means without ferlab's cache; the files may still be in the page cache of the system, in both cases.

    python benchmarks/loading.py --data fer2013.zip --json loading.json
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from machine import report


def main() -> None:
    """Parse the arguments and measure the three ways alternately."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a zip in the Kaggle layout (default: made from the demo data)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats (default: 3)")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(*WAYS[arguments.way](arguments.path))
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = arguments.data or write_demo_zip(Path(folder, "demo.zip"))
        unpacked = unpack(archive, Path(folder, "unpacked"))
        paths = {"pillow loop": unpacked, "ferlab cold": archive, "ferlab warm": archive}
        measured: dict[str, list[tuple[float, float]]] = {way: [] for way in paths}
        measure("ferlab warm", archive, folder)  # fills the cache
        for _ in range(arguments.repeats):
            for way, path in paths.items():
                measured[way].append(measure(way, path, folder))
    best = {way: min(seconds for seconds, _ in values) for way, values in measured.items()}
    ratios = {f"pillow loop / {way}": best["pillow loop"] / best[way] for way in ("ferlab cold", "ferlab warm")}
    report("loading", best, "s", ratios, arguments.json)
    print(f"peak memory of the cold load: {max(peak for _, peak in measured['ferlab cold']):.0f} MB")


def measure(way: str, path: Path, cache: str) -> tuple[float, float]:
    """Measure seconds and peak memory in MB of one way, in a separate process with a separate cache."""
    command = [sys.executable, __file__, "--way", way, "--path", str(path)]
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    seconds, peak = map(float, finished.stdout.split())
    return seconds, peak


def write_demo_zip(path: Path) -> Path:
    """Write the demo data in the Kaggle layout."""
    import cv2

    from ferlab import Split, load_dataset

    dataset = load_dataset("demo")
    prefixes = {
        Split.TRAIN: "train/{}/Training_",
        Split.VALIDATION: "test/{}/PublicTest_",
        Split.TEST: "test/{}/PrivateTest_",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for index, (image, label, split) in enumerate(zip(dataset.images, dataset.labels, dataset.splits, strict=True)):
            name = prefixes[Split(split)].format(dataset.class_names[label]) + f"{index}.jpg"
            archive.writestr(name, cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
    return path


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder


def pillow_loop(folder: Path) -> tuple[float, float]:
    """Load a folder as people usually do: open, convert, append."""
    import numpy as np
    from PIL import Image

    started = time.perf_counter()
    images, labels = [], []
    for path in sorted(folder.rglob("*.jpg")):
        with Image.open(path) as image:
            images.append(np.asarray(image.convert("L")))
        labels.append(path.parent.name)
    np.stack(images)
    return time.perf_counter() - started, peak_memory()


def ferlab_cold(archive: Path) -> tuple[float, float]:
    """Load the zip without the cache."""
    from ferlab import load_dataset
    from ferlab.data import formats

    formats()
    started = time.perf_counter()
    load_dataset(archive, use_cache=False)
    return time.perf_counter() - started, peak_memory()


def ferlab_warm(archive: Path) -> tuple[float, float]:
    """Load the decoded images from the cache."""
    from ferlab import load_dataset

    started = time.perf_counter()
    load_dataset(archive)
    return time.perf_counter() - started, peak_memory()


def peak_memory() -> float:
    """Return the peak memory of this process in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


WAYS = {"pillow loop": pillow_loop, "ferlab cold": ferlab_cold, "ferlab warm": ferlab_warm}

if __name__ == "__main__":
    main()
