"""How the audit's cost grows with the number of images, and how much of what was planted it finds.

Copies: drawings of random blots, none like another, of which one in a hundred is there again: equal, mirrored, or
shifted by a pixel, brightened and marked. Recall is the share of these pairs that is found, precision the share of
found pairs that was planted. Labels: one in twenty labels of the demo data is changed, in all splits; a small network
is trained on it, and the audit asks it which labels are wrong. Times are processor seconds of all threads, which
other work on the machine changes little.

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

SHARE = 0.01  # of the images that are planted copies, a third of each kind
WRONG = 0.05  # of the labels
CHANGES = {"epochs": 6, "steps_per_epoch": 60, "batch_size": 32}  # enough to learn the demo data


def main() -> None:
    """Parses the arguments, and measures each size in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000], help="sizes (default: 10^4, 10^5)")
    parser.add_argument("--labels", action="store_true", help="plant wrong labels as well, and train a network")
    parser.add_argument("--json", type=Path, help="write the result here as well")
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
    """Processor seconds of the audit of so many images, its memory, and what it finds of the planted copies."""
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
    "equal": ("exact copy", "copy across splits"),
    "mirrored": ("mirrored copy",),
    "changed": ("near copy",),
}


def found_pairs(found: Audit, reasons: tuple[str, ...]) -> set[tuple[int, int]]:
    """The pairs that were found for these reasons, the smaller position first."""
    return {
        tuple(sorted((item.index, item.partner)))
        for item in found.suspicions
        if item.reason in reasons and item.partner is not None
    }


def with_copies(generator: np.random.Generator, number: int) -> tuple[np.ndarray, dict[str, set[tuple[int, int]]]]:
    """Images `(number, 48, 48)` uint8 in random order, and by kind the pairs of positions that were planted."""
    num_planted = int(SHARE * number) // 3 * 3
    images = np.empty((number, 48, 48), np.uint8)
    for image in images[: number - num_planted]:
        noise = generator.standard_normal((12, 12), np.float32)
        large = cv2.resize(noise[:6, :6], (48, 48), interpolation=cv2.INTER_CUBIC)
        image[:] = cv2.normalize(large + 0.5 * cv2.resize(noise, (48, 48)), None, 0, 255, cv2.NORM_MINMAX)
    sources = generator.permutation(number - num_planted)[:num_planted]
    changes = [("equal", lambda image: image), ("mirrored", lambda image: image[:, ::-1]), ("changed", changed)]
    order = generator.permutation(number)
    position = np.argsort(order)
    planted: dict[str, set[tuple[int, int]]] = {kind: set() for kind, _ in changes}
    for index, source in enumerate(sources):
        kind, change = changes[index % 3]
        target = number - num_planted + index
        images[target] = change(images[source])
        planted[kind].add(tuple(sorted((int(position[source]), int(position[target])))))
    return images[order], planted


def changed(image: np.ndarray) -> np.ndarray:
    """The same picture, shifted by a pixel, brightened, and with a mark on it."""
    marked = cv2.putText(np.roll(image, (1, 1), (0, 1)).copy(), "'", (12, 44), cv2.FONT_HERSHEY_PLAIN, 0.6, 255)
    return np.clip(marked.astype(int) + 10, 0, 255).astype(np.uint8)


def wrong_labels() -> dict[str, float]:
    """Precision and recall on wrong labels of validation and test, by a network that learned from wrong ones too."""
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
