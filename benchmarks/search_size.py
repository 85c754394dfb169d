"""Recall of faces in a large group photo by their size, for several search sizes.

The largest face of each photograph, with its surroundings and mirrored or not, is placed in a gray image of 3840x2160
pixels in a grid. All faces of an image have one size: the side of a square with the area of the bounding box. A face
counts as found if its center lies in a bounding box of 0.5 to 1.5 times that size.

    python benchmarks/search_size.py --photos folder --json search_size.json
"""

import argparse
import math
import time
from pathlib import Path

import cv2
import numpy as np
from machine import report

from ferlab.images.detection import Detection
from ferlab.images.yunet import YuNet

WIDTH, HEIGHT = 3840, 2160  # pixels
FACE_SIDES = (16, 24, 32, 48, 64, 96, 192, 384)  # pixels
SEARCH_SIZES = (640, 1280, 1920, 2560, 3840)  # pixels
SURROUNDINGS = 2.0  # side of the part of a photograph around a face, in sides of the face
GRAY = 128
MAX_FACES = 60  # per image


def main() -> None:
    """Parse the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs with large faces")
    parser.add_argument("--json", type=Path, help="output JSON file")
    arguments = parser.parse_args()
    detector, rows = YuNet(), {}
    heads = [head for file in sorted(arguments.photos.glob("*.jpg")) for head in cut_heads(detector, file)]
    seconds: dict[int, list[float]] = {size: [] for size in SEARCH_SIZES}
    for side in FACE_SIDES:
        image, centers = group_photo(heads, side)
        for size in SEARCH_SIZES:
            started = time.process_time()
            detections = detector.detect(image, search_size=size)
            seconds[size].append(time.process_time() - started)
            rows[f"faces of {side} pixels, search size {size}: found, %"] = 100 * recall(detections, centers, side)
    for size, taken in seconds.items():
        rows[f"search size {size}: processor time, ms"] = 1000 * float(np.median(taken))
    report("search_size", rows, "% or ms", {}, arguments.json)


def cut_heads(detector: YuNet, file: Path) -> list[np.ndarray]:
    """Return the largest face of a photograph with its surroundings `(S, S, 3)`, and its mirror image."""
    photo = np.ascontiguousarray(cv2.imread(str(file))[..., ::-1])
    heads = []
    for face in detector.detect(photo)[:1]:
        side = round(SURROUNDINGS * math.sqrt(face.box[2] * face.box[3]))
        padded = cv2.copyMakeBorder(photo, side, side, side, side, cv2.BORDER_CONSTANT, value=(GRAY, GRAY, GRAY))
        left, top = (round(value + side - side / 2) for value in face.center)
        head = padded[top : top + side, left : left + side]
        heads += [head, head[:, ::-1]]
    return heads


def group_photo(heads: list[np.ndarray], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Place heads at random places of a grid. Returns the image `(H, W, 3)` and the centers of the faces `(N, 2)`."""
    cell, generator = round(SURROUNDINGS * side), np.random.default_rng(0)
    grid = [(left, top) for left in range(0, WIDTH - cell, cell) for top in range(0, HEIGHT - cell, cell)]
    corners = generator.permutation(grid)[:MAX_FACES]
    image = np.full((HEIGHT, WIDTH, 3), GRAY, np.uint8)
    for (left, top), choice in zip(corners, generator.integers(0, len(heads), len(corners)), strict=True):
        head = cv2.resize(heads[choice], (cell, cell), interpolation=cv2.INTER_AREA)
        image[top : top + cell, left : left + cell] = head
    return image, corners + cell / 2


def recall(detections: list[Detection], centers: np.ndarray, side: int) -> float:
    """Return the share of faces that are found."""
    boxes = np.array([face.box for face in detections]).reshape(-1, 4)
    sides = np.sqrt(boxes[:, 2] * boxes[:, 3])
    boxes = boxes[(sides > 0.5 * side) & (sides < 1.5 * side)]
    inside = (centers[:, None] > boxes[:, :2]) & (centers[:, None] < boxes[:, :2] + boxes[:, 2:])  # (N, B, 2)
    return float(inside.all(axis=2).any(axis=1).mean())


if __name__ == "__main__":
    main()
