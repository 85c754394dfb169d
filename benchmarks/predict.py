"""Prediction on photographs: one in a new process, and a folder of many, compared to the same model in Keras.

The baseline works as the package fer does, with this model: it calls Keras once per face. Both sides use the same
detector. For the folder, both sides run in one warm process; ferlab's side is `predict_files`. The stages are measured
one after the other on one thread.

    python benchmarks/predict.py --photos folder --number 1000 --json predict.json
"""

import argparse
import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import report

CODE = {
    "ferlab": "import ferlab, sys; print(ferlab.Predictor('default', sys.argv[1]).predict(sys.argv[2])[0].emotion)",
    "Keras": """
import sys, cv2, keras
from ferlab.images.crop import crop_face
from ferlab.images.detectors import open_detector
model = keras.models.load_model(sys.argv[3], compile=False)
image = cv2.imread(sys.argv[2])[..., ::-1]
for face in open_detector(sys.argv[1]).detect(image):
    print(model.predict(crop_face(image, face, 0.0)[None, ..., None], verbose=0).argmax())
""",
}


def main() -> None:
    """Parse the arguments, alternate between both sides, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs, repeated as often as needed")
    parser.add_argument("--number", type=int, default=1000, help="number of photographs (default: 1000)")
    parser.add_argument("--detector", default="yunet", choices=("yunet", "haar"))
    parser.add_argument("--repeats", type=int, default=5, help="new processes per side (default: 5)")
    parser.add_argument("--json", type=Path, help="output JSON file")
    arguments = parser.parse_args()
    originals = sorted(arguments.photos.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name) / "photos", Path(name) / "model.keras"
        folder.mkdir()
        files = [folder / f"{number:06}.jpg" for number in range(arguments.number)]
        for file, original in zip(files, itertools.cycle(originals), strict=False):
            shutil.copyfile(original, file)
        save_model(model)
        rows, ratios = new_processes(arguments, originals[0], model)
        many, ratio = folders(files, arguments.detector, model)
        shares = stages(files[:: max(1, len(files) // 200)], arguments.detector)
    report("predict", rows | many | shares, "s or ms", ratios | ratio, arguments.json)


def save_model(path: Path) -> None:
    """Save the model of the package in Keras format, with random weights, which do not affect its speed."""
    from ferlab.backend import start_keras
    from ferlab.models import build_model

    start_keras()
    build_model("fernet", 7, size="s").save(path)


def new_processes(arguments: argparse.Namespace, photo: Path, model: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Measure the seconds from a new process to the prediction on one photograph. Returns medians and their ratio."""
    seconds: dict[str, list[float]] = {side: [] for side in CODE}
    for _ in range(arguments.repeats):
        for side, code in CODE.items():
            started = time.perf_counter()
            line = [sys.executable, "-c", code, arguments.detector, str(photo), str(model)]
            subprocess.run(line, check=True, capture_output=True)
            seconds[side].append(time.perf_counter() - started)
    medians = {f"one photograph, new process: {side}, s": statistics.median(taken) for side, taken in seconds.items()}
    ours, baseline = medians.values()
    return medians, {"one photograph, new process: Keras / ferlab": baseline / ours}


def folders(files: list[Path], detector: str, model: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Measure the seconds for all photographs, after a warm-up. Returns them and their ratio."""
    sides: dict[str, Callable[[list[Path]], int]] = {"ferlab": by_ferlab(detector), "Keras": by_keras(detector, model)}
    seconds, faces = {}, {}
    for side, count_faces in sides.items():
        count_faces(files[:20])
        started = time.perf_counter()
        faces[side] = count_faces(files)
        seconds[f"{len(files):,} photographs: {side}, s"] = time.perf_counter() - started
    assert abs(faces["ferlab"] - faces["Keras"]) <= 0.02 * faces["Keras"], (
        faces
    )  # ferlab decodes large JPEGs at reduced size
    ours, baseline = seconds.values()
    return seconds, {f"{len(files):,} photographs: Keras / ferlab": baseline / ours}


def by_ferlab(detector: str) -> Callable[[list[Path]], int]:
    """Return a function that predicts on photographs with ferlab and counts the faces."""
    from ferlab.predict import Prediction, Predictor
    from ferlab.predict.batch import predict_files

    predictor = Predictor("default", detector)
    return lambda files: sum(len(item) for _, item in predict_files(predictor, files) if isinstance(item, Prediction))


def by_keras(detector: str, model: Path) -> Callable[[list[Path]], int]:
    """Return a function that predicts on photographs with Keras, face by face, and counts the faces."""
    import cv2
    import keras

    from ferlab.images.crop import crop_face
    from ferlab.images.detectors import open_detector

    network, face_detector = keras.models.load_model(model, compile=False), open_detector(detector)

    def count_faces(files: list[Path]) -> int:
        faces = 0
        for file in files:
            image = cv2.imread(str(file))[..., ::-1]
            for face in face_detector.detect(image):
                network.predict(crop_face(image, face, 0.0)[None, ..., None], verbose=0)
                faces += 1
        return faces

    return count_faces


def stages(files: list[Path], detector: str) -> dict[str, float]:
    """Measure the milliseconds per photograph in each stage of ferlab, on one thread."""
    from ferlab import Predictor
    from ferlab.images.crop import crop_face
    from ferlab.images.decode import read_image
    from ferlab.predict.predictor import SUFFICIENT_SIDE

    predictor, spent = Predictor("default", detector, threads=1), np.zeros(4)
    crops = []
    for file in files:
        times = [time.perf_counter()]
        image = read_image(file, sufficient_side=SUFFICIENT_SIDE)
        times.append(time.perf_counter())
        detections = predictor.detector.detect(image.pixels)
        times.append(time.perf_counter())
        crops += [crop_face(image.pixels, face, 0.0) for face in detections]
        times.append(time.perf_counter())
        spent[:3] += np.diff(times)
    started = time.perf_counter()
    predictor.classify(crops)
    spent[3] = time.perf_counter() - started
    names = ("decoding", "face detection", "cropping", "model")
    return {f"a photograph: {name}, ms": 1000 * part / len(files) for name, part in zip(names, spent, strict=True)}


if __name__ == "__main__":
    main()
