"""Which images are better left out, as a list that `load_dataset(..., exclude=FILE)` reads."""

from pathlib import Path
from typing import Literal

import numpy as np

from ferlab.audit.audit import Audit
from ferlab.audit.near_duplicates import THRESHOLD
from ferlab.data import Split
from ferlab.data.exclude import COMMENT
from ferlab.files import write_atomically

Keep = Literal["train", "test"]
NO_PICTURES = ("blank", "no photograph", "not a face")


def images_to_exclude(found: Audit, keep: Keep = "test") -> dict[str, np.ndarray]:
    """Chooses images, so that what remains has no copies, no leaks and no pictures without a face.

    Likely label errors stay: whether a label is wrong is for people to say.

    Args:
        found: an audit.
        keep: which side keeps an image that two splits share. `test`: it leaves training, or validation where it is in
            the test split too, so that the test split stays as large as it can. `train`: it leaves the others.

    Returns:
        Reason -> positions; an image is listed once, under its first reason.
    """
    reasons = {
        "no picture of a face": [item.index for item in found.suspicions if item.reason in NO_PICTURES],
        "equal pixel by pixel, with different labels": [
            item.index for item in found.suspicions if item.reason == "conflicting labels"
        ],
        f"has a copy, a near copy or a mirror image in a split that keeps it (--keep {keep})": _shared(found, keep),
        "copy within its split": [item.index for item in found.suspicions if item.reason == "exact copy"],
    }
    listed: set[int] = set()
    chosen = {}
    for reason, indices in reasons.items():
        chosen[reason] = np.array(sorted(set(indices) - listed), np.int64)
        listed.update(indices)
    return chosen


def _shared(found: Audit, keep: Keep) -> list[int]:
    """Images with a relative in a split that comes before their own: in the order in which splits keep theirs."""
    order = list(Split) if keep == "train" else list(Split)[::-1]
    ranks = np.array([order.index(split) for split in Split])[found.dataset.splits]
    highest: dict[int, int] = {}  # group -> rank of the first split that holds one of it or of its relatives
    for group, rank in zip(found.groups.tolist(), ranks.tolist(), strict=True):
        highest[group] = min(rank, highest.get(group, rank))
    own = dict(highest)
    for first, second in _related(found):
        highest[first] = min(highest[first], own[second])
        highest[second] = min(highest[second], own[first])
    return [index for index, group in enumerate(found.groups.tolist()) if highest[group] < ranks[index]]


def _related(found: Audit) -> list[tuple[int, int]]:
    """Pairs of groups whose images are near copies or mirror images of each other."""
    near = found.near.where(found.near.similarity >= THRESHOLD)
    pairs = list(zip(found.groups[near.first].tolist(), found.groups[near.second].tolist(), strict=True))
    for item in found.suspicions:
        if item.reason == "mirrored copy" and item.partner is not None:
            pairs.append((int(found.groups[item.index]), int(found.groups[item.partner])))
    return pairs


def write_exclude(found: Audit, path: str | Path, keep: Keep = "test") -> int:
    """Writes the names of those images, a line each, under their reasons.

    Args:
        found: an audit.
        path: the text file.
        keep: see `images_to_exclude`.

    Returns:
        How many there are.
    """
    chosen = images_to_exclude(found, keep)
    lines = [f"{COMMENT} Images of {found.summary['source']} to leave out: ferlab ... --exclude {Path(path).name}"]
    for reason, indices in chosen.items():
        lines += ["", f"{COMMENT} {reason}: {len(indices):,}", *found.dataset.names[indices].tolist()]
    write_atomically(Path(path), lambda file: file.write(("\n".join(lines) + "\n").encode()))
    return sum(map(len, chosen.values()))
