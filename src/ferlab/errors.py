"""Exceptions of ferlab. Each message says what went wrong, where, and what to do next."""

import difflib
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class FerlabError(Exception):
    """Base class of all errors. The command line prints the message without a traceback and exits with 1."""

    def __reduce__(self) -> tuple[Callable[..., "FerlabError"], tuple[type["FerlabError"], str]]:
        """Pickle the message, which is not what all subclasses are created from."""
        return _with_message, (type(self), str(self))


def _with_message(kind: type[FerlabError], message: str) -> FerlabError:
    return kind.__new__(kind, message)


class DataError(FerlabError):
    """A data source cannot be read or does not fit."""


class UnknownNameError(FerlabError):
    """The name does not exist. The message suggests the closest match and lists all names."""

    def __init__(self, kind: str, name: str, available: Iterable[str]) -> None:
        names = sorted(available)
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        super().__init__(f"Unknown {kind} '{name}'.{hint} Available: {', '.join(names)}.")


class RecipeError(FerlabError):
    """A recipe has an invalid value, or values that contradict each other."""


class ProtocolError(FerlabError):
    """Something would select, stop or calibrate on the images that a model is tested on."""


class OutputError(FerlabError):
    """A file or folder cannot be written."""


class RunError(FerlabError):
    """A run folder is missing, in use or incomplete, or belongs to another recipe."""


class NetworkError(RunError):
    """A teacher, or a network to start from, does not suit a training."""


class ImageError(FerlabError):
    """An image cannot be read."""


class DetectorError(FerlabError):
    """A face detector is not available, or its model file is not valid."""


class VideoError(FerlabError):
    """A video or camera cannot be read."""


class ServeError(FerlabError):
    """The service cannot start."""


class ClusterError(FerlabError):
    """A Ray cluster cannot be reached, or has not the resources that were asked for."""


class ArtifactError(FerlabError):
    """A model file cannot be loaded, is damaged, or lacks required metadata."""


class TrainingError(FerlabError):
    """A training cannot continue, for example because its loss is not finite."""


class MissingExtraError(FerlabError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(
            f"The package '{module}' is required but not installed. Install it with: pip install 'ferlab[{extra}]'"
        )


class PluginError(FerlabError):
    """A plugin cannot be run or breaks a contract. The message begins with its file and line."""

    @classmethod
    def at(cls, function: Callable[..., Any], contract: str) -> "PluginError":
        """Create the error for a function that breaks a contract."""
        code = function.__code__
        return cls(f"{code.co_filename}, line {code.co_firstlineno}: {function.__name__}: {contract}.")

    @classmethod
    def caused_by(cls, error: BaseException, path: str | Path, contract: str) -> "PluginError":
        """Create the error for an exception, at the innermost line of the plugin in its traceback."""
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else (lines or [1])[-1]
        reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
        return cls(f"{path}, line {line}: {type(error).__name__}: {reason} ({contract}).")


def reason_of(error: BaseException) -> str:
    """Return one line that describes an exception of a library, without a period at its end."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
