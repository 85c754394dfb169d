"""`ferlab video`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from ferlab.progress import bar, console

if TYPE_CHECKING:
    from ferlab.predict.timeline import Timeline


def video(
    source: Annotated[str, typer.Argument(metavar="FILE|CAMERA", help="A film, or the number of a camera: 0, 1, ...")],
    model: PredictorOption = "default",
    detector: DetectorOption = "auto",
    detector_model: DetectorModelOption = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="Rows (.csv, .jsonl, .parquet) or a film with faces drawn in (.mp4); may be repeated."),
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", help="Look at one of N frames.", min=1)] = 1,
    fps: Annotated[float | None, typer.Option(help="Look at so many frames of a second at most.", min=0.001)] = None,
    smooth: Annotated[
        float, typer.Option(metavar="SECONDS", help="Average each face's probabilities over so long.", min=0)
    ] = 0.0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw emotions over time: .svg, .png or .html. Needs `ferlab[evaluate]`.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many.", min=0.001)] = None,
    min_confidence: MinConfidenceOption = 0.0,
    quiet: QuietOption = False,
) -> None:
    """Tell the emotions of all faces in a film or before a camera, frame by frame. Needs `ferlab[video]`.

        ferlab video talk.mp4 --fps 5 --smooth 0.5 --out talk.csv --out drawn.mp4 --plot talk.svg

    From a camera, until Ctrl-C:

        ferlab video 0 --out faces.csv

    Without `--out`, the rows are printed. A face keeps its number for as long as it is seen.
    """
    from ferlab.predict.video import predict_video, write_video
    from ferlab.predict.video_io import open_video

    predictor = ferlab.Predictor(model, detector, detector_model=detector_model)
    timeline = _timeline(plot, predictor.artifact.class_names) if plot else None
    with open_video(source) as film, bar("seconds", film.duration, quiet) as advance:
        frames = predict_video(predictor, film, every=every, fps=fps, smooth=smooth, seconds=seconds)
        last = 0.0

        def watch(rows: Sequence[Mapping[str, Any]]) -> None:
            nonlocal last
            if timeline:
                timeline.add(rows)
            advance(rows[0]["time_s"] - last)
            last = rows[0]["time_s"]

        counts = write_video(predictor, film, out or [], frames, min_confidence=min_confidence, watch=watch)
    if timeline and plot:
        from ferlab.predict.timeline import write_timeline

        write_timeline(timeline, plot)
    left_out = f", {counted(film.broken, 'damaged packet')} left out" if film.broken else ""
    dropped = f", {film.dropped:,} dropped" if film.dropped else ""
    stopped = "stopped: " if counts["interrupted"] else ""
    console().print(
        f"{stopped}{counted(counts['frames'], 'frame')} looked at{dropped}{left_out}: "
        f"{counted(counts['ok'] + counts['uncertain'], 'face')}, {counted(counts['no_face'], 'frame')} without one"
    )


def _timeline(plot: Path, class_names: Sequence[str]) -> "Timeline":
    from ferlab.predict.timeline import Timeline, check_plot

    check_plot(plot)
    return Timeline(class_names)
