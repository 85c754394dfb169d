"""`ferlab benchmark`."""

import json
from typing import Annotated

import typer

from ferlab.cli.options import JsonOption, PluginOption, QuietOption
from ferlab.cli.output import print_benchmark
from ferlab.export.latency import benchmark as measure
from ferlab.json_files import to_json


def benchmark(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Run folders, .keras, .onnx or .tflite files, or networks in the package. Ratios refer to the first.",
        ),
    ],
    threads: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Numbers of CPU threads. [default: one, and all cores]"),
    ] = None,
    batch_sizes: Annotated[str, typer.Option(metavar="N,N,...", help="Batch sizes.")] = "1,8,32,128",
    seconds: Annotated[
        float, typer.Option(help="Seconds per model, number of threads and batch size.", min=0.01)
    ] = 2.0,
    json_: JsonOption = False,
    quiet: QuietOption = False,
    plugin: PluginOption = None,
) -> None:
    """Measure latency and throughput of models on this machine.

    For example:

        ferlab benchmark fer2013 mine.onnx mine.tflite runs/mine

    The models take turns, each in its own process. Pass the same model twice to see how much the results vary.
    """
    counts = _numbers(threads, "--threads") if threads else None
    sizes = _numbers(batch_sizes, "--batch-sizes")
    result = measure(models, threads=counts, batch_sizes=sizes, seconds=seconds, plugins=plugin or [], quiet=quiet)
    if json_:
        print(json.dumps(to_json(result)))
        return
    print_benchmark(result)


def _numbers(text: str, option: str) -> list[int]:
    """Parse comma-separated positive integers."""
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(numbers) < 1:
        raise typer.BadParameter(
            f"'{text}' is not a comma-separated list of positive integers, such as 1,2,4.", param_hint=option
        )
    return numbers
