"""How much to add around a detected face: accuracy on PublicTest by crop margin, against FER2013's own framing.

Each picture is enlarged four times and framed by a border of its mean gray, as if it were a photograph; the detector
looks for the face, and the face is cut out again with each margin. Pictures whose face is not found count on neither
side.

    python benchmarks/crop_margin.py --data fer2013.zip --detector yunet --out crop_margin.json --plot crop_margin.svg
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from machine import describe_machine

from ferlab import Split, load_dataset
from ferlab.images.crop import crop_face
from ferlab.images.detectors import Detection, Detector, open_detector
from ferlab.predict.artifact import Artifact

MARGINS = (-0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
ENLARGED, BORDER = 192, 64  # pixels


def main() -> None:
    """Parses the arguments, measures, prints, and writes result and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="FER2013, as a ferlab source")
    parser.add_argument("--model", default="default", help="an artifact (default: the one in the package)")
    parser.add_argument("--detector", default="yunet", choices=("yunet", "haar"))
    parser.add_argument("--out", type=Path, help="JSON file of the result")
    parser.add_argument("--plot", type=Path, help="SVG file of the curve")
    arguments = parser.parse_args()
    result = measure(arguments.data, Artifact(arguments.model), open_detector(arguments.detector))
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result | {"machine": describe_machine()}, indent=1) + "\n")
    if arguments.plot:
        arguments.plot.write_text(plot(result))


def measure(source: str, artifact: Artifact, detector: Detector) -> dict[str, object]:
    """Accuracy by margin, and how often the face was found."""
    part = load_dataset(source).take(Split.VALIDATION)
    photographs = [photograph(image) for image in part.images]
    detections = [best(detector.detect(picture)) for picture in photographs]
    found = np.array([detection is not None for detection in detections])
    labels = part.labels[found]
    curve = {}
    for margin in MARGINS:
        crops = [
            crop_face(picture, face, margin) for picture, face in zip(photographs, detections, strict=True) if face
        ]
        curve[margin] = float(np.mean(artifact.probabilities(np.stack(crops)).argmax(axis=1) == labels))
    framing = float(np.mean(artifact.probabilities(part.images[found]).argmax(axis=1) == labels))
    return {
        "schema": 1,
        "benchmark": "crop_margin",
        "detector": detector.name,
        "images": len(part),
        "found": float(found.mean()),
        "own_framing": framing,
        "accuracy": curve,
    }


def photograph(image: np.ndarray) -> np.ndarray:
    """A face `(48, 48)` in the middle of a gray picture `(320, 320, 3)`."""
    enlarged = cv2.resize(image, (ENLARGED, ENLARGED), interpolation=cv2.INTER_CUBIC)
    gray = int(image.mean())
    framed = cv2.copyMakeBorder(enlarged, *[BORDER] * 4, cv2.BORDER_CONSTANT, value=gray)
    return cv2.cvtColor(framed, cv2.COLOR_GRAY2RGB)


def best(detections: list[Detection]) -> Detection | None:
    """The largest face, if there is one."""
    return detections[0] if detections else None


def plot(result: dict) -> str:
    """The curve as an SVG, with the accuracy on FER2013's own framing as a line."""
    import altair as alt
    import vl_convert

    values = [{"margin": margin, "accuracy": 100 * share} for margin, share in result["accuracy"].items()]
    curve = (
        alt.Chart(alt.Data(values=values))
        .mark_line(point=True, color="#0072B2")
        .encode(
            x=alt.X("margin:Q", title="margin on each side, share of the detected face's side"),
            y=alt.Y("accuracy:Q", title="PublicTest accuracy, %", scale=alt.Scale(zero=False)),
        )
    )
    own = alt.Chart(alt.Data(values=[{"y": 100 * result["own_framing"]}]))
    line = own.mark_rule(strokeDash=[4, 4]).encode(y="y:Q")
    return vl_convert.vegalite_to_svg((curve + line).properties(width=520, height=280).to_json())


if __name__ == "__main__":
    main()
