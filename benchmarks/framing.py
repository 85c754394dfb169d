"""How the detector's crops differ from FER2013's framing: shift, scale and rotation, over random Training images.

Each image is enlarged and given a border, as in crop_margin.py. The face in it is detected, and the square that
prediction would crop is compared with the image. Prints means, standard deviations and percentiles.

    python benchmarks/framing.py --data fer2013.zip --images 5000
"""

import argparse
import math

import numpy as np
from crop_margin import BORDER, ENLARGED, photograph

from ferlab import Split, load_dataset
from ferlab.images.detection import Detection
from ferlab.images.detectors import open_detector

QUANTITIES = ("shift right (share of the side)", "shift down (share of the side)", "scale (log2)", "rotation (degrees)")
PERCENTILES = (2.5, 16, 50, 84, 97.5)


def main() -> None:
    """Parse the arguments, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="FER2013, as a ferlab source")
    parser.add_argument("--images", type=int, default=5000)
    arguments = parser.parse_args()
    images = load_dataset(arguments.data).take(Split.TRAIN).images
    chosen = images[np.random.default_rng(0).permutation(len(images))[: arguments.images]]
    detector = open_detector("yunet")
    detections = [next(iter(detector.detect(photograph(image))), None) for image in chosen]
    measured = np.array([framing(detection) for detection in detections if detection])
    print(f"{len(measured):,} faces in {len(chosen):,} images")
    for name, values in zip(QUANTITIES, measured.T, strict=True):
        shown = ", ".join(f"{value:.3f}" for value in np.percentile(values, PERCENTILES))
        print(f"{name}: mean {values.mean():.3f}, standard deviation {values.std():.3f}, percentiles {shown}")


def framing(detection: Detection) -> tuple[float, float, float, float]:
    """Return shift, scale and rotation of a crop in terms of the image it comes from."""
    x, y = detection.center
    _, _, width, height = detection.box
    middle, side = BORDER + ENLARGED / 2, math.sqrt(width * height)
    eyes = detection.landmarks or {"right_eye": (0, 0), "left_eye": (1, 0)}
    (right_x, right_y), (left_x, left_y) = eyes["right_eye"], eyes["left_eye"]
    tilt = math.degrees(math.atan2(left_y - right_y, left_x - right_x))
    return (x - middle) / ENLARGED, (y - middle) / ENLARGED, math.log2(side / ENLARGED), tilt


if __name__ == "__main__":
    main()
