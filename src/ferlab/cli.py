"""The command line: parse, call one function, print. Results go to standard output, the rest to standard error."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import ferlab
from ferlab.data import Dataset, load_dataset
from ferlab.errors import FerlabError
from ferlab.models import model_names, model_options, model_summary
from ferlab.progress import console
from ferlab.recipes import get_recipe, recipe_groups
from ferlab.runs import SCHEMA
from ferlab.tables import (
    print_audit,
    print_metrics,
    print_models,
    print_ranking,
    print_recipe,
    print_recipes,
    print_robustness,
    print_splits,
    recipe_row,
)

app = typer.Typer(
    help="Train and compare facial-expression models on FER2013 under one honest protocol.\n\n"
    "Begin with `ferlab compare`, which needs no data: it trains four architectures on drawn faces in a few minutes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="Look at data sets, and fetch FER2013.", no_args_is_help=True)
app.add_typer(data_app, name="data")

SOURCE_HELP = "Folder or zip of FER2013 or of your own pictures, fer2013.csv, or `demo`."
SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE_HELP)]
DataOption = Annotated[str, typer.Option("--data", metavar="SOURCE", help=SOURCE_HELP)]
FacesOption = Annotated[bool, typer.Option("--faces", help="Cut the largest face out of each of your own pictures.")]
SkipBadOption = Annotated[bool, typer.Option("--skip-bad", help="Leave out images that cannot be read, and list them.")]
ExcludeOption = Annotated[
    Path | None, typer.Option("--exclude", metavar="FILE", help="Leave out the images that a list of `audit` names.")
]
FerplusOption = Annotated[
    Path | None, typer.Option("--ferplus", metavar="CSV", help="fer2013new.csv of FER+: ten people's votes per image.")
]
CacheOption = Annotated[bool, typer.Option("--cache/--no-cache", help="Keep a decoded copy for the next time.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a recipe field, e.g. `epochs=5` or `augmentation.flip=off`."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seed of weights, order, augmentation and dropout.", min=0)]
BackendOption = Annotated[str | None, typer.Option(help="Keras backend: `tensorflow` (default) or `jax`.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with what is in the folder.")]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="A file with a network or recipes of your own; may be repeated."),
]
ModelArgument = Annotated[
    str, typer.Argument(help="A run folder, .keras file, .onnx file of `ferlab export`, or `default`.")
]
SplitOption = Annotated[
    Literal["validation", "test", "train"],
    typer.Option(help="`validation` (PublicTest), `test` (PrivateTest) or `train`."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def main() -> None:
    """Runs the command line. An error on purpose is one line on standard error and exit code 1."""
    try:
        app()
    except FerlabError as error:
        console().print(f"error: {error}", markup=False, style="bold red" if sys.stderr.isatty() else "")
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


@app.command()
def compare(
    recipes: Annotated[
        list[str] | None, typer.Argument(metavar="[RECIPE|GROUP]...", help="Recipes or groups; see `ferlab recipes`.")
    ] = None,
    data: DataOption = "demo",
    seeds: Annotated[int, typer.Option(help="Trainings of each recipe, with seeds 0, 1, ...", min=1)] = 1,
    out: Annotated[Path, typer.Option(help="Folder of the comparison.")] = Path("comparison"),
    quick: Annotated[
        bool | None,
        typer.Option(
            "--quick/--full", help="A small budget to try things out. [default: quick on `demo`, full elsewhere]"
        ),
    ] = None,
    set_: SetOption = None,
    resume: ResumeOption = False,
    backend: BackendOption = None,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train and score several recipes, and write a comparison with a report.

    Without arguments it trains the study's four architectures on drawn faces, on a small budget:

        ferlab compare

    On FER2013:

        ferlab compare study_newmodel fair_newmodel --data fer2013.zip --seeds 3 --out comparison
    """
    _load_plugins(plugin, backend)
    dataset = _load(data, skip_bad, cache, faces, exclude)
    small = data == "demo" if quick is None else quick
    try:
        comparison = ferlab.compare(
            recipes or None,
            dataset,
            out,
            seeds=seeds,
            resume=resume,
            quick=small,
            backend=backend,
            quiet=quiet,
            **_changes(set_),
        )
    except KeyboardInterrupt:
        _stop(f"Interrupted. Go on with the same command and --resume --out {out}.")
    print_ranking(comparison)
    print(f"\nReport: {out / 'report.html'}")
    if all(entry["status"] == "failed" for entry in comparison["entries"] if entry["run"]):
        raise typer.Exit(1)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe; see `ferlab recipes`.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="The run folder.")],
    seed: SeedOption = 0,
    set_: SetOption = None,
    resume: ResumeOption = False,
    backend: BackendOption = None,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train one recipe into a run folder.

    Gradients come from Training, the best epoch is chosen on PublicTest, and PrivateTest is not looked at:

        ferlab train fair_newmodel --data fer2013.zip --out runs/newmodel --seed 1

    A run that was killed goes on with `--resume` and ends with the same numbers as an unbroken one.
    """
    _load_plugins(plugin, backend)
    dataset = _load(data, skip_bad, cache, faces, exclude)
    run = ferlab.train(recipe, dataset, out, seed=seed, resume=resume, backend=backend, quiet=quiet, **_changes(set_))
    result = run.result()
    if result is None or result["status"] == "interrupted":
        _stop(f"Interrupted. Go on with the same command and --resume; finished epochs are kept in {out}.")
    print(f"Run folder: {out}")


@app.command()
def evaluate(
    model: ModelArgument,
    data: DataOption,
    split: SplitOption = "validation",
    out: Annotated[
        Path | None, typer.Option(help="Folder of the result, with a reliability diagram and a risk-coverage curve.")
    ] = None,
    json_: JsonOption = False,
    tta: Annotated[
        bool, typer.Option("--tta", help="Score the mean answer to ten views of each image as well.")
    ] = False,
    abstain: Annotated[
        float | None,
        typer.Option(metavar="THRESHOLD", help="Score only the answers that are this probable as well.", min=0, max=1),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Compare groups of images that a table (name, group) tells apart."),
    ] = None,
    train_data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Where the training images are, if SOURCE has none: to find copies."),
    ] = None,
    ferplus: FerplusOption = None,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
) -> None:
    """Score a model on one split: accuracy with its interval and without leaks, calibration, and every class's scores.

    ferlab evaluate runs/newmodel --data fer2013.zip --split test --json
    """
    from ferlab.evaluation import read_groups

    _load_plugins(plugin)
    metrics = ferlab.evaluate(
        model,
        _load(data, skip_bad, cache, faces, exclude, ferplus),
        split,
        training=load_dataset(train_data) if train_data else None,
        tta=tta,
        abstain=abstain,
        groups=read_groups(groups) if groups else None,
    )
    if json_:
        print(json.dumps(metrics))
    else:
        print_metrics(metrics)
    if out:
        from ferlab.report import write_evaluation

        write_evaluation(metrics, out)


@app.command()
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
    from ferlab.robustness import robustness as score_robustness
    from ferlab.robustness import write_sheet

    _load_plugins(plugin)
    dataset = _load(data, skip_bad, cache, faces, exclude)
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


@app.command()
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

    _load_plugins(plugin)
    parity = write_artefact(run, _load(data, skip_bad, cache, faces, exclude), out, quantize=quantize)
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


@app.command()
def audit(
    source: SourceArgument,
    ferplus: FerplusOption = None,
    model: Annotated[
        str | None,
        typer.Option(help="Let a model dispute labels: a run folder, .keras or .onnx file, or `default`."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of audit.html, audit.csv and audit.json.")] = Path("audit"),
    write_exclude: Annotated[
        Path | None, typer.Option(metavar="FILE", help="List the images that are better left out, for `--exclude`.")
    ] = None,
    keep: Annotated[
        Literal["test", "train"], typer.Option(help="Which side keeps an image that two splits share.")
    ] = "test",
    pictures: Annotated[
        bool, typer.Option(help="Show images of the data set. FER2013's terms forbid passing them on.")
    ] = True,
    json_: JsonOption = False,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
    plugin: PluginOption = None,
) -> None:
    """Look for copies, leaks across splits, pictures that are none, and doubtful labels.

        ferlab audit fer2013.zip --ferplus fer2013new.csv --model default --write-exclude exclude.txt

    Train and score without what it found, by `--exclude exclude.txt` on every other command.
    """
    from ferlab import audit as auditing

    _load_plugins(plugin)
    found = auditing.audit(_load(source, skip_bad, cache, faces, exclude, ferplus), model)
    page = auditing.write_audit(found, out, images=pictures)
    if write_exclude:
        number = auditing.write_exclude(found, write_exclude, keep)
        console().print(f"{number:,} images to leave out: {write_exclude}", markup=False)
    if json_:
        print(json.dumps({"schema": SCHEMA, **found.summary}))
        return
    print_audit(found.summary)
    print(f"\nReport: {page}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, wherever they were trained.")],
    out: Annotated[Path, typer.Option(help="Folder of the report.")],
    pictures: Annotated[
        bool, typer.Option(help="Show images of the data set. FER2013's terms forbid passing them on.")
    ] = True,
) -> None:
    """Compare finished runs, and write the same report as `ferlab compare`.

    ferlab report runs/newmodel-seed0 runs/newmodel-seed1 runs/mobilenetv2 --out comparison
    """
    from ferlab.report import write_report

    comparison = ferlab.compare_runs(runs, out)
    print_ranking(comparison)
    print(f"\nReport: {write_report(out, pictures=pictures)}")


@app.command()
def models(json_: JsonOption = False, plugin: PluginOption = None) -> None:
    """List the architectures: their options, and their sizes in each recipe."""
    _load_plugins(plugin)
    recipes = [get_recipe(recipe) for group in recipe_groups().values() for recipe in group]
    rows: list[dict[str, Any]] = [
        {
            "model": name,
            "summary": model_summary(name),
            "options": model_options(name),
            "recipes": [recipe.name for recipe in recipes if recipe.architecture == name],
        }
        for name in model_names()
    ]
    if json_:
        print(json.dumps({"schema": SCHEMA, "models": rows}, default=str))
        return
    print_models(rows)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="One recipe, with all its fields.")] = None,
    json_: JsonOption = False,
    plugin: PluginOption = None,
) -> None:
    """List the recipes: parameters, multiply-adds, accuracy and time to expect on FER2013, and the command."""
    _load_plugins(plugin)
    if name and json_:
        print(json.dumps({"schema": SCHEMA, **recipe_row(name), "fields": get_recipe(name).as_dict()}))
        return
    if name:
        print_recipe(name)
        return
    rows = [recipe_row(recipe) for group in recipe_groups().values() for recipe in group]
    if json_:
        print(json.dumps({"schema": SCHEMA, "recipes": rows}))
        return
    print_recipes(rows)


@data_app.command("info")
def data_info(
    source: SourceArgument,
    json_: JsonOption = False,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet, a PNG with images of every class.")] = None,
    exclude: ExcludeOption = None,
    skip_bad: SkipBadOption = False,
    cache: CacheOption = True,
    faces: FacesOption = False,
) -> None:
    """Show the splits, class counts and fingerprints of a data set."""
    dataset = _load(source, skip_bad, cache, faces, exclude)
    splits = dataset.summary()
    if sheet:
        from ferlab.data.sheet import write_sheet

        write_sheet(dataset, sheet)
        console().print(f"contact sheet: {sheet}")
    if json_:
        print(json.dumps({"schema": SCHEMA, "source": source, "splits": splits, "notes": dataset.notes}))
        return
    print_splits(dataset.class_names, splits)


@data_app.command("download")
def data_download() -> None:
    """Fetch FER2013 from Kaggle, without an account, and say where it lies."""
    from ferlab.data.download import download

    print(download())


def _load(
    source: str,
    skip_bad: bool,
    cache: bool,
    faces: bool,
    exclude: Path | None,
    ferplus: Path | None = None,
) -> Dataset:
    dataset = load_dataset(source, skip_bad=skip_bad, use_cache=cache, faces=faces, exclude=exclude, ferplus=ferplus)
    for note in dataset.notes:
        console().print(note, markup=False)
    if dataset.skipped:
        names = ", ".join(item.name for item in dataset.skipped[:3])
        console().print(
            f"left out {len(dataset.skipped)} bad items: {names}{', ...' if len(dataset.skipped) > 3 else ''}",
            markup=False,
        )
    return dataset


def _load_plugins(paths: list[Path] | None, backend: str | None = None) -> None:
    for path in paths or []:
        ferlab.load_plugin(path, backend)


def _changes(texts: list[str] | None) -> dict[str, str]:
    changes = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"'{text}' is not of the form KEY=VALUE.", param_hint="--set")
        changes[key.strip()] = value.strip()
    return changes


def _stop(message: str) -> None:
    console().print(message)
    raise typer.Exit(1)
