"""Emotions of turned faces: OpenCV's `FaceDetectorYN` against ferlab, which finds the upright turn of a face.

FER2013's PublicTest faces are placed on a gray background and turned. A face that is not found counts as an error. The
thresholds of `ferlab.images.upright` were chosen by this measurement, by photographs, and by frames of a video.

    python benchmarks/turned_faces.py --data fer2013.zip --json turned_faces.json
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from machine import report

from ferlab.data import Split, load_dataset
from ferlab.images.crop import CROP_MARGIN, CROP_SIDE, crop_face
from ferlab.images.detection import Detection
from ferlab.images.yunet import YuNet, yunet_file
from ferlab.predict.artifact import Artifact

ANGLES = (0, 20, 45, 90, 135, 180, 225, 270)  # degrees, counterclockwise
IMAGE_SIDE, FACE_SIDE = 320, 160  # pixels
GRAY = 128


def main() -> None:
    """Parse the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="FER2013")
    parser.add_argument("--number", type=int, default=400, help="number of faces (default: 400)")
    parser.add_argument("--json", type=Path, help="output JSON file")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data)
    positions = np.flatnonzero(dataset.splits == Split.VALIDATION)
    chosen = np.random.default_rng(0).choice(positions, arguments.number, replace=False)
    faces, labels = dataset.images[chosen], dataset.labels[chosen]
    detectors: dict[str, Callable[[np.ndarray], list[Detection]]] = {"OpenCV": by_opencv(), "ferlab": YuNet().detect}
    rows = {}
    for angle in ANGLES:
        images = [turned(face, angle) for face in faces]
        for name, detect in detectors.items():
            found, correct = measure(detect, images, labels)
            rows[f"{angle} degrees: {name}, found"] = found
            rows[f"{angle} degrees: {name}, correct"] = correct
            print(f"{angle:4} {name:7} {found:6.1f} {correct:6.1f}", flush=True)
    report("turned_faces", rows, "%", {}, arguments.json)


def turned(face: np.ndarray, angle: float) -> np.ndarray:
    """Place a face `(48, 48)` on a gray background, and turn it. Returns `(H, W, 3)`, RGB."""
    margin, middle = (IMAGE_SIDE - FACE_SIDE) // 2, (IMAGE_SIDE - 1) / 2
    face = cv2.resize(face, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_CUBIC)
    image = np.pad(face, margin, constant_values=GRAY)
    matrix = cv2.getRotationMatrix2D((middle, middle), angle, 1)
    image = cv2.warpAffine(image, matrix, (IMAGE_SIDE, IMAGE_SIDE), borderValue=GRAY)
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)


def by_opencv() -> Callable[[np.ndarray], list[Detection]]:
    """Return a function that detects faces with OpenCV."""
    network = cv2.FaceDetectorYN.create(str(yunet_file()), "", (IMAGE_SIDE, IMAGE_SIDE), YuNet.SCORE_THRESHOLD, 0.3)

    def detect(image: np.ndarray) -> list[Detection]:
        _, rows = network.detect(np.ascontiguousarray(image[..., ::-1]))
        faces = [row.tolist() for row in (rows if rows is not None else [])]
        return [
            Detection(box=tuple(row[:4]), landmarks={"right_eye": tuple(row[4:6]), "left_eye": tuple(row[6:8])})
            for row in sorted(faces, key=lambda row: -row[2] * row[3])
        ]

    return detect


def measure(
    detect: Callable[[np.ndarray], list[Detection]], images: list[np.ndarray], labels: np.ndarray
) -> tuple[float, float]:
    """Return the percentages of faces that are found, and of those with the right emotion."""
    crops = np.zeros((len(images), CROP_SIDE, CROP_SIDE), np.uint8)
    found = np.zeros(len(images), bool)
    for index, image in enumerate(images):
        if detections := detect(image):
            crops[index], found[index] = crop_face(image, detections[0], CROP_MARGIN), True
    correct = found & (Artifact().probabilities(crops).argmax(axis=1) == labels)
    return 100 * float(found.mean()), 100 * float(correct.mean())


if __name__ == "__main__":
    main()
