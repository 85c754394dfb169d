"""What commands share: their options, and what is done with them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

import ferlab
from ferlab.data import Dataset, load_dataset
from ferlab.progress import console

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
    str, typer.Argument(help="A run folder, .keras file, .onnx or .tflite file of `ferlab export`, or `default`.")
]
SplitOption = Annotated[
    Literal["validation", "test", "train"],
    typer.Option(help="`validation` (PublicTest), `test` (PrivateTest) or `train`."),
]
PredictorOption = Annotated[str, typer.Option("--model", help="An .onnx file of `ferlab export`, or `default`.")]
DetectorOption = Annotated[
    Literal["auto", "yunet", "haar", "none"],
    typer.Option(help="Face detector. `auto`: YuNet, or Haar without a network. `none`: each image is one face."),
]
DetectorModelOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YuNet model file. [default: $FERLAB_DETECTOR_MODEL, or downloaded once]"),
]
MinConfidenceOption = Annotated[
    float, typer.Option(metavar="SHARE", help="Leave the emotion blank below this confidence; 0..1.", min=0, max=1)
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def load(
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


def load_plugins(paths: list[Path] | None, backend: str | None = None) -> None:
    for path in paths or []:
        ferlab.load_plugin(path, backend)


def changes_of(texts: list[str] | None) -> dict[str, str]:
    changes = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"'{text}' is not of the form KEY=VALUE.", param_hint="--set")
        changes[key.strip()] = value.strip()
    return changes


def stop(message: str) -> None:
    console().print(message)
    raise typer.Exit(1)
