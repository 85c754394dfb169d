"""Commands that take trained models to where they are used."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from ferlab import tables
from ferlab.cli.options import (
    CacheOption,
    DataOption,
    ExcludeOption,
    FacesOption,
    JsonOption,
    PluginOption,
    QuietOption,
    SkipBadOption,
    load,
    load_plugins,
)
from ferlab.runs import SCHEMA


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The file: .onnx, or .tflite for LiteRT.")],
    format: Annotated[
        Literal["onnx", "litert"] | None,
        typer.Option(help="`onnx` or `litert` (TensorFlow Lite); the file's name tells it where this does not."),
    ] = None,
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
    numbers = [int(part) if part.strip().isdigit() else 0 for part in text.split(",")]
    if min(numbers) < 1:
        raise typer.BadParameter(f"'{text}' is not of the form 1,2,4.", param_hint=option)
    return numbers
