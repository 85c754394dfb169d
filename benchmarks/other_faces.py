"""Accuracy on faces that are not FER2013's, and one score to choose settings by.

For each model: the recall of each class on photos in class folders, with the largest face cropped as in prediction (a
photo without a detected face is classified whole); the mean recall of five classes; the natural mix, which weights the
recalls by the shares of the classes in the collection that the photos come from; and PublicTest, without copies of
training images, under corruptions, and cropped again by the detector, on the target that the model learned.

The score is the mean of four accuracies: PublicTest without copies, PublicTest under corruptions (the mean over all of
them), the natural mix, and the mean recall of five classes.

    python benchmarks/other_faces.py fer2013 runs/mine.onnx --faces web_faces.zip --data fer2013.zip \\
        --ferplus fer2013new.csv --out other_faces.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from crop_margin import photograph
from machine import describe_machine

from ferlab import Predictor, Split, evaluate, load_dataset
from ferlab.data import Dataset
from ferlab.data.archive import open_data
from ferlab.emotions import EMOTIONS, Target
from ferlab.evaluation.robustness import robustness
from ferlab.evaluation.trained_model import open_model

FIVE = ("angry", "happy", "sad", "surprise", "neutral")  # disgust and fear have too few or too noisy labels
NATURAL = {  # images of each class in the whole collection (github.com/muxspace/facial_expressions)
    "angry": 252, "disgust": 208, "fear": 21, "happy": 5696, "sad": 268, "surprise": 368, "neutral": 6868,
}  # fmt: skip


def main() -> None:
    """Parse the arguments, measure each model, print a table, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="artifacts, or names of networks in the package")
    parser.add_argument("--faces", required=True, help="folder or zip of photos in class folders")
    parser.add_argument("--data", help="FER2013, as a ferlab source; without it, only the photos are scored")
    parser.add_argument("--ferplus", help="fer2013new.csv, for models that learned it")
    parser.add_argument("--out", type=Path, help="output JSON file")
    arguments = parser.parse_args()
    rows = [measure(model, arguments) for model in arguments.models]
    for row in rows:
        print(describe(row))
    if arguments.out:
        result = {"schema": 1, "benchmark": "other_faces", "rows": rows, "machine": vars(describe_machine())}
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def measure(model: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one model."""
    recalls, images = face_recalls(model, arguments.faces)
    five = float(np.mean([recalls[name] for name in FIVE]))
    natural = sum(recalls[name] * count for name, count in NATURAL.items()) / sum(NATURAL.values())
    row = {"model": model, "images": images, "recalls": recalls, "mean_of_five": five, "natural_mix": natural}
    return row | (public_test(model, arguments, five, natural) if arguments.data else {})


def face_recalls(model: str, source: str) -> tuple[dict[str, float], dict[str, int]]:
    """Return the recall and the number of photos of each class."""
    finder, whole = Predictor(model, "yunet"), Predictor(model, "none")
    hits, totals = dict.fromkeys(EMOTIONS, 0), dict.fromkeys(EMOTIONS, 0)
    with open_data(Path(source)) as opened:
        for path, read in opened.images:
            content, label = read(), path.parent.name
            found = finder.predict(content) or whole.predict(content)
            totals[label] += 1
            hits[label] += next(iter(found)).emotion == label
    return {name: hits[name] / max(totals[name], 1) for name in EMOTIONS}, totals


def public_test(model: str, arguments: argparse.Namespace, five: float, natural: float) -> dict[str, Any]:
    """Score PublicTest on the target that the model learned."""
    target = open_model(model).provenance.target or Target.FER2013
    dataset = load_dataset(arguments.data, target=target, ferplus=arguments.ferplus)
    plain, corrupted = evaluate(model, dataset), robustness(model, dataset)
    own, again = framings(model, dataset.take(Split.VALIDATION))
    without_copies, under_corruption = plain.leak_free.accuracy, corrupted.score * corrupted.clean_accuracy
    return {
        "target": target,
        "accuracy": plain.accuracy,
        "without_copies": without_copies,
        "robustness": corrupted.score,
        "own_framing": own,
        "cropped_again": again,
        "score": (without_copies + under_corruption + natural + five) / 4,
    }


def framings(model: str, part: Dataset) -> tuple[float, float]:
    """Return the accuracy on images whose face is detected, in their own framing and cropped again."""
    predictor = Predictor(model, "yunet", max_faces=1)
    detected = [predictor.detect(photograph(image)) for image in part.images]
    found = np.array([len(one.crops) > 0 for one in detected])
    crops = np.concatenate([one.crops for one in detected])
    predicted = [predictor.artifact.probabilities(images).argmax(axis=1) for images in (part.images[found], crops)]
    own, again = (float(np.mean(one == part.labels[found])) for one in predicted)
    return own, again


def describe(row: dict[str, Any]) -> str:
    """Format one model in percent."""
    recalls = ", ".join(f"{name} {100 * share:.1f}" for name, share in row["recalls"].items())
    lines = [
        f"{row['model']}: natural mix {100 * row['natural_mix']:.1f} %, mean of five {100 * row['mean_of_five']:.1f} %",
        f"  recalls: {recalls}",
    ]
    if "score" in row:
        loss = 100 * (row["own_framing"] - row["cropped_again"])
        lines += [
            f"  PublicTest, target {row['target']}: {100 * row['accuracy']:.2f} %, without copies "
            f"{100 * row['without_copies']:.2f} %, robustness {row['robustness']:.3f}",
            f"  cropped again: {100 * row['cropped_again']:.2f} %, {loss:.2f} points below its own framing",
            f"  score {100 * row['score']:.2f}",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
