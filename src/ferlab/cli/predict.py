"""`ferlab predict`."""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

import ferlab
from ferlab.cli.options import (
    DetectorModelOption,
    DetectorOption,
    MinConfidenceOption,
    PredictorOption,
    QuietOption,
    stop,
)
from ferlab.formatting import counted, duration
from ferlab.images.listing import list_images
from ferlab.predict.batch import write_predictions
from ferlab.predict.table import open_writer
from ferlab.progress import bar, console


def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Images, folders, or patterns such as 'a/*.jpg'.")
    ],
    model: PredictorOption = "default",
    detector: DetectorOption = "auto",
    detector_model: DetectorModelOption = None,
    file_format: Annotated[
        Literal["table", "csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="Output format. [default: by the suffix of --out, or `table`]"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Output file. [default: standard output]")] = None,
    annotate: Annotated[Path | None, typer.Option(metavar="DIR", help="Output folder for annotated images.")] = None,
    min_confidence: MinConfidenceOption = 0.0,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Search subfolders.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an existing job: skip images that --out already contains.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if an image cannot be read.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Predict the emotions of all faces in images.

    For example:

        ferlab predict photo.jpg

    Process a folder of any size and write a table. Continue an interrupted job with `--resume`:

        ferlab predict photos --recursive --out faces.csv --annotate annotated
    """
    files = list_images(paths, recursive=recursive, exclude=annotate)
    predictor = ferlab.Predictor(model, detector, detector_model=detector_model)
    start = time.monotonic()
    try:
        sources = set(map(str, files)) if resume else None
        with open_writer(out, file_format, predictor.artifact.class_names, resume=sources) as writer:
            remaining = len(files.keys() - {Path(source) for source in writer.done})
            with bar("images", remaining, quiet) as advance:
                counts = write_predictions(
                    predictor, files, writer, min_confidence=min_confidence, annotate=annotate, advance=advance
                )
    except KeyboardInterrupt:
        hint = f" {out} contains the finished images. Run the same command with --resume to continue." if out else ""
        stop(f"Interrupted.{hint}")
    summary = _summary(remaining, counts, time.monotonic() - start)
    console().print(summary + (f"; {len(files) - remaining:,} already done" if remaining < len(files) else ""))
    if strict and counts["error"]:
        raise typer.Exit(1)


def _summary(images: int, counts: Counter[str], seconds: float) -> str:
    return (
        f"{counted(images, 'image')} in {duration(seconds)}: {counted(counts['ok'] + counts['uncertain'], 'face')}, "
        f"{counted(counts['no_face'], 'image')} without a face, {counts['error']:,} unreadable"
    )
