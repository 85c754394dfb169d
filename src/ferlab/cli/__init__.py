"""The command line. Results go to standard output, progress and messages to standard error."""

import errno
import os
import sys
from typing import Annotated, NoReturn

import typer

import ferlab
from ferlab.cli import (
    audit,
    benchmark,
    compare,
    data,
    ensemble,
    evaluate,
    explain,
    export,
    finetune,
    leaderboard,
    models,
    predict,
    recipes,
    report,
    robustness,
    serve,
    sweep,
    train,
    video,
    web,
)
from ferlab.cli.options import with_option_groups
from ferlab.errors import FerlabError
from ferlab.files import shown
from ferlab.progress import console

app = typer.Typer(
    help="Train, compare and run facial-expression models on FER2013 under its official protocol.\n\n"
    "Start with `ferlab compare`, which needs no data: it trains four architectures on synthetic faces.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Inspect datasets, and download FER2013.", no_args_is_help=True)
COMMANDS = (
    compare.compare,
    train.train,
    sweep.sweep,
    evaluate.evaluate,
    leaderboard.leaderboard,
    robustness.robustness,
    predict.predict,
    video.video,
    finetune.finetune,
    serve.serve,
    web.web,
    explain.explain,
    export.export,
    ensemble.ensemble,
    benchmark.benchmark,
    audit.audit,
    report.report,
    models.models,
    recipes.recipes,
)
for command in COMMANDS:
    app.command()(with_option_groups(command))
data_app.command("info")(with_option_groups(data.data_info))
data_app.command("download")(data.data_download)
app.add_typer(data_app, name="data")


def main() -> None:
    """Run the command line. An expected error is one line on standard error, with exit code 1."""
    try:
        _run()
    except SystemExit as ended:
        reading = sys.modules.get("ferlab.predict.read_ahead")
        if reading and reading.still_reading():  # a thread in FFmpeg while Python ends: it crashed once
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code if isinstance(ended.code, int) else bool(ended.code))
        raise


def _run() -> None:
    try:
        app()
    except FerlabError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        _fail(f"{shown(str(error.filename)) if error.filename else 'the output'}: {error.strerror}.")


def _fail(message: str) -> NoReturn:
    console().print(f"error: {message}", style="bold red" if sys.stderr.isatty() else "")
    sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(ferlab.__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
