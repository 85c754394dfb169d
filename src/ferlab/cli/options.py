"""Options that several commands share, and functions that handle them."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import ferlab
from ferlab.data import Dataset, is_own_images, load_dataset
from ferlab.emotions import CONTEMPT, Target
from ferlab.engine import Engine, LocalEngine
from ferlab.errors import ProtocolError
from ferlab.images.detection import MIN_SEARCH_SIZE
from ferlab.predict.packaged import NAMES
from ferlab.progress import console
from ferlab.results import Skipped

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
MAX_SEED = 2**32 - 1
SeedOption = Annotated[
    int,
    typer.Option(help="Random seed of the weights, the image order, augmentation and dropout.", min=0, max=MAX_SEED),
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
        help=f"A run folder, a .keras, .onnx or .tflite file, or a network in the package: {NAMES}.",
    ),
]
SplitOption = Annotated[
    Literal["validation", "test", "train"],
    typer.Option(help="`validation` (PublicTest), `test` (PrivateTest) or `train`."),
]
PredictorOption = Annotated[
    str, typer.Option("--model", help=f"A network in the package ({NAMES}), or an .onnx or .tflite file.")
]
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
ClassPriorOption = Annotated[
    str | None,
    typer.Option(
        metavar="CLASS=SHARE,...", help="Expected share of each class, to re-weight the probabilities: `happy=0.4,...`."
    ),
]
MinConfidenceOption = Annotated[
    float,
    typer.Option(metavar="SHARE", help="Leave the emotion blank below this confidence, 0 to 1.", min=0, max=1),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
AddressOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="With `--engine ray`: a running cluster. [default: start Ray here]"),
]
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
    target: Annotated[
        Target | None,
        typer.Option(
            help="`fer2013`: labels of FER2013. `ferplus`: majority of the FER+ votes, whose distribution is learned. "
            "[default: what the model learned, or `fer2013`]"
        ),
    ] = None
    contempt: Annotated[bool, typer.Option("--contempt", help="With `--target ferplus`: its eighth class, too.")] = (
        False
    )
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

    def load(self, source: str, *models: str | Path | None) -> Dataset:
        """Load a dataset, and print its notes and skipped items.

        Args:
            source: the data source.
            models: models that are used on it. Images of FER2013 have the target that these learned, unless `target` is
                given.
        """
        target, contempt = self.target, self.contempt
        if target is None and models:
            target, contempt = _learned_target(models)
            if self.contempt and not contempt:
                raise typer.BadParameter("needs --target ferplus.", param_hint="--contempt")
            if target == Target.FER2013 or source == "demo" or (target and is_own_images(source)):
                target, contempt = None, False  # the labels of the source
        dataset = load_dataset(
            source,
            skip_bad=self.skip_bad,
            use_cache=self.cache,
            faces=self.faces,
            exclude=self.exclude,
            ferplus=self.ferplus,
            target=target,
            contempt=contempt,
        )
        for note in dataset.notes:
            console().print(note)
        print_skipped(dataset.skipped)
        return dataset


def print_skipped(skipped: Sequence[Skipped]) -> None:
    """Print how many items could not be read and were skipped."""
    if skipped:
        names = ", ".join(item.name for item in skipped[:3])
        console().print(f"skipped {len(skipped)} bad items: {names}{', ...' if len(skipped) > 3 else ''}")


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Where trainings run. A command declares one parameter of this type; see `with_option_groups`."""

    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            help="`local`: one training after the other. `ray`: in parallel on a cluster; needs the extra `ray`."
        ),
    ] = "local"
    address: AddressOption = None
    cpus_per_run: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="With `--engine ray`: CPU cores per training. [default: all of a node, or 1 with GPUs]",
            min=1,
        ),
    ] = None
    gpus_per_run: Annotated[
        float, typer.Option(metavar="N", help="With `--engine ray`: GPUs per training, such as 0.25.", min=0)
    ] = 0.0

    def start(self) -> Engine:
        """Return the engine.

        Raises:
            typer.BadParameter: if options of Ray are used without it.
        """
        if self.engine == "local":
            if self.address or self.cpus_per_run or self.gpus_per_run:
                raise typer.BadParameter(
                    "--address, --cpus-per-run and --gpus-per-run need --engine ray.", param_hint="--engine"
                )
            return LocalEngine()
        from ferlab.distributed.engine import RayEngine

        return RayEngine(address=self.address, cpus_per_run=self.cpus_per_run, gpus_per_run=self.gpus_per_run)


def _learned_target(models: Sequence[str | Path | None]) -> tuple[Target | None, bool]:
    """Return the target that models learned, if known, and whether it includes contempt.

    Raises:
        ProtocolError: if they learned different targets.
    """
    from ferlab.evaluation.predictions import is_prediction_file
    from ferlab.evaluation.trained_model import open_model

    origins = [open_model(model).provenance for model in models if model and not is_prediction_file(model)]
    learned = {(origin.target, CONTEMPT in (origin.class_names or ())) for origin in origins if origin.target}
    if len(learned) > 1:
        raise ProtocolError(
            "The models learned different targets, and scores on two targets cannot be compared. Choose one with "
            "--target, or score the models separately."
        )
    return learned.pop() if learned else (None, False)


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


def parse_changes(texts: list[str] | None) -> dict[str, Any]:
    """Parse the values of `--set KEY=VALUE`.

    Raises:
        typer.BadParameter: if one has no equals sign.
    """
    changes: dict[str, Any] = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected KEY=VALUE, got '{text}'.", param_hint="--set")
        changes[key.strip()] = value.strip()
    return changes


def parse_prior(text: str | None) -> dict[str, float] | None:
    """Parse the value of `--class-prior`.

    Raises:
        typer.BadParameter: if a part has no equals sign or no number, or names a class again.
    """
    if text is None:
        return None
    try:
        shares = [(name.strip(), float(share)) for name, share in (part.split("=") for part in text.split(","))]
    except ValueError:
        raise typer.BadParameter(
            f"expected CLASS=SHARE,CLASS=SHARE, got '{text}'.", param_hint="--class-prior"
        ) from None
    prior = dict(shares)
    if len(prior) < len(shares):
        raise typer.BadParameter(f"names a class twice: '{text}'.", param_hint="--class-prior")
    return prior


def stop(message: str) -> None:
    """Print a message, and exit with code 1."""
    console().print(message)
    raise typer.Exit(1)
