"""`ferlab robustness`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ferlab.cli.options import (
    DataOption,
    DataOptions,
    JsonOption,
    ModelArgument,
    PluginOption,
    QuietOption,
    SplitOption,
    load_plugins,
)
from ferlab.cli.output import print_paths, print_robustness
from ferlab.evaluation.robustness import robustness as evaluate_robustness
from ferlab.evaluation.robustness import write_sheet
from ferlab.json_files import to_json
from ferlab.report import write_robustness


def robustness(
    model: ModelArgument,
    data: DataOption,
    split: SplitOption = "validation",
    out: Annotated[
        Path | None, typer.Option(help="Output folder for JSON, the curves and a contact sheet of the corruptions.")
    ] = None,
    json_: JsonOption = False,
    *,
    reading: DataOptions,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Evaluate a model under ten image corruptions, such as blur or an off-center crop, at five strengths each.

    For example:

        ferlab robustness fer2013 --data fer2013.zip --out robustness
    """
    load_plugins(plugin)
    dataset = reading.load(data, model)
    if out:
        write_sheet(out / "robustness.png")  # first, so that an unusable --out fails at once
    result = evaluate_robustness(model, dataset, split, quiet=quiet)
    if json_:
        print(json.dumps(to_json(result)))
    else:
        print_robustness(result)
    if out:
        write_robustness(result, out)
    if not json_:
        print_paths(Robustness=out)
