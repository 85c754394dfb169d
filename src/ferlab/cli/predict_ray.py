"""`ferlab predict --engine ray`."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from ferlab.cli.options import AddressOption, stop
from ferlab.distributed.pool import MAX_ATTEMPTS, FailedShard
from ferlab.distributed.predict import SHARD_SIZE, predict_images
from ferlab.formatting import counted, duration, listed
from ferlab.predict.predictor import Predictor
from ferlab.progress import console

SHOWN = 3  # failed shards in a message


@dataclass(frozen=True, kw_only=True)
class PredictRayOptions:
    """Options of a prediction on Ray; see `with_option_groups`."""

    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="`local`: this process. `ray`: worker processes on Ray, for millions of images."),
    ] = "local"
    address: AddressOption = None
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="With `--engine ray`: worker processes. [default: all CPUs]", min=1)
    ] = None
    cpus_per_worker: Annotated[
        int | None,
        typer.Option(metavar="N", help="With `--engine ray`: CPUs and threads per worker. [default: 1]", min=1),
    ] = None
    column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="With `--engine ray`: column of tables that has paths, URLs or image bytes."),
    ] = None
    shard_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", help=f"With `--engine ray`: images per file of --out. [default: {SHARD_SIZE}]", min=1
        ),
    ] = None

    def reject(self) -> None:
        """Reject the options that only Ray has.

        Raises:
            typer.BadParameter: if one is used.
        """
        for name in ("address", "workers", "cpus_per_worker", "column", "shard_size"):
            if getattr(self, name) is not None:
                raise typer.BadParameter("needs --engine ray.", param_hint=f"--{name.replace('_', '-')}")


def predict_on_ray(
    sources: list[str],
    predictor: Predictor,
    out: str,
    options: PredictRayOptions,
    *,
    min_confidence: float,
    recursive: bool,
    resume: bool,
    retry_errors: bool,
    quiet: bool,
) -> Counter[str]:
    """Call `predict_images` and print what it did.

    Returns:
        The number of rows with each status, and of the errors in a resumed table.
    """
    start = time.monotonic()
    try:
        found = predict_images(
            sources,
            out,
            predictor,
            address=options.address,
            workers=options.workers,
            cpus_per_worker=options.cpus_per_worker or 1,
            column=options.column,
            shard_size=options.shard_size or SHARD_SIZE,
            min_confidence=min_confidence,
            recursive=recursive,
            resume=resume,
            retry_errors=retry_errors,
            quiet=quiet,
        )
    except KeyboardInterrupt:
        stop(f"Interrupted. {out} contains the finished shards. Run the same command with --resume to continue.")
    more = f"; {found.already_done:,} already done" if found.already_done else ""
    console().print(summary(found.images, found.statuses, time.monotonic() - start) + more)
    if found.failed:
        stop(_failure(out, found.failed))
    return found.statuses + Counter(error=found.errors_before)


def _failure(out: str, failed: Sequence[FailedShard]) -> str:
    images = counted(sum(shard.images for shard in failed), "image")
    files = [f"{out}/{shard.inputs}" for shard in failed[:SHOWN]]
    more = [f"{len(failed) - SHOWN:,} more files"] if len(failed) > SHOWN else []
    return (
        f"error: {images} without an outcome: their worker died {MAX_ATTEMPTS} times, perhaps for lack of memory. They "
        f"are listed in {listed([*files, *more])}. Run the same command with --resume to try them again."
    )


def summary(images: int, statuses: Counter[str], seconds: float) -> str:
    """Describe the result of a prediction."""
    faces = counted(statuses["ok"] + statuses["uncertain"], "face")
    without = f"{counted(statuses['no_face'], 'image')} without a face"
    return f"{counted(images, 'image')} in {duration(seconds)}: {faces}, {without}, {statuses['error']:,} unreadable"
