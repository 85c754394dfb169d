"""`ferlab ensemble`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.export import FormatOption, OutOption, QuantizeOption
from ferlab.cli.options import (
    DataOption,
    DataOptions,
    JsonOption,
    PluginOption,
    QuietOption,
    load_plugins,
)
from ferlab.cli.output import print_ensemble
from ferlab.json_files import SCHEMA


def ensemble(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Two or more finished run folders.")],
    data: DataOption,
    out: OutOption,
    format: FormatOption = None,
    quantize: QuantizeOption = "none",
    json_: JsonOption = False,
    *,
    reading: DataOptions,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Export several runs as one file: the weighted mean of their calibrated probabilities.

    For example:

        ferlab ensemble runs/fernet_s runs/newmodel runs/mobilenetv2 --data fer2013.zip --out ensemble.onnx

    The weights are fitted on PublicTest. Cross-validation shows how much this inflates the scores there. The file is
    checked and used like one of `ferlab export`. Its latency is the sum of its members' latencies.
    """
    load_plugins(plugin)
    dataset = reading.load(data, *runs)
    made = ferlab.ensemble(runs, dataset, out, format=format, quantize=quantize, quiet=quiet)
    if json_:
        about = {"schema": SCHEMA, "file": str(out), "bytes": out.stat().st_size, "quantize": quantize}
        print(json.dumps(about | asdict(made)))
        return
    print_ensemble(made, out, quantize)
