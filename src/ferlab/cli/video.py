"""`ferlab video`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import ferlab
from ferlab.cli.options import (
    DetectorModelOption,
    DetectorOption,
    MinConfidenceOption,
    PredictorOption,
    QuietOption,
)
from ferlab.formatting import counted
from ferlab.predict.timeline import Timeline, check_plot, write_timeline
from ferlab.predict.video import predict_video, write_video
from ferlab.predict.video_io import VideoSource, open_video
from ferlab.progress import bar, console


def video(
    source: Annotated[
        str, typer.Argument(metavar="FILE|CAMERA", help="A video file, or the number of a camera: 0, 1, ...")
    ],
    model: PredictorOption = "default",
    detector: DetectorOption = "auto",
    detector_model: DetectorModelOption = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Output table (.csv, .jsonl, .parquet) or annotated video (.mp4); may be repeated."),
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", help="Process every N-th frame.", min=1)] = 1,
    fps: Annotated[
        float | None, typer.Option(help="Maximum number of frames to process per second of video.", min=0.001)
    ] = None,
    smooth: Annotated[float, typer.Option(metavar="SECONDS", help="Smoothing window in seconds.", min=0)] = 0.0,
    plot: Annotated[
        Path | None,
        typer.Option(help="Output plot of emotions over time: .svg, .png or .html. Needs `ferlab[evaluate]`."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after this many seconds.", min=0.001)] = None,
    min_confidence: MinConfidenceOption = 0.0,
    quiet: QuietOption = False,
) -> None:
    """Predict the emotions of all faces in a video or camera stream. Needs `ferlab[video]`.

    For example:

        ferlab video talk.mp4 --fps 5 --smooth 0.5 --out talk.csv --out annotated.mp4 --plot talk.svg

    Process a camera until Ctrl-C:

        ferlab video 0 --out faces.csv

    Without `--out`, the rows are printed. A face keeps its number while it is visible.
    """
    predictor = ferlab.Predictor(model, detector, detector_model=detector_model)
    timeline = _timeline(plot, predictor.artifact.class_names) if plot else None
    with open_video(source) as opened, bar("seconds", opened.duration, quiet) as advance:
        frames = predict_video(predictor, opened, every=every, fps=fps, smooth=smooth, seconds=seconds)
        last = 0.0

        def on_rows(rows: Sequence[Mapping[str, Any]]) -> None:
            nonlocal last
            if timeline:
                timeline.add(rows)
            advance(rows[0]["time_s"] - last)
            last = rows[0]["time_s"]

        counts = write_video(predictor, opened, out or [], frames, min_confidence=min_confidence, on_rows=on_rows)
    if timeline and plot:
        write_timeline(timeline, plot)
    console().print(_summary(counts, opened))


def _timeline(plot: Path, class_names: Sequence[str]) -> Timeline:
    check_plot(plot)
    return Timeline(class_names)


def _summary(counts: Counter[str], source: VideoSource) -> str:
    corrupt = f", {counted(source.corrupt_packets, 'corrupt packet')} skipped" if source.corrupt_packets else ""
    dropped = f", {source.dropped_frames:,} dropped" if source.dropped_frames else ""
    return (
        f"{'interrupted: ' if counts['interrupted'] else ''}{counted(counts['frames'], 'frame')} processed"
        f"{dropped}{corrupt}: {counted(counts['ok'] + counts['uncertain'], 'face')}, "
        f"{counted(counts['no_face'], 'frame')} without a face"
    )
