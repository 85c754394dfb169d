"""`ferlab ensemble`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import ferlab
from ferlab.cli import output as tables
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

if TYPE_CHECKING:
    pass


OutOption = Annotated[Path, typer.Option(help="The file: .onnx, or .tflite for LiteRT.")]


FormatOption = Annotated[
    Literal["onnx", "litert"] | None,
    typer.Option(help="`onnx` or `litert` (TensorFlow Lite); the file's name tells it where this does not."),
]


QuantizeOption = Annotated[
    Literal["none", "float16", "int8"],
    typer.Option(help="Smaller files: weights in 16 bits, or weights and activations in 8."),
]


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
