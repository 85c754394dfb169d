"""`ferlab export`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from ferlab.cli.options import (
    DataOption,
    DataOptions,
    JsonOption,
    PluginOption,
    load_plugins,
)
from ferlab.cli.output import print_parity
from ferlab.export import export as write_artifact
from ferlab.json_files import SCHEMA

OutOption = Annotated[Path, typer.Option(help="Output file: .onnx, or .tflite for LiteRT.")]
FormatOption = Annotated[
    Literal["onnx", "litert"] | None,
    typer.Option(help="`onnx` or `litert` (TensorFlow Lite). [default: derived from the file name]"),
]
QuantizeOption = Annotated[
    Literal["none", "float16", "int8"],
    typer.Option(help="`float16`: 16-bit weights. `int8`: 8-bit weights and activations."),
]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    data: DataOption,
    out: OutOption,
    format: FormatOption = None,
    quantize: QuantizeOption = "none",
    json_: JsonOption = False,
    *,
    reading: DataOptions,
    plugin: PluginOption = None,
) -> None:
    """Export a run as an ONNX or LiteRT file that predicts without Keras.

    For example:

        ferlab export runs/fernet_s --data fer2013.zip --quantize int8 --out fernet_s.onnx
        ferlab export runs/fernet_s --data fer2013.zip --format litert --out fernet_s.tflite

    The probabilities are calibrated on PublicTest, and the predictions are compared with those of Keras there. If they
    deviate too far, no file is written.
    """
    load_plugins(plugin)
    dataset = reading.load(data, run)
    parity = write_artifact(run, dataset, out, format=format, quantize=quantize)
    if json_:
        about = {"schema": SCHEMA, "file": str(out), "bytes": out.stat().st_size, "quantize": quantize}
        print(json.dumps(about | asdict(parity)))
        return
    print_parity(parity, out, quantize)
