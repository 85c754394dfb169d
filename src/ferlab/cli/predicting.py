"""Commands that take trained models to where they are used."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import ferlab
from ferlab import tables
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
from ferlab.wording import counted, duration

if TYPE_CHECKING:
    from ferlab.report.timeline import Timeline


OutOption = Annotated[Path, typer.Option(help="The file: .onnx, or .tflite for LiteRT.")]
FormatOption = Annotated[
    Literal["onnx", "litert"] | None,
    typer.Option(help="`onnx` or `litert` (TensorFlow Lite); the file's name tells it where this does not."),
]
QuantizeOption = Annotated[
    Literal["none", "float16", "int8"],
    typer.Option(help="Smaller files: weights in 16 bits, or weights and activations in 8."),
]


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

    files = list_pictures(paths, recursive=recursive, drawn=annotate)
    predictor = ferlab.Predictor(model, detector, detector_model=detector_model)
    started = time.monotonic()
    try:
        again = set(map(str, files)) if resume else None
        with open_writer(out, form, predictor.artefact.class_names, resume=again) as writer:
            left = len(files.keys() - {Path(source) for source in writer.done})
            with bar("pictures", left, quiet) as advance:
                counts = write_predictions(
                    predictor, files, writer, min_confidence=min_confidence, annotate=annotate, advance=advance
                )
    except KeyboardInterrupt:
        stop("Interrupted." + (f" Go on with the same command and --resume; {out} keeps what is done." if out else ""))
    before = f"; {len(files) - left:,} were done before" if left < len(files) else ""
    console().print(
        f"{counted(left, 'picture')} in {duration(time.monotonic() - started)}: "
        f"{counted(counts['ok'] + counts['uncertain'], 'face')}, {counted(counts['no_face'], 'picture')} without one, "
        f"{counts['error']:,} that cannot be read{before}"
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
    left_out = f", {counted(film.broken, 'damaged packet')} left out" if film.broken else ""
    dropped = f", {film.dropped:,} dropped" if film.dropped else ""
    stopped = "stopped: " if counts["interrupted"] else ""
    console().print(
        f"{stopped}{counted(counts['frames'], 'frame')} looked at{dropped}{left_out}: "
        f"{counted(counts['ok'] + counts['uncertain'], 'face')}, {counted(counts['no_face'], 'frame')} without one"
    )


def _timeline(plot: Path, class_names: Sequence[str]) -> "Timeline":
    from ferlab.report.timeline import Timeline, check_plot

    check_plot(plot)
    return Timeline(class_names)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    data: DataOption,
    out: OutOption,
    format: FormatOption = None,
    quantize: QuantizeOption = "none",
    json_: JsonOption = False,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
) -> None:
    """Make one file of a run, ONNX or LiteRT, which predicts without Keras and says all about itself.

        ferlab export runs/fernet_s --data fer2013.zip --quantize int8 --out fernet_s.onnx
        ferlab export runs/fernet_s --data fer2013.zip --format litert --out fernet_s.tflite

    Its probabilities are calibrated on PublicTest, and its answers compared with the Keras model's there, one by one,
    in batches of 8, and on the whole split: where they differ too much, there is no file.
    """
    from ferlab.export import export as write_artefact

    load_plugins(plugin)
    dataset = load(data, skip_bad, cache, faces, exclude)
    parity = write_artefact(run, dataset, out, format=format, quantize=quantize)
    result = {"file": str(out), "bytes": out.stat().st_size, "quantize": quantize, **asdict(parity)}
    if json_:
        print(json.dumps({"schema": SCHEMA, **result}))
        return
    tables.print_parity(result)


def ensemble(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished run folders, two or more.")],
    data: DataOption,
    out: OutOption,
    format: FormatOption = None,
    quantize: QuantizeOption = "none",
    json_: JsonOption = False,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make one file of several runs: the weighted mean of their calibrated probabilities.

        ferlab ensemble runs/fernet_s runs/newmodel runs/mobilenetv2 --data fer2013.zip --out ensemble.onnx

    Weights are chosen on PublicTest, and what that flatters is shown by cross-validation. The file is checked and used
    as those of `ferlab export`; its time is the sum of its members'.
    """
    load_plugins(plugin)
    dataset = load(data, skip_bad, cache, faces, exclude)
    made = ferlab.ensemble(runs, dataset, out, format=format, quantize=quantize, quiet=quiet)
    result = {"file": str(out), "bytes": out.stat().st_size, "quantize": quantize, **asdict(made)}
    if json_:
        print(json.dumps({"schema": SCHEMA, **result}))
        return
    tables.print_ensemble(result)


def benchmark(
    models: Annotated[
        list[str],
        typer.Argument(help="Run folders, .keras, .onnx or .tflite files, or `default`; ratios are to the first one."),
    ],
    threads: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Processor threads (default: one, and all cores).")
    ] = None,
    batch_sizes: Annotated[str, typer.Option(metavar="N,N,...", help="Images in a call.")] = "1,8,32,128",
    seconds: Annotated[float, typer.Option(help="For each model, number of threads and batch size.", min=0.01)] = 2.0,
    json_: JsonOption = False,
    quiet: QuietOption = False,
    plugin: PluginOption = None,
) -> None:
    """Measure how fast models answer on this machine, by batch size and threads.

        ferlab benchmark default mine.onnx mine.tflite runs/mine

    The models take turns, each in a process of its own. Give one twice to see how much the machine itself varies.
    """
    from ferlab.speed import benchmark as measure

    counts = _numbers(threads, "--threads") if threads else None
    sizes = _numbers(batch_sizes, "--batch-sizes")
    result = measure(models, threads=counts, batch_sizes=sizes, seconds=seconds, plugins=plugin or [], quiet=quiet)
    if json_:
        print(json.dumps(result))
        return
    tables.print_benchmark(result)


def _numbers(text: str, option: str) -> list[int]:
    """Whole numbers from 1 on, with commas between them."""
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(numbers) < 1:
        raise typer.BadParameter(f"'{text}' is not of the form 1,2,4.", param_hint=option)
    return numbers
