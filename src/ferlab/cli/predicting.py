"""Commands that take trained models to where they are used."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import ferlab
from ferlab.cli.options import (
    CacheOption,
    DataOption,
    DetectorModelOption,
    DetectorOption,
    ExcludeOption,
    FacesOption,
    JsonOption,
    MinConfidenceOption,
    PluginOption,
    PredictorOption,
    QuietOption,
    SkipBadOption,
    load,
    load_plugins,
    stop,
)
from ferlab.progress import bar, console
from ferlab.runs import SCHEMA
from ferlab.wording import duration

if TYPE_CHECKING:
    from ferlab.report.timeline import Timeline


def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Pictures, folders, or patterns as 'a/*.jpg'.")],
    model: PredictorOption = "default",
    detector: DetectorOption = "auto",
    detector_model: DetectorModelOption = None,
    form: Annotated[
        Literal["table", "csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="Form of the rows. [default: by the name of --out; without that, `table`]"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File of the rows. [default: standard output]")] = None,
    annotate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write copies of the pictures, with faces and emotions drawn in.")
    ] = None,
    min_confidence: MinConfidenceOption = 0.0,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders in folders too.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with --out: leave out pictures that it has.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if a picture could not be read.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Tell the emotions of all faces in pictures.

        ferlab predict photo.jpg

    A folder of any size, as a table for other programs; an interrupted job goes on with `--resume`:

        ferlab predict photos --recursive --out faces.csv --annotate drawn
    """
    from ferlab.predict.jobs import list_pictures, write_predictions
    from ferlab.predict.table import open_writer

    files = list_pictures(paths, recursive=recursive)
    predictor = ferlab.Predictor(model, detector, detector_model=detector_model)
    started = time.monotonic()
    try:
        with open_writer(out, form, predictor.artefact.class_names, resume=resume) as writer:
            left = len(files.keys() - {Path(source) for source in writer.done})
            with bar("pictures", left, quiet) as advance:
                counts = write_predictions(
                    predictor, files, writer, min_confidence=min_confidence, annotate=annotate, advance=advance
                )
    except KeyboardInterrupt:
        stop("Interrupted." + (f" Go on with the same command and --resume; {out} keeps what is done." if out else ""))
    before = f"; {len(files) - left:,} were done before" if left < len(files) else ""
    console().print(
        f"{left:,} pictures in {duration(time.monotonic() - started)}: {counts['ok'] + counts['uncertain']:,} faces, "
        f"{counts['no_face']:,} pictures without one, {counts['error']:,} that cannot be read{before}"
    )
    if strict and counts["error"]:
        raise typer.Exit(1)


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
    seconds: Annotated[float | None, typer.Option(help="Stop after so many.", min=0)] = None,
    min_confidence: MinConfidenceOption = 0.0,
    quiet: QuietOption = False,
) -> None:
    """Tell the emotions of all faces in a film or before a camera, frame by frame. Needs `ferlab[video]`.

        ferlab video talk.mp4 --fps 5 --smooth 0.5 --out talk.csv --out drawn.mp4 --plot talk.svg

    From a camera, until Ctrl-C:

        ferlab video 0 --out faces.csv

    Without `--out`, the rows are printed. A face keeps its number for as long as it is seen.
    """
    from ferlab.predict.films import open_film
    from ferlab.predict.video import predict_video, write_video

    predictor = ferlab.Predictor(model, detector, detector_model=detector_model)
    timeline = _timeline(plot, predictor.artefact.class_names) if plot else None
    with open_film(source) as film, bar("seconds", film.duration, quiet) as advance:
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
        from ferlab.report.timeline import write_timeline

        write_timeline(timeline, plot)
    left_out = f", {film.broken:,} damaged packets left out" if film.broken else ""
    dropped = f", {film.dropped:,} dropped" if film.dropped else ""
    console().print(
        f"{'stopped: ' if counts['interrupted'] else ''}{counts['frames']:,} frames looked at{dropped}{left_out}: "
        f"{counts['ok'] + counts['uncertain']:,} faces, {counts['no_face']:,} frames without one"
    )


def _timeline(plot: Path, class_names: Sequence[str]) -> "Timeline":
    from ferlab.report.timeline import Timeline, check_plot

    check_plot(plot)
    return Timeline(class_names)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The .onnx file.")],
    quantize: Annotated[
        Literal["none", "float16", "int8"],
        typer.Option(help="Smaller files: weights in 16 bits, or weights and activations in 8."),
    ] = "none",
    json_: JsonOption = False,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
) -> None:
    """Make one ONNX file of a run, which predicts without Keras and says all about itself.

        ferlab export runs/fernet_s --data fer2013.zip --quantize int8 --out fernet_s.onnx

    Its probabilities are calibrated on PublicTest, and its answers compared with the Keras model's there: where they
    differ too much, there is no file.
    """
    from ferlab.export import export as write_artefact

    load_plugins(plugin)
    parity = write_artefact(run, load(data, skip_bad, cache, faces, exclude), out, quantize=quantize)
    if json_:
        print(json.dumps({"schema": SCHEMA, "file": str(out), "quantize": quantize, **vars(parity)}))
        return
    print(
        f"{out}: {out.stat().st_size / 1e6:.2f} MB, accuracy {100 * parity.accuracy:.2f} % on {parity.images:,} images"
    )
    print(
        f"Keras: {100 * parity.keras_accuracy:.2f} %; {100 * parity.changed:.2f} % of the classes differ, "
        f"probabilities by up to {parity.largest_difference:.2g}"
    )
