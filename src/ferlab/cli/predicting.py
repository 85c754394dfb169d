"""Commands that take trained models to where they are used."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

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


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run folder.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The .onnx file.")],
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
    """Make one ONNX file of a run, which predicts without Keras and says all about itself.

        ferlab export runs/fernet_s --data fer2013.zip --quantize int8 --out fernet_s.onnx

    Its probabilities are calibrated on PublicTest, and its answers compared with the Keras model's there: where they
    differ too much, there is no file.
    """
    from ferlab.export import export as write_artefact

    load_plugins(plugin)
    parity = write_artefact(run, load(data, skip_bad, cache, faces, exclude), out, quantize=quantize)
    if json_:
        print(json.dumps({"schema": SCHEMA, "file": str(out), "quantize": quantize, **vars(parity)}))
        return
    print(
        f"{out}: {out.stat().st_size / 1e6:.2f} MB, accuracy {100 * parity.accuracy:.2f} % on {parity.images:,} images"
    )
    print(
        f"Keras: {100 * parity.keras_accuracy:.2f} %; {100 * parity.changed:.2f} % of the classes differ, "
        f"probabilities by up to {parity.largest_difference:.2g}"
    )
