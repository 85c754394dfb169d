"""`ferlab video`."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.options import (
    ClassPriorOption,
    DetectorModelOption,
    DetectorOption,
    MaxFacesOption,
    MinConfidenceOption,
    PredictorOption,
    QuietOption,
    SearchSizeOption,
    parse_prior,
)
from ferlab.errors import VideoError
from ferlab.formatting import counted
from ferlab.images.detection import SEARCH_SIZE
from ferlab.predict.image_sequence import DEFAULT_RATE
from ferlab.predict.packaged import DEFAULT_MODEL
from ferlab.predict.table import Row
from ferlab.predict.timeline import Timeline, check_plot, write_timeline
from ferlab.predict.video import VideoOutputs, predict_video, write_video
from ferlab.predict.video_input import open_video
from ferlab.predict.video_source import VideoSource
from ferlab.progress import bar, console


def video(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Videos, URLs, animated images, folders of frames, patterns such as `frame_%04d.png`, or the "
            "number of a camera: 0, 1, ...",
        ),
    ],
    model: PredictorOption = DEFAULT_MODEL,
    detector: DetectorOption = "auto",
    detector_model: DetectorModelOption = None,
    search_size: SearchSizeOption = SEARCH_SIZE,
    max_faces: MaxFacesOption = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            help="Output table (.csv, .jsonl, .parquet), annotated video (.mp4), or folder for annotated videos; may "
            "be repeated."
        ),
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", help="Process every N-th frame.", min=1)] = 1,
    fps: Annotated[
        float | None, typer.Option(help="Maximum number of frames to process per second of video.", min=0.001, max=1e6)
    ] = None,
    smooth: Annotated[float, typer.Option(metavar="SECONDS", help="Smoothing window in seconds.", min=0)] = 0.0,
    plot: Annotated[
        Path | None,
        typer.Option(help="Output plot of emotions over time: .svg, .png or .html. Needs `ferlab[evaluate]`."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after this many seconds.", min=0.001)] = None,
    frame_rate: Annotated[
        float, typer.Option(help="Frame rate of a folder or pattern of frames.", min=0.001)
    ] = DEFAULT_RATE,
    min_confidence: MinConfidenceOption = 0.0,
    class_prior: ClassPriorOption = None,
    quiet: QuietOption = False,
) -> None:
    """Predict the emotions of all faces in a video or camera stream. Needs `ferlab[video]`.

    For example:

        ferlab video talk.mp4 --fps 5 --smooth 0.5 --out talk.csv --out annotated.mp4 --plot talk.svg

    Process several videos into one table, with annotated copies in a folder:

        ferlab video a.mp4 b.mp4 --out faces.csv --out annotated

    Process a camera until Ctrl-C:

        ferlab video 0 --out faces.csv

    Without `--out`, the rows are printed. A face keeps its number while it is visible.
    """
    sources = list(dict.fromkeys(sources))
    if plot and len(sources) > 1:
        raise typer.BadParameter("it shows one video only. Pass one video.", param_hint="--plot")
    predictor = ferlab.Predictor(
        model,
        detector,
        detector_model=detector_model,
        search_size=search_size,
        max_faces=max_faces,
        class_prior=parse_prior(class_prior),
    )
    class_names = predictor.artifact.class_names
    timeline = _timeline(plot, class_names) if plot else None
    counts: Counter[str] = Counter()
    with VideoOutputs(out or [], class_names, len(sources)) as outputs:
        for source in sources:
            try:
                opened = open_video(source, frame_rate=frame_rate)
            except VideoError as error:
                outputs.write_error(source, error)
                continue
            except KeyboardInterrupt:
                if not counts["frames"]:
                    raise
                counts["interrupted"] = 1
                break
            with opened, _advance(opened, timeline, quiet) as on_rows:
                frames = predict_video(predictor, opened, every=every, fps=fps, smooth=smooth, seconds=seconds)
                counts += write_video(opened, frames, outputs, min_confidence=min_confidence, on_rows=on_rows)
            counts += Counter(corrupt=opened.corrupt_packets, dropped=opened.dropped_frames)
            if counts["interrupted"]:
                break
    if timeline and plot:
        write_timeline(timeline, plot)
    console().print(_summary(counts))
    for message in outputs.errors:
        console().print(f"error: {message}")
    if outputs.errors:
        raise typer.Exit(1)


@contextmanager
def _advance(opened: VideoSource, timeline: Timeline | None, quiet: bool) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Show progress. Yields a function that takes the rows of each frame."""
    last = 0.0

    def on_rows(rows: Sequence[Row]) -> None:
        nonlocal last
        if timeline:
            timeline.add(rows)
        advance(rows[0]["time_s"] - last)
        last = rows[0]["time_s"]

    with bar("seconds", opened.duration, quiet) as advance:
        yield on_rows


def _timeline(plot: Path, class_names: Sequence[str]) -> Timeline:
    check_plot(plot)
    return Timeline(class_names)


def _summary(counts: Counter[str]) -> str:
    corrupt = f", {counted(counts['corrupt'], 'corrupt packet')}" if counts["corrupt"] else ""
    dropped = f", {counts['dropped']:,} dropped" if counts["dropped"] else ""
    return (
        f"{'interrupted: ' if counts['interrupted'] else ''}{counted(counts['frames'], 'frame')} processed"
        f"{dropped}{corrupt}: {counted(counts['ok'] + counts['uncertain'], 'face')}, "
        f"{counted(counts['no_face'], 'frame')} without a face"
    )
