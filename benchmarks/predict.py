"""Prediction on photographs and on a video, compared to another version of ferlab, to Keras and to OpenCV.

- Another version (`--old`): photographs and frames per second, and the time of each stage. Both versions run in turns,
  each in its own process.
- Keras works as the package fer does, with ferlab's model: it calls Keras once per face, with the same detector.
- OpenCV's `FaceDetectorYN.detect` alone, against `predict` on the same array of 640x446 pixels, in turns.

    git worktree add ../old v0.1.0
    python benchmarks/predict.py --photos folder --video video.mp4 --old ../old/src --json predict.json
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from machine import report

SOURCE = Path(__file__).parents[1] / "src"
WORKER = Path(__file__).with_name("predict_worker.py")
ARRAY_SIZE = (640, 446)  # pixels
VIDEO_SIZE = (1280, 720)  # pixels
VIDEO_FRAMES = 100
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
Measured = tuple[dict[str, float], dict[str, float]]  # rows, and ratios of them


def main() -> None:
    """Parse the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs, repeated as often as needed")
    parser.add_argument("--video", type=Path, required=True, help="a video; it is scaled to 1280x720")
    parser.add_argument("--old", type=Path, help="`src` folder of another version of ferlab")
    parser.add_argument("--number", type=int, default=1000, help="number of photographs (default: 1000)")
    parser.add_argument("--detector", default="yunet", choices=("yunet", "haar"))
    parser.add_argument("--repeats", type=int, default=5, help="turns of each side (default: 5)")
    parser.add_argument("--json", type=Path, help="output JSON file")
    arguments = parser.parse_args()
    originals = sorted(arguments.photos.glob("*.jpg"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"{number:06}.jpg" for number in range(arguments.number)]
        for file, original in zip(files, itertools.cycle(originals), strict=False):
            shutil.copyfile(original, file)
        scale_video(arguments.video, folder / "video.mp4")
        save_model(folder / "model.keras")
        parts = [
            versions(arguments, files, folder / "video.mp4"),
            by_opencv(arguments.detector, originals[0]),
            new_processes(arguments, originals[0], folder / "model.keras"),
            by_keras(arguments.detector, folder / "model.keras", files[: max(20, arguments.number // 10)]),
        ]
    rows = {name: value for part, _ in parts for name, value in part.items()}
    ratios = {name: value for _, part in parts for name, value in part.items()}
    report("predict", rows, "s, ms or per s", ratios, arguments.json)


def scale_video(source: Path, target: Path) -> None:
    """Write the first frames of a video in 1280x720."""
    from ferlab.predict.video_file import VideoFile
    from ferlab.predict.video_writer import VideoWriter

    with VideoFile(source) as video, VideoWriter(target) as writer:
        for frame in itertools.islice(video.frames(), VIDEO_FRAMES):
            writer.write(cv2.resize(frame.pixels, VIDEO_SIZE, interpolation=cv2.INTER_CUBIC), frame.seconds)


def save_model(path: Path) -> None:
    """Save the model of the package in Keras format, with random weights, which do not affect its speed."""
    from ferlab.backend import start_keras
    from ferlab.models import build_model

    start_keras()
    build_model("fernet", 7, size="s").save(path)


def versions(arguments: argparse.Namespace, files: list[Path], video: Path) -> Measured:
    """Measure this version of ferlab and an older one in turns. Each turn takes a part of the photographs."""
    sources = {"ferlab": SOURCE} | ({"old": arguments.old} if arguments.old else {})
    turns: dict[str, list[dict]] = {side: [] for side in sources}
    for turn in range(arguments.repeats):
        for side, source in sources.items():
            line = [
                sys.executable,
                str(WORKER),
                arguments.detector,
                str(video),
                *map(str, files[turn :: arguments.repeats]),
            ]
            environment = os.environ | {"PYTHONPATH": str(source.resolve())}
            done = subprocess.run(line, check=True, capture_output=True, text=True, env=environment)
            turns[side].append(json.loads(done.stdout))
    rows, ratios = {}, {}
    for name in ("photos", "frames"):
        for side, measured in turns.items():
            rows[f"{name} per second: {side}"] = statistics.median(turn[name] for turn in measured)
        if arguments.old:
            pairs = zip(turns["ferlab"], turns["old"], strict=True)
            ratios[f"{name} per second: ferlab / old"] = statistics.median(new[name] / old[name] for new, old in pairs)
    for stage in turns["ferlab"][0]["stages"]:
        for side, measured in turns.items():
            rows[f"{stage}, ms: {side}"] = statistics.median(turn["stages"][stage] for turn in measured)
    return rows, ratios


def by_opencv(detector: str, photo: Path) -> Measured:
    """Measure `predict` and OpenCV's detector on the same array, in turns."""
    from ferlab import Predictor
    from ferlab.images.yunet import yunet_file

    image = cv2.resize(cv2.imread(str(photo)), ARRAY_SIZE, interpolation=cv2.INTER_AREA)
    predictor, network = Predictor("default", detector), cv2.FaceDetectorYN.create(str(yunet_file()), "", ARRAY_SIZE)
    sides: dict[str, Callable[[], object]] = {
        "predict": lambda: predictor.predict(image, channels="bgr"),
        "FaceDetectorYN": lambda: network.detect(image),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(30):
        for side, call in sides.items():
            call()
            for _ in range(3):
                started = time.perf_counter()
                call()
                seconds[side].append(time.perf_counter() - started)
    rows = {f"640x446 array, ms: {side}": 1000 * statistics.median(taken) for side, taken in seconds.items()}
    predicted, opencv = rows.values()
    return rows, {"640x446 array: predict / FaceDetectorYN": predicted / opencv}


def new_processes(arguments: argparse.Namespace, photo: Path, model: Path) -> Measured:
    """Measure the seconds from a new process to the prediction on one photograph."""
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


def by_keras(detector: str, model: Path, files: list[Path]) -> Measured:
    """Measure Keras, face by face, and `predict_files` on the same photographs in this process."""
    from ferlab import Predictor
    from ferlab.predict.batch import predict_files

    predictor, seconds = Predictor("default", detector), {}
    sides: dict[str, Callable[[list[Path]], object]] = {
        "ferlab": lambda files: list(predict_files(predictor, files)),
        "Keras": keras_loop(detector, model),
    }
    for side, predict in sides.items():
        predict(files[:20])
        started = time.perf_counter()
        predict(files)
        seconds[side] = time.perf_counter() - started
    rows = {"photos per second: Keras": len(files) / seconds["Keras"]}
    return rows, {"photos per second: ferlab / Keras": seconds["Keras"] / seconds["ferlab"]}


def keras_loop(detector: str, model: Path) -> Callable[[list[Path]], None]:
    """Return a function that predicts on photographs with Keras, face by face."""
    import keras

    from ferlab.images.crop import crop_face
    from ferlab.images.detectors import open_detector

    network, face_detector = keras.models.load_model(model, compile=False), open_detector(detector)

    def predict(files: list[Path]) -> None:
        for file in files:
            image = np.ascontiguousarray(cv2.imread(str(file))[..., ::-1])
            for face in face_detector.detect(image):
                network.predict(crop_face(image, face, 0.0)[None, ..., None], verbose=0)

    return predict


if __name__ == "__main__":
    main()
