"""Measure one version of ferlab in a process of its own, for `predict.py`. Prints one JSON object.

    PYTHONPATH=src python benchmarks/predict_worker.py yunet video.mp4 photo.jpg ...

The stages of a photograph are measured one after the other on one thread, in processor time.
"""

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from ferlab import Predictor
from ferlab.images.crop import crop_face
from ferlab.images.decode import read_image
from ferlab.predict.batch import predict_files
from ferlab.predict.video import predict_video

try:
    from ferlab.predict.video_file import VideoFile
except ImportError:  # an older version
    from ferlab.predict.video_io import VideoFile

STAGES = ("decode", "detect", "crop", "classify")
OLD_DECODED_SIDE = 1280  # pixels, in versions without a search size
STAGE_PHOTOS = 50
WARM_UP = 20


def main() -> None:
    """Measure photographs, a video and stages."""
    detector, video, *photos = sys.argv[1:]
    files, predictor = list(map(Path, photos)), Predictor("default", detector)
    result = {
        "photos": photos_per_second(predictor, files),
        "frames": frames_per_second(predictor, Path(video)),
        "stages": stages(Predictor("default", detector, threads=1), files[:STAGE_PHOTOS]),
    }
    print(json.dumps(result))


def photos_per_second(predictor: Predictor, files: list[Path]) -> float:
    """Return the throughput of `predict_files`, after a warm-up."""
    list(predict_files(predictor, files[:WARM_UP]))
    started = time.perf_counter()
    faces = sum(len(result) for _, result in predict_files(predictor, files) if not isinstance(result, Exception))
    assert faces >= len(files) / 2, "too few faces were found"
    return len(files) / (time.perf_counter() - started)


def frames_per_second(predictor: Predictor, path: Path) -> float:
    """Return the throughput of `predict_video`."""
    started = time.perf_counter()
    with VideoFile(path) as video:
        frames = sum(1 for _ in predict_video(predictor, video))
    return frames / (time.perf_counter() - started)


def stages(predictor: Predictor, files: list[Path]) -> dict[str, float]:
    """Return the milliseconds of processor time per photograph in each stage, on one thread."""
    cv2.setNumThreads(1)
    spent, crops = np.zeros(4), []
    decoded_side = getattr(predictor, "search_size", OLD_DECODED_SIDE)
    for file in files:
        times = [time.thread_time()]
        image = read_image(file, sufficient_side=decoded_side)
        times.append(time.thread_time())
        detections = predictor.detector.detect(image.pixels)
        times.append(time.thread_time())
        crops += [crop_face(image.pixels, face, 0.0) for face in detections]
        times.append(time.thread_time())
        spent[:3] += np.diff(times)
    started = time.thread_time()
    predictor.classify(crops)
    spent[3] = time.thread_time() - started
    return dict(zip(STAGES, (1000 * spent / len(files)).tolist(), strict=True))


if __name__ == "__main__":
    main()
