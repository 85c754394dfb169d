"""`ferlab predict`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
from ferlab.progress import bar, console

if TYPE_CHECKING:
    pass


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
    from ferlab.predict.batch import list_images, write_predictions
    from ferlab.predict.table import open_writer

    files = list_images(paths, recursive=recursive, drawn=annotate)
    predictor = ferlab.Predictor(model, detector, detector_model=detector_model)
    started = time.monotonic()
    try:
        again = set(map(str, files)) if resume else None
        with open_writer(out, form, predictor.artifact.class_names, resume=again) as writer:
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
