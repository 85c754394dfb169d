"""The networks in the package, by name. To add one, put its file beside this module and its card into `NETWORKS`."""

from dataclasses import dataclass
from pathlib import Path

from ferlab.emotions import Target


@dataclass(frozen=True, kw_only=True)
class NetworkCard:
    """What a network in the package is. Its file, `<name>.onnx`, holds the details in its metadata.

    Args:
        name: the name by which `Predictor` and the commands know it.
        summary: what it is, in one line.
        target: what it learned from images of FER2013.
    """

    name: str
    summary: str
    target: Target

    @property
    def file(self) -> Path:
        """The artifact."""
        return Path(__file__).with_name(f"{self.name}.onnx")


NETWORKS = (
    NetworkCard(
        name="fast", summary="FerNet s, trained on the votes of FER+, for photos and video", target=Target.FERPLUS
    ),
    NetworkCard(
        name="accurate",
        summary="FerNet m, trained on the votes of FER+: four times the size of fast",
        target=Target.FERPLUS,
    ),
    NetworkCard(
        name="fer2013",
        summary="FerNet s, trained on the labels of FER2013, to compare with other models",
        target=Target.FER2013,
    ),
)
DEFAULT_MODEL = NETWORKS[0].name
NAMES = ", ".join(f"'{card.name}'" for card in NETWORKS)  # for messages
ALIAS = "default"  # for the default network, whichever it is


def packaged_file(model: str | Path) -> Path | None:
    """Return the file of a network in the package; None if this is not the name of one.

    Example:
        >>> packaged_file("default").name
        'fast.onnx'
        >>> packaged_file("other")
    """
    name = DEFAULT_MODEL if str(model) == ALIAS else str(model)
    return next((card.file for card in NETWORKS if card.name == name), None)


def packaged_name(file: Path) -> str | None:
    """Return the name of the network in the package that a file is; None for other files."""
    return next((card.name for card in NETWORKS if card.file == file), None)
