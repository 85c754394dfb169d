"""Measure the cost of the audit by number of images, and its recall and precision on planted faults.

Copies: distinct images of random blobs, plus 1 % copies: identical, mirrored, or retouched (shifted by one pixel,
brightened and marked). Recall is the share of planted pairs that the audit finds, precision the share of found pairs
that were planted. Labels: 5 % of the labels of the demo data are changed in all splits, a small network is trained on
them, and the audit uses it to find label errors. Times are CPU seconds of all threads, which depend little on other
processes.

    python benchmarks/audit.py --images 10000 100000 1000000 --json audit.json
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from machine import report

from ferlab import Dataset, Split, load_dataset
from ferlab.audit import Audit, audit
from ferlab.emotions import EMOTIONS

SHARE = 0.01  # of the images are planted copies, a third of each kind
WRONG = 0.05  # of the labels are changed
CHANGES = {"epochs": 6, "steps_per_epoch": 60, "batch_size": 32}  # enough to learn the demo data


def main() -> None:
    """Parse the arguments and measure each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000], help="sizes (default: 10^4, 10^5)")
    parser.add_argument("--labels", action="store_true", help="also plant wrong labels and train a network")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    rows: dict[str, float] = {}
    for number in arguments.images:
        rows |= {f"{number:,} images: {name}": value for name, value in copies(number).items()}
    if arguments.labels:
        rows |= {f"wrong labels: {name}": value for name, value in wrong_labels().items()}
    first, last = (rows[f"{number:,} images: s"] for number in (arguments.images[0], arguments.images[-1]))
    growth = last / first / (arguments.images[-1] / arguments.images[0])
    report("audit", rows, "", {"cost of an image, largest / smallest size": growth}, arguments.json)


def copies(number: int) -> dict[str, float]:
    """Measure CPU time and memory of an audit, and its recall and precision on planted copies."""
    generator = np.random.default_rng(0)
    images, planted = with_copies(generator, number)
    splits = np.sort(generator.choice(3, number, p=(0.8, 0.1, 0.1))).astype(np.uint8)
    names = np.arange(number).astype(str)
    dataset = Dataset(
        images=images, labels=generator.integers(0, 7, number), splits=splits, names=names, class_names=EMOTIONS,
        source="planted",
    )  # fmt: skip
    started = time.process_time()
    found = audit(dataset)
    seconds = time.process_time() - started
    pairs = {kind: found_pairs(found, reasons) for kind, reasons in REASONS_OF.items()}
    everything = set().union(*planted.values())
    result = {"s": seconds, "peak GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}
    for kind, wanted in planted.items():
        result[f"recall, {kind}"] = len(wanted & pairs[kind]) / len(wanted)
    result["precision"] = np.mean([pair in everything for pair in set().union(*pairs.values())])
    return result


REASONS_OF = {
    "identical": ("exact copy", "copy across splits"),
    "mirrored": ("mirrored copy",),
    "retouched": ("near copy",),
}


def found_pairs(found: Audit, reasons: tuple[str, ...]) -> set[tuple[int, int]]:
    """Return the pairs found for these reasons, the smaller index first."""
    return {
        tuple(sorted((item.index, item.partner)))
        for item in found.suspicions
        if item.reason in reasons and item.partner is not None
    }


def with_copies(generator: np.random.Generator, number: int) -> tuple[np.ndarray, dict[str, set[tuple[int, int]]]]:
    """Build images `(number, 48, 48)` uint8 in random order; also return the planted pairs of indices by kind."""
    num_planted = int(SHARE * number) // 3 * 3
    images = np.empty((number, 48, 48), np.uint8)
    for image in images[: number - num_planted]:
        noise = generator.standard_normal((12, 12), np.float32)
        large = cv2.resize(noise[:6, :6], (48, 48), interpolation=cv2.INTER_CUBIC)
        image[:] = cv2.normalize(large + 0.5 * cv2.resize(noise, (48, 48)), None, 0, 255, cv2.NORM_MINMAX)
    sources = generator.permutation(number - num_planted)[:num_planted]
    changes = [("identical", lambda image: image), ("mirrored", lambda image: image[:, ::-1]), ("retouched", retouched)]
    order = generator.permutation(number)
    position = np.argsort(order)
    planted: dict[str, set[tuple[int, int]]] = {kind: set() for kind, _ in changes}
    for index, source in enumerate(sources):
        kind, change = changes[index % 3]
        target = number - num_planted + index
        images[target] = change(images[source])
        planted[kind].add(tuple(sorted((int(position[source]), int(position[target])))))
    return images[order], planted


def retouched(image: np.ndarray) -> np.ndarray:
    """Shift an image by one pixel, brighten it, and draw a mark on it."""
    marked = cv2.putText(np.roll(image, (1, 1), (0, 1)).copy(), "'", (12, 44), cv2.FONT_HERSHEY_PLAIN, 0.6, 255)
    return np.clip(marked.astype(int) + 10, 0, 255).astype(np.uint8)


def wrong_labels() -> dict[str, float]:
    """Measure precision and recall on wrong labels in validation and test; the network also trains on wrong labels."""
    import ferlab

    demo, generator = load_dataset("demo"), np.random.default_rng(0)
    wrong = generator.random(len(demo)) < WRONG
    labels = np.where(wrong, (demo.labels + generator.integers(1, 7, len(demo))) % 7, demo.labels)
    with tempfile.TemporaryDirectory() as folder:
        planted = replace(demo, labels=labels)
        run = ferlab.train("fair_newmodel", planted, Path(folder) / "run", **CHANGES)
        found = audit(planted, run.path)
    disputed = [item.index for item in found.suspicions if item.reason == "likely label error"]
    asked = wrong & (demo.splits != Split.TRAIN)
    return {
        "planted": int(asked.sum()),
        "disputed": len(disputed),
        "precision": float(wrong[disputed].mean()),
        "recall": float(wrong[disputed].sum() / asked.sum()),
    }


if __name__ == "__main__":
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3"}
    sys.exit(main())
