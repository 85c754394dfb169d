"""Memory over long jobs: many pictures, and an hour of film. What is resident must not grow.

The film is made first: gray noise with a photograph moving through it, at few frames a second, so that an hour takes
minutes. Resident memory is read after each tenth of a job; the ratio is that of the last tenth to the second one, for
during the first one libraries allocate what they keep.

    python benchmarks/memory.py --photos folder --pictures 10000 --minutes 60 --json memory.json
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from machine import report

from ferlab import Predictor
from ferlab.images.decode import read_image
from ferlab.predict.batch import write_predictions
from ferlab.predict.table import open_writer
from ferlab.predict.timeline import Timeline
from ferlab.predict.video import predict_video, write_video
from ferlab.predict.video_io import VideoFile, VideoWriter

FPS = 4  # frames a second of the film
SIZE = (240, 320)  # pixels of its frames


def main() -> None:
    """Parses the arguments, runs both jobs, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs, repeated as often as needed")
    parser.add_argument("--pictures", type=int, default=10_000, help="(default: 10000)")
    parser.add_argument("--minutes", type=float, default=60, help="of film (default: 60)")
    parser.add_argument("--detector", default="yunet", choices=("yunet", "haar"))
    parser.add_argument("--json", type=Path, help="write the result here as well")
    arguments = parser.parse_args()
    photos = sorted(arguments.photos.glob("*.jpg"))
    predictor = Predictor("default", arguments.detector)
    with tempfile.TemporaryDirectory() as name:
        pictures = watch_pictures(predictor, photos, arguments.pictures, Path(name))
        film = watch_film(predictor, photos[0], arguments.minutes, Path(name))
    rows = {
        f"{job}, after {share} %, MB": megabytes
        for job, marks in (("pictures", pictures), ("film", film))
        for share, megabytes in zip(range(10, 101, 10), marks, strict=True)
    }
    jobs = {"pictures": pictures, "film": film}
    ratios = {f"{job}: last / second tenth": marks[-1] / marks[1] for job, marks in jobs.items()}
    report("memory", rows, "MB", ratios, arguments.json)


def watch_pictures(predictor: Predictor, photos: list[Path], number: int, folder: Path) -> list[float]:
    """Megabytes after each tenth of a job that writes rows of pictures. Each is another file, by a link."""
    files: dict[Path, Path] = {}
    for index, photo in zip(range(number), itertools.cycle(photos), strict=False):
        link = folder / f"{index:06}.jpg"
        link.symlink_to(photo.resolve())
        files[link] = Path(link.name)
    marks: list[float] = []
    done = itertools.count(1)

    def advance(_: float) -> None:
        if next(done) * 10 % number == 0:
            marks.append(resident_megabytes())

    with open_writer(folder / "faces.csv", None, predictor.artifact.class_names) as writer:
        write_predictions(predictor, files, writer, advance=advance)
    return marks


def watch_film(predictor: Predictor, photo: Path, minutes: float, folder: Path) -> list[float]:
    """Megabytes after each tenth of a job that writes rows, an annotated film and a timeline."""
    total = round(minutes * 60 * FPS) // 10 * 10
    with VideoWriter(folder / "film.mp4") as writer:
        for number, frame in enumerate(synthetic_frames(photo, total)):
            writer.write(frame, number / FPS)
    marks: list[float] = []
    frames, timeline = itertools.count(1), Timeline(predictor.artifact.class_names)

    def watch(rows: object) -> None:
        timeline.add(rows)  # type: ignore[arg-type]
        if next(frames) * 10 % total == 0:
            marks.append(resident_megabytes())

    with VideoFile(folder / "film.mp4") as film:
        outs = [folder / "rows.parquet", folder / "drawn.mp4"]
        write_video(predictor, film, outs, predict_video(predictor, film, smooth=1.0), watch=watch)
    return marks


def synthetic_frames(photo: Path, total: int) -> Iterator[np.ndarray]:
    """A photograph that wanders over noise."""
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
    """What this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()
