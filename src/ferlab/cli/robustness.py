"""`ferlab robustness`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ferlab.cli.options import (
    CacheOption,
    DataOption,
    ExcludeOption,
    FacesOption,
    JsonOption,
    ModelArgument,
    PluginOption,
    QuietOption,
    SkipBadOption,
    SplitOption,
    load,
    load_plugins,
)
from ferlab.cli.output import (
    print_robustness,
)


def robustness(
    model: ModelArgument,
    data: DataOption,
    split: SplitOption = "validation",
    out: Annotated[Path | None, typer.Option(help="Folder for the numbers, their curves and a contact sheet.")] = None,
    json_: JsonOption = False,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Score a model on pictures made worse: ten corruptions, such as blur or a badly cut face, in five strengths.

    ferlab robustness default --data fer2013.zip --out robustness
    """
    from ferlab.evaluation.robustness import robustness as score_robustness
    from ferlab.evaluation.robustness import write_sheet

    load_plugins(plugin)
    dataset = load(data, skip_bad, cache, faces, exclude)
    if out:
        write_sheet(out / "robustness.png")  # before the long work, so that a bad --out is told at once
    result = score_robustness(model, dataset, split, quiet=quiet)
    if json_:
        print(json.dumps(result))
    else:
        print_robustness(result)
    if out:
        from ferlab.report import write_robustness

        write_robustness(result, out)
