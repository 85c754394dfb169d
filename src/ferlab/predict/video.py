"""Predict on video files and cameras."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ferlab.errors import OutputError
from ferlab.predict.annotate import annotate_image
from ferlab.predict.predictor import Predictor
from ferlab.predict.results import Face
from ferlab.predict.table import FORMATS, Row, RowWriter, face_row, open_writer
from ferlab.predict.tracking import Tracker
from ferlab.predict.video_io import Frame, VideoSource, VideoWriter

VIDEO_SUFFIX = ".mp4"  # of annotated videos


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
        video: an opened video file or camera.
        every: process every n-th frame.
        fps: maximum number of frames to process per second of video; None for no limit.
        smooth: time constant, in seconds, of the moving average of each face's probabilities; 0 for no smoothing.
        seconds: time at which to stop; None for the end of the video.

    Yields:
        Each processed frame with its faces.

    Raises:
        DetectorError: if the detector is not available.
        VideoError: if the video cannot be decoded, or the camera stops.
    """
    tracker, next_slot = Tracker(smooth), 0
    for frame in video.frames():
        if seconds is not None and frame.seconds >= seconds:
            return
        slot = math.floor(frame.seconds * fps + 1e-6) if fps else next_slot
        if frame.number % every or slot < next_slot:
            continue
        next_slot = slot + 1 if fps else 0
        prediction = predictor.predict(frame.pixels)
        yield FrameFaces(frame=frame, faces=tracker.update(prediction.faces, frame.seconds))


def frame_rows(source: str, result: FrameFaces, min_confidence: float = 0.0) -> list[Row]:
    """Return the rows of a frame, with `frame` and `time_s`: one per face, or one with the status `no_face`."""
    rows = [face_row(source, number, face, min_confidence) for number, face in result.faces.items()]
    position = {"frame": result.frame.number, "time_s": round(result.frame.seconds, 4)}
    return [{**row, **position} for row in rows or [{"source": source, "status": "no_face"}]]


def write_video(
    predictor: Predictor,
    video: VideoSource,
    outs: Sequence[Path],
    frames: Iterator[FrameFaces],
    *,
    min_confidence: float = 0.0,
    on_rows: Callable[[Sequence[Row]], None] = lambda _: None,
) -> Counter[str]:
    """Write the rows and annotated copies of a video as its frames are processed. Ctrl-C completes all files.

    Args:
        predictor: the predictor that produces `frames`.
        video: the video that `frames` belong to.
        outs: tables (`.csv`, `.jsonl`, `.parquet`) and annotated videos (`.mp4`); if empty, rows are printed.
        frames: the result of `predict_video`.
        min_confidence: threshold, 0..1; faces below it get the status `uncertain`.
        on_rows: called with the rows of each frame.

    Returns:
        The number of processed `frames` and the number of rows with each status; `interrupted` is 1 after Ctrl-C.

    Raises:
        DetectorError: if the detector is not available.
        MissingExtraError: if the library for an output is not installed.
        OutputError: if an output exists, has an unknown suffix, or cannot be written.
        VideoError: if the video cannot be decoded, or the camera stops.
    """
    _check_outputs(outs)
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        copies = [stack.enter_context(VideoWriter(path)) for path in outs if path.suffix.lower() == VIDEO_SUFFIX]
        tables = [stack.enter_context(writer) for writer in _open_tables(outs, predictor.artifact.class_names)]
        try:
            for result in frames:
                rows = frame_rows(video.name, result, min_confidence)
                for table in tables:
                    table.write(rows)
                for copy in copies:
                    copy.write(annotate_image(result.frame.pixels, result.faces), result.frame.seconds)
                on_rows(rows)
                counts.update(["frames", *(row["status"] for row in rows)])
        except KeyboardInterrupt:
            counts["interrupted"] = 1
    return counts


def _check_outputs(outs: Sequence[Path]) -> None:
    for path in outs:
        if path.suffix.lower().removeprefix(".") not in (*FORMATS, VIDEO_SUFFIX.removeprefix(".")):
            raise OutputError(
                f"{path}: the suffix does not name an output format. Use .{', .'.join(FORMATS)} or {VIDEO_SUFFIX}."
            )
        if path.exists():
            raise OutputError(f"{path} already exists. Choose another --out.")


def _open_tables(outs: Sequence[Path], class_names: Sequence[str]) -> Iterator[RowWriter]:
    for path in outs:
        if path.suffix.lower() != VIDEO_SUFFIX:
            yield open_writer(path, None, class_names)
    if not outs:
        yield open_writer(None, "table", class_names)
