"""List images to exclude, in the format that `load_dataset(..., exclude=FILE)` reads."""

from pathlib import Path
from typing import Literal

import numpy as np

from ferlab.audit.audit import Audit
from ferlab.audit.near_duplicates import THRESHOLD
from ferlab.data import Split
from ferlab.data.exclude import COMMENT, line_of
from ferlab.files import write_text

Keep = Literal["train", "test"]
NON_FACES = ("blank", "not a photo", "not a face")


def images_to_exclude(found: Audit, keep: Keep = "test") -> dict[str, np.ndarray]:
    """Choose images so that the rest has no copies, no leaks across splits and no non-face images.

    Likely label errors are kept, because people must decide whether a label is incorrect.

    Args:
        found: the result of an audit.
        keep: the split that keeps an image that occurs in several splits. `test` keeps it in the last of train,
            validation and test, so that the test split stays as large as possible; `train` keeps it in the first.

    Returns:
        Reason -> indices of images. An image is listed once, under its first reason.
    """
    reasons = {
        "non-face image": [item.index for item in found.suspicions if item.reason in NON_FACES],
        "identical images with conflicting labels": [
            item.index for item in found.suspicions if item.reason == "conflicting labels"
        ],
        f"copy, near copy or mirror image of an image in another split (--keep {keep})": _shared(found, keep),
        "copy within a split": [item.index for item in found.suspicions if item.reason == "exact copy"],
    }
    listed: set[int] = set()
    chosen = {}
    for reason, indices in reasons.items():
        chosen[reason] = np.array(sorted(set(indices) - listed), np.int64)
        listed.update(indices)
    return chosen


def _shared(found: Audit, keep: Keep) -> list[int]:
    """List images with a copy, near copy or mirror image in a split that takes precedence over their own."""
    order = list(Split) if keep == "train" else list(Split)[::-1]
    ranks = np.array([order.index(split) for split in Split])[found.dataset.splits]
    highest: dict[int, int] = {}  # group -> rank of the first split with an image of this or a related group
    for group, rank in zip(found.groups.tolist(), ranks.tolist(), strict=True):
        highest[group] = min(rank, highest.get(group, rank))
    own = dict(highest)
    for first, second in _related(found):
        highest[first] = min(highest[first], own[second])
        highest[second] = min(highest[second], own[first])
    return [index for index, group in enumerate(found.groups.tolist()) if highest[group] < ranks[index]]


def _related(found: Audit) -> list[tuple[int, int]]:
    """List pairs of groups whose images are near copies or mirror images of each other."""
    near = found.near.where(found.near.similarity >= THRESHOLD)
    pairs = list(zip(found.groups[near.first].tolist(), found.groups[near.second].tolist(), strict=True))
    for item in found.suspicions:
        if item.reason == "mirrored copy" and item.partner is not None:
            pairs.append((int(found.groups[item.index]), int(found.groups[item.partner])))
    return pairs


def write_exclude(found: Audit, path: str | Path, keep: Keep = "test") -> int:
    """Write the names of the images to exclude, one per line, grouped by reason.

    Args:
        found: the result of an audit.
        path: the text file to write.
        keep: see `images_to_exclude`.

    Returns:
        The number of images.
    """
    chosen = images_to_exclude(found, keep)
    lines = [f"{COMMENT} Images of {found.summary.source} to exclude: ferlab ... --exclude {Path(path).name}"]
    for reason, indices in chosen.items():
        lines += ["", f"{COMMENT} {reason}: {len(indices):,}", *map(line_of, found.dataset.names[indices].tolist())]
    write_text(Path(path), "\n".join(lines) + "\n")
    return sum(map(len, chosen.values()))
