"""Photographs: from a new process to the answer for one, and a folder of many, against the same network by Keras.

The peer is how the package fer does it, with this network: Keras, called for each face. Both sides use one
detector. In the folder, both sides run in one process that is warm; ferlab's side is `predict_files`. The stages
are measured on one thread, one after the other, so that their shares tell where the time goes.

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
    """Parses the arguments, measures in turns, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs, repeated as often as needed")
    parser.add_argument("--number", type=int, default=1000, help="photographs in the folder (default: 1000)")
    parser.add_argument("--detector", default="yunet", choices=("yunet", "haar"))
    parser.add_argument("--repeats", type=int, default=5, help="new processes of each side (default: 5)")
    parser.add_argument("--json", type=Path, help="write the result here as well")
    arguments = parser.parse_args()
    originals = sorted(arguments.photos.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name) / "photos", Path(name) / "model.keras"
        folder.mkdir()
        files = [folder / f"{number:06}.jpg" for number in range(arguments.number)]
        for file, original in zip(files, itertools.cycle(originals), strict=False):
            shutil.copyfile(original, file)
        save_network(model)
        rows, ratios = new_processes(arguments, originals[0], model)
        many, ratio = folders(files, arguments.detector, model)
        shares = stages(files[:: max(1, len(files) // 200)], arguments.detector)
    report("predict", rows | many | shares, "s or ms", ratios | ratio, arguments.json)


def save_network(path: Path) -> None:
    """The network of the package as a Keras model; what its weights are does not change its speed."""
    from ferlab.backend import start_keras
    from ferlab.models import build_model

    start_keras()
    build_model("fernet", 7, size="s").save(path)


def new_processes(arguments: argparse.Namespace, photo: Path, model: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds from a new process to the answer for one photograph, the median of some turns."""
    seconds: dict[str, list[float]] = {side: [] for side in CODE}
    for _ in range(arguments.repeats):
        for side, code in CODE.items():
            started = time.perf_counter()
            line = [sys.executable, "-c", code, arguments.detector, str(photo), str(model)]
            subprocess.run(line, check=True, capture_output=True)
            seconds[side].append(time.perf_counter() - started)
    medians = {f"one photograph, new process: {side}, s": statistics.median(taken) for side, taken in seconds.items()}
    mine, peer = medians.values()
    return medians, {"one photograph, new process: Keras / ferlab": peer / mine}


def folders(files: list[Path], detector: str, model: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds for all photographs; each side has seen some before."""
    sides: dict[str, Callable[[list[Path]], int]] = {"ferlab": by_ferlab(detector), "Keras": by_keras(detector, model)}
    seconds, faces = {}, {}
    for side, answer in sides.items():
        answer(files[:20])
        started = time.perf_counter()
        faces[side] = answer(files)
        seconds[f"{len(files):,} photographs: {side}, s"] = time.perf_counter() - started
    assert abs(faces["ferlab"] - faces["Keras"]) <= 0.02 * faces["Keras"], faces  # JPEGs are decoded at other sizes
    mine, peer = seconds.values()
    return seconds, {f"{len(files):,} photographs: Keras / ferlab": peer / mine}


def by_ferlab(detector: str) -> Callable[[list[Path]], int]:
    """A function that answers for photographs and counts faces."""
    from ferlab import Predictor
    from ferlab.predict.batch import predict_files

    predictor = Predictor("default", detector)
    return lambda files: sum(len(faces) for _, faces in predict_files(predictor, files) if isinstance(faces, list))


def by_keras(detector: str, model: Path) -> Callable[[list[Path]], int]:
    """The same as `by_ferlab`, face by face."""
    import cv2
    import keras

    from ferlab.images.crop import crop_face
    from ferlab.images.detectors import open_detector

    network, finder = keras.models.load_model(model, compile=False), open_detector(detector)

    def answer(files: list[Path]) -> int:
        faces = 0
        for file in files:
            image = cv2.imread(str(file))[..., ::-1]
            for face in finder.detect(image):
                network.predict(crop_face(image, face, 0.0)[None, ..., None], verbose=0)
                faces += 1
        return faces

    return answer


def stages(files: list[Path], detector: str) -> dict[str, float]:
    """Milliseconds of a photograph in each stage of ferlab, on one thread."""
    from ferlab import Predictor
    from ferlab.images.crop import crop_face
    from ferlab.images.decode import read_image
    from ferlab.predict.predictor import SUFFICIENT_SIDE

    predictor, spent = Predictor("default", detector, threads=1), np.zeros(4)
    crops = []
    for file in files:
        times = [time.perf_counter()]
        picture = read_image(file, sufficient_side=SUFFICIENT_SIDE)
        times.append(time.perf_counter())
        found = predictor.detector.detect(picture.pixels)
        times.append(time.perf_counter())
        crops += [crop_face(picture.pixels, face, 0.0) for face in found]
        times.append(time.perf_counter())
        spent[:3] += np.diff(times)
    started = time.perf_counter()
    predictor.classify(crops)
    spent[3] = time.perf_counter() - started
    names = ("reading", "finding faces", "cutting", "the network")
    return {f"a photograph: {name}, ms": 1000 * part / len(files) for name, part in zip(names, spent, strict=True)}


if __name__ == "__main__":
    main()
