"""`ferlab leaderboard`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ferlab.cli.options import DataOption, DataOptions, JsonOption, PluginOption, SplitOption, load_plugins
from ferlab.cli.output import print_leaderboard
from ferlab.comparison.leaderboard import make_leaderboard
from ferlab.json_files import to_json
from ferlab.report import write_leaderboard


def leaderboard(
    systems: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL|FILE...",
            help="Two or more models (as in `ferlab evaluate`) or .csv and .npz prediction files.",
        ),
    ],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Output folder.")],
    split: SplitOption = "validation",
    json_: JsonOption = False,
    *,
    reading: DataOptions,
    plugin: PluginOption = None,
) -> None:
    """Rank models and prediction files on one split, with intervals and ties.

    For example:

        ferlab leaderboard fer2013 runs/newmodel theirs.csv --data fer2013.zip --out leaderboard

    Writes `leaderboard.html`, `leaderboard.md` and `leaderboard.json`. Systems are named after their files.
    """
    load_plugins(plugin)
    board = make_leaderboard(systems, reading.load(data, *systems), split)
    page = write_leaderboard(board, out)
    if json_:
        print(json.dumps(to_json(board)))
        return
    print_leaderboard(board)
    print(f"\nLeaderboard: {page}")
