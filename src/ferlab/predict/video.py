"""Emotions in films and before cameras."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ferlab.errors import OutputError
from ferlab.images.decode import DecodedImage
from ferlab.predict.annotate import annotated
from ferlab.predict.predictor import Predictor
from ferlab.predict.results import Face
from ferlab.predict.table import FORMATS, Row, RowWriter, face_row, open_writer
from ferlab.predict.tracking import Tracker
from ferlab.predict.video_io import Camera, Frame, VideoFile, VideoWriter

FILM = ".mp4"  # the suffix of films that are written


@dataclass(frozen=True, kw_only=True)
class FrameFaces:
    """A frame, and its faces by the numbers that they keep."""

    frame: Frame
    faces: dict[int, Face]


def predict_video(
    predictor: Predictor,
    film: VideoFile | Camera,
    *,
    every: int = 1,
    fps: float | None = None,
    smooth: float = 0.0,
    seconds: float | None = None,
) -> Iterator[FrameFaces]:
    """Tells the emotions of all faces in a film or before a camera. Few frames are in memory at a time.

    Args:
        predictor: finds and classifies.
        film: opened.
        every: look at one of so many frames.
        fps: look at no more than so many frames of a second.
        smooth: seconds over which each face's probabilities are averaged; 0 for not at all.
        seconds: stop at this time; None for the end of the film.

    Yields:
        Each frame that was looked at.

    Raises:
        DetectorError: if the detector cannot be had.
        VideoError: if the camera stops.
    """
    tracker, due = Tracker(smooth), 0
    for frame in film.frames():
        if seconds is not None and frame.seconds >= seconds:
            return
        turn = math.floor(frame.seconds * fps + 1e-6) if fps else due
        if frame.number % every or turn < due:
            continue
        due = turn + 1 if fps else 0
        [faces] = predictor.predict_batch([DecodedImage(pixels=frame.pixels)])
        yield FrameFaces(frame=frame, faces=tracker.update(faces, frame.seconds))


def frame_rows(source: str, found: FrameFaces, min_confidence: float = 0.0) -> list[Row]:
    """The rows of a frame, with `frame` and `time_s`: one for each face, or one with the status `no_face`."""
    rows = [face_row(source, number, face, min_confidence) for number, face in found.faces.items()]
    at = {"frame": found.frame.number, "time_s": round(found.frame.seconds, 4)}
    return [{**row, **at} for row in rows or [{"source": source, "status": "no_face"}]]


def write_video(
    predictor: Predictor,
    film: VideoFile | Camera,
    outs: Sequence[Path],
    frames: Iterator[FrameFaces],
    *,
    min_confidence: float = 0.0,
    watch: Callable[[Sequence[Row]], None] = lambda _: None,
) -> Counter[str]:
    """Writes the rows of a film and a copy with faces drawn in, as frames are looked at. Ctrl-C ends all files well.

    Args:
        predictor: that made `frames`.
        film: that they are of.
        outs: tables (`.csv`, `.jsonl`, `.parquet`) and films (`.mp4`); without any, rows are printed for people.
        frames: what `predict_video` gives.
        min_confidence: 0..1; faces below it get the status `uncertain`.
        watch: is handed the rows of each frame.

    Returns:
        How many `frames` were looked at, and how many rows there are of each status; `interrupted` is 1 after Ctrl-C.

    Raises:
        DetectorError, MissingExtraError, OutputError, VideoError: as what it calls.
    """
    counts: Counter[str] = Counter()
    names = predictor.artifact.class_names
    for path in outs:
        if path.suffix.lower().removeprefix(".") not in (*FORMATS, FILM.removeprefix(".")):
            raise OutputError(f"{path}: which form is it to have? Name it .{', .'.join(FORMATS)} or {FILM}.")
        if path.exists():
            raise OutputError(f"{path} is already there. Choose another --out.")
    with ExitStack() as stack:
        films = [stack.enter_context(VideoWriter(path)) for path in outs if path.suffix.lower() == FILM]
        tables = [path for path in outs if path.suffix.lower() != FILM]
        writers: list[RowWriter] = [stack.enter_context(open_writer(path, None, names)) for path in tables]
        if not outs:
            writers.append(stack.enter_context(open_writer(None, "table", names)))
        try:
            for found in frames:
                rows = frame_rows(film.name, found, min_confidence)
                for writer in writers:
                    writer.write(rows)
                for copy in films:
                    copy.write(annotated(found.frame.pixels, found.faces), found.frame.seconds)
                watch(rows)
                counts.update(["frames", *(row["status"] for row in rows)])
        except KeyboardInterrupt:
            counts["interrupted"] = 1
    return counts
