"""`ferlab benchmark`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ferlab.cli import output as tables
from ferlab.cli.options import (
    JsonOption,
    PluginOption,
    QuietOption,
)

if TYPE_CHECKING:
    pass


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
    from ferlab.export.latency import benchmark as measure

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
