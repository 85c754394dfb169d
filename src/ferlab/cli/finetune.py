"""`ferlab finetune`."""

import json
from pathlib import Path
from typing import Annotated

import typer

import ferlab
from ferlab.cli.options import MAX_SEED, JsonOption, QuietOption, ResumeOption, stop
from ferlab.cli.output import print_finetuning
from ferlab.evaluation.evaluate import read_groups
from ferlab.json_files import to_json
from ferlab.predict.packaged import DEFAULT_MODEL, NAMES


def finetune(
    photos: Annotated[
        Path, typer.Argument(metavar="PHOTOS", help="Folder or zip of photos in class folders: <class>/*.jpg.")
    ],
    out: Annotated[Path, typer.Option(help="Output folder: model.onnx, finetune.json and the runs.")],
    model: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="MODEL",
            help=f"Network to start from: {NAMES}, an .onnx file or a run folder.",
        ),
    ] = DEFAULT_MODEL,
    crops: Annotated[bool, typer.Option("--crops", help="The photos are face crops already: detect no faces.")] = False,
    person_folders: Annotated[
        bool, typer.Option("--person-folders", help="Photos are in <class>/<person>/; no person is in two parts.")
    ] = False,
    persons: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Person of each photo: a table with the columns name and group."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip photos that cannot be read or have no face, and list them.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Random seed of the order and the augmentation.", min=0, max=MAX_SEED)] = 0,
    resume: ResumeOption = False,
    json_: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network further on your own photos, and tell whether that made it better.

    For example, with photos in `photos/happy`, `photos/sad` and `photos/neutral`:

        ferlab finetune photos --out mine

        ferlab predict new.jpg --model mine/model.onnx

    The classes may be others than the network's. A fifth of the photos selects the epoch, and a fifth is scored at the
    end.
    """
    try:
        result = ferlab.finetune(
            photos,
            out,
            model=model,
            crops=crops,
            skip_bad=skip_bad,
            person_folders=person_folders,
            persons=read_groups(persons) if persons else None,
            seed=seed,
            resume=resume,
            quiet=quiet,
        )
    except KeyboardInterrupt:
        stop(f"Interrupted. Resume with the same command and --resume; complete epochs are kept in {out}.")
    if json_:
        print(json.dumps(to_json(result)))
    else:
        print_finetuning(result)
