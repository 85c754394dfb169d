"""Options that several commands share, and functions that handle them."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import ferlab
from ferlab.data import Dataset, load_dataset
from ferlab.images.detection import MIN_SEARCH_SIZE
from ferlab.progress import console

SOURCE_HELP = "Folder or zip of FER2013 or of your own images, fer2013.csv, or `demo`."
SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE_HELP)]
DataOption = Annotated[str, typer.Option("--data", metavar="SOURCE", help=SOURCE_HELP)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a recipe field, such as `epochs=5` or `augmentation.flip=off`."
    ),
]
SeedOption = Annotated[
    int, typer.Option(help="Random seed of the weights, the image order, augmentation and dropout.", min=0)
]
BackendOption = Annotated[str | None, typer.Option(help="Keras backend: `tensorflow` (default) or `jax`.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Resume an existing run or comparison.")]
PluginOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="A file with your own models or recipes; may be repeated."),
]
ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A run folder, a .keras, .onnx or .tflite file, or `default` for the model in the package.",
    ),
]
SplitOption = Annotated[
    Literal["validation", "test", "train"],
    typer.Option(help="`validation` (PublicTest), `test` (PrivateTest) or `train`."),
]
PredictorOption = Annotated[str, typer.Option("--model", help="An .onnx or .tflite file, or `default`.")]
DetectorOption = Annotated[
    Literal["auto", "yunet", "haar", "none"],
    typer.Option(
        help="Face detector. `auto`: YuNet, or Haar cascades if YuNet is unavailable. `none`: each image is one face."
    ),
]
DetectorModelOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YuNet model file. [default: $FERLAB_DETECTOR_MODEL, or downloaded once]"),
]
MaxFacesOption = Annotated[
    int | None, typer.Option(metavar="N", help="Keep only the N largest faces of each image.", min=1)
]
SearchSizeOption = Annotated[
    int,
    typer.Option(
        metavar="PIXELS",
        help="Longer side of the copy in which faces are searched. Use 1280 or more for group photos.",
        min=MIN_SEARCH_SIZE,
    ),
]
MinConfidenceOption = Annotated[
    float,
    typer.Option(metavar="SHARE", help="Leave the emotion blank below this confidence, 0 to 1.", min=0, max=1),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
ShowImagesOption = Annotated[
    bool,
    typer.Option("--images/--no-images", help="Show images of the dataset. FER2013's terms forbid publishing them."),
]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """How a dataset is read. A command declares one parameter of this type; see `with_option_groups`."""

    ferplus: Annotated[
        Path | None, typer.Option(metavar="CSV", help="fer2013new.csv of FER+: the votes of ten annotators per image.")
    ] = None
    exclude: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Exclude the images listed in this file; see `ferlab audit`.")
    ] = None
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Skip images that cannot be read, and list them.")] = (
        False
    )
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Cache the decoded images for later commands.")] = (
        True
    )
    faces: Annotated[
        bool, typer.Option("--faces", help="Crop the largest face from each of your own images, as `predict` does.")
    ] = False

    def load(self, source: str) -> Dataset:
        """Load a dataset, and print its notes and skipped items."""
        dataset = load_dataset(
            source,
            skip_bad=self.skip_bad,
            use_cache=self.cache,
            faces=self.faces,
            exclude=self.exclude,
            ferplus=self.ferplus,
        )
        for note in dataset.notes:
            console().print(note)
        if dataset.skipped:
            names = ", ".join(item.name for item in dataset.skipped[:3])
            more = ", ..." if len(dataset.skipped) > 3 else ""
            console().print(f"skipped {len(dataset.skipped)} bad items: {names}{more}")
        return dataset


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of a command whose type is a dataclass by one option per field."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if dataclasses.is_dataclass(parameter.annotation)
    }

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{item.name: values.pop(item.name) for item in dataclasses.fields(kind)})
        command(**values)

    parameters = list(_expanded(signature, groups))
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _expanded(signature: inspect.Signature, groups: dict[str, Any]) -> Iterator[inspect.Parameter]:
    for name, parameter in signature.parameters.items():
        if name not in groups:
            yield parameter.replace(kind=parameter.KEYWORD_ONLY)
            continue
        for item in dataclasses.fields(groups[name]):
            yield inspect.Parameter(
                item.name, inspect.Parameter.KEYWORD_ONLY, default=item.default, annotation=item.type
            )


def load_plugins(paths: list[Path] | None, backend: str | None = None) -> None:
    """Load the plugins of a command."""
    for path in paths or []:
        ferlab.load_plugin(path, backend)


def parse_changes(texts: list[str] | None) -> dict[str, str]:
    """Parse the values of `--set KEY=VALUE`.

    Raises:
        typer.BadParameter: if one has no equals sign.
    """
    changes = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected KEY=VALUE, got '{text}'.", param_hint="--set")
        changes[key.strip()] = value.strip()
    return changes


def stop(message: str) -> None:
    """Print a message, and exit with code 1."""
    console().print(message)
    raise typer.Exit(1)
