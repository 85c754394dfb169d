"""Memory use of long jobs: many images, and a long video. Resident memory must not grow.

The video is synthetic: a photograph moves over gray noise at a low frame rate, so that one hour is processed in
minutes. Resident memory is read after each tenth of a job. The ratio compares the last tenth with the second one,
because during the first one libraries allocate memory that they keep.

    python benchmarks/memory.py --photos folder --images 10000 --minutes 60 --json memory.json
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import report

from ferlab import Predictor
from ferlab.images.decode import read_image
from ferlab.predict.batch import write_predictions
from ferlab.predict.table_files import open_writer
from ferlab.predict.timeline import Timeline
from ferlab.predict.video import VideoOutputs, predict_video, write_video
from ferlab.predict.video_file import VideoFile
from ferlab.predict.video_writer import VideoWriter

FPS = 4  # frames per second of the video
SIZE = (240, 320)  # height and width of its frames, in pixels


def main() -> None:
    """Parse the arguments, run both jobs, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs, repeated as often as needed")
    parser.add_argument("--images", type=int, default=10_000, help="number of images (default: 10000)")
    parser.add_argument("--minutes", type=float, default=60, help="length of the video (default: 60)")
    parser.add_argument("--detector", default="yunet", choices=("yunet", "haar"))
    parser.add_argument("--json", type=Path, help="output JSON file")
    arguments = parser.parse_args()
    photos = sorted(arguments.photos.glob("*.jpg"))
    predictor = Predictor("default", arguments.detector)
    with tempfile.TemporaryDirectory() as name:
        jobs = {
            "images": image_job(predictor, photos, arguments.images, Path(name)),
            "video": video_job(predictor, photos[0], arguments.minutes, Path(name)),
        }
    rows = {
        f"{job}, after {share} %, MB": megabytes
        for job, measured in jobs.items()
        for share, megabytes in zip(range(10, 101, 10), measured, strict=True)
    }
    ratios = {f"{job}: last / second tenth": measured[-1] / measured[1] for job, measured in jobs.items()}
    report("memory", rows, "MB", ratios, arguments.json)


def image_job(predictor: Predictor, photos: list[Path], number: int, folder: Path) -> list[float]:
    """Write the rows of many images. Returns the resident megabytes after each tenth of the job."""
    files: dict[Path, Path] = {}
    for index, photo in zip(range(number), itertools.cycle(photos), strict=False):
        link = folder / f"{index:06}.jpg"
        link.symlink_to(photo.resolve())
        files[link] = Path(link.name)
    measured: list[float] = []
    done = itertools.count(1)

    def advance(_: float) -> None:
        if next(done) * 10 % number == 0:
            measured.append(resident_megabytes())

    with open_writer(folder / "faces.csv", None, predictor.artifact.class_names) as writer:
        write_predictions(predictor, files, writer, advance=advance)
    return measured


def video_job(predictor: Predictor, photo: Path, minutes: float, folder: Path) -> list[float]:
    """Write the rows, an annotated video and a timeline. Returns the resident megabytes after each tenth of the job."""
    total = round(minutes * 60 * FPS) // 10 * 10
    with VideoWriter(folder / "video.mp4") as writer:
        for number, frame in enumerate(synthetic_frames(photo, total)):
            writer.write(frame, number / FPS)
    measured: list[float] = []
    frames, timeline = itertools.count(1), Timeline(predictor.artifact.class_names)

    def on_rows(rows: Sequence[Mapping[str, Any]]) -> None:
        timeline.add(rows)
        if next(frames) * 10 % total == 0:
            measured.append(resident_megabytes())

    outs = [folder / "rows.parquet", folder / "annotated.mp4"]
    with (
        VideoFile(folder / "video.mp4") as video,
        VideoOutputs(outs, predictor.artifact.class_names) as outputs,
    ):
        write_video(video, predict_video(predictor, video, smooth=1.0), outputs, on_rows=on_rows)
    return measured


def synthetic_frames(photo: Path, total: int) -> Iterator[np.ndarray]:
    """Yield frames `(240, 320, 3)` uint8 in which a photograph moves over noise."""
    import cv2

    height, width = SIZE
    small = cv2.resize(read_image(photo).pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    generator = np.random.default_rng(0)
    for number in range(total):
        frame = generator.integers(96, 160, (height, width, 1), dtype=np.uint8).repeat(3, axis=2)
        left, top = round(80 + 70 * np.sin(number / 40)), round(60 + 50 * np.cos(number / 31))
        frame[top : top + small.shape[0], left : left + small.shape[1]] = small
        yield frame


def resident_megabytes() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()
