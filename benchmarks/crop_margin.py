"""Accuracy on PublicTest by crop margin around a detected face, compared to FER2013's own framing.

Each image is enlarged four times and placed on a background of its mean gray. The face is detected and cropped with
each margin. Images without a detected face are excluded from both sides.

    python benchmarks/crop_margin.py --data fer2013.zip --detector yunet --out crop_margin.json --plot crop_margin.svg
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import describe_machine

from ferlab import Dataset, Split, load_dataset
from ferlab.images.crop import crop_face
from ferlab.images.detection import Detector
from ferlab.images.detectors import open_detector
from ferlab.predict.artifact import Artifact

MARGINS = (-0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
ENLARGED, BORDER = 192, 64  # pixels


def main() -> None:
    """Parse the arguments, measure, print, and write the result and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="FER2013, as a ferlab source")
    parser.add_argument("--model", default="default", help="artifact (default: the default network)")
    parser.add_argument("--detector", default="yunet", choices=("yunet", "haar"))
    parser.add_argument("--out", type=Path, help="output JSON file")
    parser.add_argument("--plot", type=Path, help="output SVG file of the curve")
    arguments = parser.parse_args()
    validation = load_dataset(arguments.data).take(Split.VALIDATION)
    result = measure(validation, Artifact(arguments.model), open_detector(arguments.detector))
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result | {"machine": vars(describe_machine())}, indent=1) + "\n")
    if arguments.plot:
        arguments.plot.write_text(plot(result))


def measure(dataset: Dataset, artifact: Artifact, detector: Detector) -> dict[str, Any]:
    """Return the accuracy by margin, and the share of images with a detected face."""
    photographs = [photograph(image) for image in dataset.images]
    detections = [next(iter(detector.detect(image)), None) for image in photographs]  # the largest face
    found = np.array([detection is not None for detection in detections])
    labels = dataset.labels[found]
    curve = {}
    for margin in MARGINS:
        crops = [crop_face(image, face, margin) for image, face in zip(photographs, detections, strict=True) if face]
        curve[margin] = float(np.mean(artifact.probabilities(np.stack(crops)).argmax(axis=1) == labels))
    framing = float(np.mean(artifact.probabilities(dataset.images[found]).argmax(axis=1) == labels))
    return {
        "schema": 1,
        "benchmark": "crop_margin",
        "detector": detector.name,
        "images": len(dataset),
        "found": float(found.mean()),
        "own_framing": framing,
        "accuracy": curve,
    }


def photograph(image: np.ndarray) -> np.ndarray:
    """Place a face `(48, 48)` in the middle of a gray image `(320, 320, 3)`."""
    enlarged = cv2.resize(image, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
    gray = int(image.mean())
    framed = cv2.copyMakeBorder(enlarged, *[BORDER] * 4, cv2.BORDER_CONSTANT, value=gray)
    return cv2.cvtColor(framed, cv2.COLOR_GRAY2RGB)


def plot(result: dict[str, Any]) -> str:
    """Plot the curve as an SVG, with the accuracy of FER2013's own framing as a dashed line."""
    import altair as alt
    import vl_convert

    values = [{"margin": margin, "accuracy": 100 * share} for margin, share in result["accuracy"].items()]
    curve = (
        alt.Chart(alt.Data(values=values))
        .mark_line(point=True, color="#0072B2")
        .encode(
            x=alt.X("margin:Q", title="margin on each side, fraction of the side of the detected face"),
            y=alt.Y("accuracy:Q", title="PublicTest accuracy, %", scale=alt.Scale(zero=False)),
        )
    )
    own = alt.Chart(alt.Data(values=[{"y": 100 * result["own_framing"]}]))
    line = own.mark_rule(strokeDash=[4, 4]).encode(y="y:Q")
    return vl_convert.vegalite_to_svg((curve + line).properties(width=520, height=280).to_json())


if __name__ == "__main__":
    main()
