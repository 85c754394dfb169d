"""`ferlab predict`."""

import re
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

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
    stop,
)
from ferlab.cli.predict_ray import PredictRayOptions, predict_on_ray, summary
from ferlab.errors import ImageError
from ferlab.images.detection import SEARCH_SIZE
from ferlab.images.listing import list_images
from ferlab.images.sources import ImageSource, is_url
from ferlab.limits import MAX_IMAGE_BYTES, MEBIBYTE
from ferlab.predict.batch import write_predictions
from ferlab.predict.job import Job, Setting
from ferlab.predict.packaged import DEFAULT_MODEL
from ferlab.predict.predictor import Predictor
from ferlab.predict.table_files import PART_SUFFIX, open_writer
from ferlab.progress import bar, console

STANDARD_INPUT = "-"


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Image files, folders, patterns such as 'a/*.jpg', URLs, or `-` for an image on standard input.",
        ),
    ],
    model: PredictorOption = DEFAULT_MODEL,
    detector: DetectorOption = "auto",
    detector_model: DetectorModelOption = None,
    search_size: SearchSizeOption = SEARCH_SIZE,
    max_faces: MaxFacesOption = None,
    file_format: Annotated[
        Literal["table", "csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="Output format. [default: by the suffix of --out, or `table`]"),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Output file; with Ray, a folder. [default: standard output]")
    ] = None,
    annotate: Annotated[Path | None, typer.Option(metavar="DIR", help="Output folder for annotated images.")] = None,
    min_confidence: MinConfidenceOption = 0.0,
    class_prior: ClassPriorOption = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Search subfolders.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Resume a job with the same settings: skip images that --out already contains."),
    ] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="With --resume: repeat the images that could not be read.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if an image cannot be read.")] = False,
    quiet: QuietOption = False,
    *,
    ray: PredictRayOptions,
) -> None:
    """Predict the emotions of all faces in images.

    For example:

        ferlab predict photo.jpg

    Process a folder of any size and write a table. Continue an interrupted job with `--resume`:

        ferlab predict photos --recursive --out faces.csv --annotate annotated

    Predict on millions of images, in folders, lists and tables, on the machines of a Ray cluster:

        ferlab predict images.parquet --column path --engine ray --address auto --out faces
    """
    _check_resume(paths, out, resume, retry_errors)
    if ray.engine == "local":
        ray.reject()
        images = _images(paths, recursive, annotate)
    else:
        _check_ray(paths, out, file_format, annotate)
        images = {}  # listed as a stream
    predictor = ferlab.Predictor(
        model,
        detector,
        detector_model=detector_model,
        search_size=search_size,
        max_faces=max_faces,
        class_prior=parse_prior(class_prior),
        allow_urls=ray.engine == "ray" or any(map(is_url, paths)),  # lists and tables may contain URLs
    )
    if ray.engine == "ray" and out:
        counts = predict_on_ray(
            paths,
            predictor,
            out,
            ray,
            min_confidence=min_confidence,
            recursive=recursive,
            resume=resume,
            retry_errors=retry_errors,
            quiet=quiet,
        )
    else:
        settings = {**predictor.settings, "min_confidence": min_confidence}
        job = _job(out, settings, images, resume, retry_errors) if out else None
        counts = _predict_here(images, predictor, job, file_format, annotate, min_confidence, quiet)
    if strict and counts["error"]:
        raise typer.Exit(1)


def _job(out: str, settings: Mapping[str, Setting], images: Collection[object], resume: bool, retry: bool) -> Job:
    sources = set(map(str, images))
    return Job(table=Path(out), settings=settings, sources=sources, resume=resume, retry_errors=retry)


def _predict_here(
    images: Mapping[Path | str | ImageSource, Path],
    predictor: Predictor,
    job: Job | None,
    file_format: str | None,
    annotate: Path | None,
    min_confidence: float,
    quiet: bool,
) -> Counter[str]:
    """Predict in this process. Returns the number of rows with each status, and of the errors in a resumed table."""
    out, start = job.table if job else None, time.monotonic()
    try:
        with (
            job.lock() if job else nullcontext(),
            open_writer(out, file_format, predictor.artifact.class_names, job) as writer,
        ):
            remaining = sum(str(image) not in writer.done for image in images)
            with bar("images", remaining, quiet) as advance:
                counts = write_predictions(
                    predictor, images, writer, min_confidence=min_confidence, annotate=annotate, advance=advance
                )
    except KeyboardInterrupt:
        stop(f"Interrupted.{_resume_hint(out)}")
    finished = len(images) - remaining
    done = f"; {finished:,} already done{', not annotated again' if annotate else ''}" if finished else ""
    console().print(summary(remaining, counts, time.monotonic() - start) + done)
    counts["error"] += len(writer.failed)  # for --strict
    return counts


def _resume_hint(out: Path | None) -> str:
    """Say where the finished images are, if any are."""
    tables = [out.with_name(f"{out.name}{PART_SUFFIX}"), out] if out else []
    table = next((table for table in tables if table.exists()), None)
    return f" {table} contains the finished images. Run the same command with --resume to continue." if table else ""


def _check_ray(paths: Sequence[str], out: str | None, file_format: str | None, annotate: Path | None) -> None:
    if not out:
        raise typer.BadParameter("needs --out, a folder.", param_hint="--engine ray")
    if STANDARD_INPUT in paths:
        raise typer.BadParameter("cannot read standard input.", param_hint="--engine ray")
    if file_format not in (None, "parquet"):
        raise typer.BadParameter("writes Parquet only.", param_hint="--engine ray")
    if annotate:
        raise typer.BadParameter("needs --engine local.", param_hint="--annotate")


def _check_resume(paths: Sequence[str], out: str | None, resume: bool, retry_errors: bool) -> None:
    if retry_errors and not resume:
        raise typer.BadParameter("needs --resume.", param_hint="--retry-errors")
    if resume and not out:
        raise typer.BadParameter("needs --out.", param_hint="--resume")
    if resume and STANDARD_INPUT in paths:
        raise typer.BadParameter("cannot resume an image on standard input.", param_hint="--resume")


def _images(arguments: Sequence[str], recursive: bool, exclude: Path | None) -> dict[Path | str | ImageSource, Path]:
    """Find the images that the arguments name, each with a relative path for its annotated copy."""
    images: dict[Path | str | ImageSource, Path] = {}
    if STANDARD_INPUT in arguments:
        content = sys.stdin.buffer.read(MAX_IMAGE_BYTES + 1)
        if len(content) > MAX_IMAGE_BYTES:
            raise ImageError(f"standard input: larger than the limit of {MAX_IMAGE_BYTES // MEBIBYTE} MiB")
        images[ImageSource(name="standard input", content=content)] = Path("standard-input")
    for number, url in enumerate(filter(is_url, arguments), start=1):
        images[url] = Path(f"url{number}-" + re.sub(r"[^\w.-]+", "-", url)[-100:])
    paths = [argument for argument in arguments if argument != STANDARD_INPUT and not is_url(argument)]
    return images | list_images(paths, recursive=recursive, exclude=exclude) if paths else images
