"""Predict on videos, image sequences and cameras, and write the results."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from ferlab.errors import OutputError, VideoError
from ferlab.files import remove_abandoned
from ferlab.predict.annotate import annotate_image
from ferlab.predict.predictor import Predictor
from ferlab.predict.results import Face
from ferlab.predict.table import Row, error_row, face_row
from ferlab.predict.table_files import FORMATS, open_writer
from ferlab.predict.tracking import Tracker
from ferlab.predict.video_source import Frame, VideoSource
from ferlab.predict.video_writer import VideoWriter

TABLE_SUFFIXES = tuple(f".{name}" for name in FORMATS)
VIDEO_SUFFIX = ".mp4"  # of annotated videos
MAX_STEM = 200  # bytes of the name of an annotated video; file systems allow 255 with number and suffix


@dataclass(frozen=True, kw_only=True)
class FrameFaces:
    """A video frame and its faces, by the numbers that they keep across frames."""

    frame: Frame
    faces: dict[int, Face]


def predict_video(
    predictor: Predictor,
    video: VideoSource,
    *,
    every: int = 1,
    fps: float | None = None,
    smooth: float = 0.0,
    seconds: float | None = None,
) -> Iterator[FrameFaces]:
    """Predict the emotions of all faces in a video. Memory use does not depend on its length.

    Args:
        predictor: the predictor.
        video: the opened video.
        every: process every n-th frame.
        fps: maximum number of frames to process per second of video; None for no limit.
        smooth: time constant, in seconds, of the moving average of each face's probabilities; 0 for no smoothing.
        seconds: time at which to stop; None for the end of the video.

    Yields:
        Each processed frame with its faces.

    Raises:
        DetectorError: if the detector is not available.
        VideoError: if the video cannot be read to its end, or the camera stops.
    """
    tracker, next_slot, size = Tracker(smooth), 0, None
    for frame in video.frames():
        if seconds is not None and frame.seconds >= seconds:
            return
        slot = math.floor(frame.seconds * fps + 1e-6) if fps else next_slot
        if frame.number % every or slot < next_slot:
            continue
        next_slot = slot + 1 if fps else 0
        height, width = frame.pixels.shape[:2]
        if size and size != (width, height):
            tracker.rescale(width / size[0], height / size[1])
        size = (width, height)
        prediction = predictor.predict(frame.pixels)
        yield FrameFaces(frame=frame, faces=tracker.update(prediction.faces, frame.seconds))


def frame_rows(source: str, result: FrameFaces, min_confidence: float = 0.0) -> list[Row]:
    """Return the rows of a frame, with `frame` and `time_s`: one per face, or one with the status `no_face`."""
    rows = [face_row(source, number, face, min_confidence) for number, face in result.faces.items()]
    position = {"frame": result.frame.number, "time_s": round(result.frame.seconds, 4)}
    return [{**row, **position} for row in rows or [{"source": source, "status": "no_face"}]]


class VideoOutputs:
    """The output files for the results of videos. Use it as a context manager.

    Args:
        outs: tables (`.csv`, `.jsonl`, `.parquet`) for the rows of all videos; an annotated video (`.mp4`); or folders,
            which are names without a suffix, for an annotated copy of each video. If empty, rows are printed.
        class_names: the class names of the model.
        num_videos: the number of videos.

    Attributes:
        errors: the errors of videos so far.

    Raises:
        MissingExtraError: if the library for an output is not installed.
        OutputError: if an output exists, has an unknown suffix, or cannot be written.
    """

    def __init__(self, outs: Sequence[Path], class_names: Sequence[str], num_videos: int = 1) -> None:
        self.errors: list[VideoError] = []
        self.num_videos, self.class_names = num_videos, tuple(class_names)
        self._outs, self._has_rows = tuple(outs), False
        self._copies = set[Path]()
        for path in outs:
            self._check(path)

    def _check(self, path: Path) -> None:
        remove_abandoned(path)
        if path.is_dir() and any(path.iterdir()):
            raise OutputError(f"The folder {path} is not empty. Choose another --out.")
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path} already exists. Choose another --out.")
        if path.suffix and path.suffix.lower() not in (*TABLE_SUFFIXES, VIDEO_SUFFIX):
            raise OutputError(
                f"{path}: the suffix does not name an output format. Use {', '.join(TABLE_SUFFIXES)}, "
                f"{VIDEO_SUFFIX}, or the name of a folder for annotated videos."
            )
        if path.suffix.lower() == VIDEO_SUFFIX and self.num_videos > 1:
            raise OutputError(f"{path} can hold one annotated video only. For several, pass a folder to --out.")

    def __enter__(self) -> "VideoOutputs":
        with ExitStack() as stack:
            files = [path for path in self._outs if path.suffix.lower() in TABLE_SUFFIXES]
            self._tables = [stack.enter_context(open_writer(path, None, self.class_names)) for path in files]
            if not self._outs:
                self._tables = [stack.enter_context(open_writer(None, "table", self.class_names))]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, rows: Sequence[Row]) -> None:
        """Write rows to all tables.

        Raises:
            OutputError: if a file cannot be written.
        """
        self._has_rows = True
        for table in self._tables:
            table.write(rows)

    def write_error(self, source: str, error: VideoError) -> None:
        """Write a row with the status `error` for a video that cannot be read, or not to its end.

        Raises:
            VideoError: if this row would be the only one of a single video.
        """
        if self.num_videos == 1 and not self._has_rows:
            raise error
        self.errors.append(error)
        self.write([error_row(source, str(error))])

    def open_copies(self, source: str) -> list[VideoWriter]:
        """Return writers for the annotated copies of a video."""
        outs = [path for path in self._outs if path.suffix.lower() not in TABLE_SUFFIXES]
        return [VideoWriter(path if path.suffix else path / self._file_name(path, source)) for path in outs]

    def _file_name(self, folder: Path, source: str) -> str:
        """Name an annotated copy after its source, with a number if another video has the same name."""
        path = Path(urlsplit(source).path if "://" in source else source)
        name = path.name or path.resolve().name or "video"  # `.` has no name
        stem = re.sub(r"[^\w. -]", "_", name).removesuffix(VIDEO_SUFFIX).encode()[:MAX_STEM].decode(errors="ignore")
        names = (f"{stem}{number}{VIDEO_SUFFIX}" for number in chain([""], (f"-{number}" for number in count(2))))
        name = next(name for name in names if folder / name not in self._copies)
        self._copies.add(folder / name)
        return name


def write_video(
    video: VideoSource,
    frames: Iterator[FrameFaces],
    outputs: VideoOutputs,
    *,
    min_confidence: float = 0.0,
    on_rows: Callable[[Sequence[Row]], None] = lambda _: None,
) -> Counter[str]:
    """Write the rows and annotated copies of a video as its frames are processed.

    After Ctrl-C, or if the video cannot be read to its end, the files contain the frames up to there.

    Args:
        video: the video that `frames` belong to.
        frames: the result of `predict_video`.
        outputs: the output files.
        min_confidence: threshold, 0..1; faces below it get the status `uncertain`.
        on_rows: called with the rows of each frame.

    Returns:
        The number of processed `frames` and the number of rows with each status; `interrupted` is 1 after Ctrl-C.

    Raises:
        DetectorError: if the detector is not available.
        OutputError: if a file cannot be written.
        VideoError: if no frame of a single video can be read.
    """
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        copies = [stack.enter_context(copy) for copy in outputs.open_copies(video.name)]
        try:
            for result in frames:
                rows = frame_rows(video.name, result, min_confidence)
                outputs.write(rows)
                for copy in copies:
                    copy.write(annotate_image(result.frame.pixels, result.faces), result.frame.seconds)
                on_rows(rows)
                counts.update(["frames", *(row["status"] for row in rows)])
        except KeyboardInterrupt:
            counts["interrupted"] = 1
        except VideoError as error:
            outputs.write_error(video.name, error)
        for copy in copies:
            copy.extend(video.position)
    return counts
