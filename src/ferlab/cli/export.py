"""`ferlab export`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ferlab.cli import output as tables
from ferlab.cli.options import (
    CacheOption,
    DataOption,
    ExcludeOption,
    FacesOption,
    JsonOption,
    PluginOption,
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
    from ferlab.export import export as write_artifact

    load_plugins(plugin)
    dataset = load(data, skip_bad, cache, faces, exclude)
    parity = write_artifact(run, dataset, out, format=format, quantize=quantize)
    result = {"file": str(out), "bytes": out.stat().st_size, "quantize": quantize, **asdict(parity)}
    if json_:
        print(json.dumps({"schema": SCHEMA, **result}))
        return
    tables.print_parity(result)
