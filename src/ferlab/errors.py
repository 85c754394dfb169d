"""The errors that ferlab raises on purpose. Each message says what is wrong, where, and what to do next."""

import difflib
from collections.abc import Iterable


class FerlabError(Exception):
    """Base class: the command line prints the message alone, without a traceback, and exits with 1."""


class DataError(FerlabError):
    """A data source that cannot be read as it stands."""


class UnknownNameError(FerlabError):
    """A name that no registry knows."""

    def __init__(self, kind: str, name: str, available: Iterable[str]) -> None:
        names = sorted(available)
        close = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        super().__init__(f"Unknown {kind} '{name}'.{hint} Available: {', '.join(names)}.")


class RunError(FerlabError):
    """A run folder that is missing, in use, incomplete, or of another recipe."""


class TrainingError(FerlabError):
    """A training that cannot go on, such as one whose loss is no longer finite."""


class MissingExtraError(FerlabError):
    """A command whose optional dependencies are not installed."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(
            f"This needs '{module}', which is not installed. Install it with: pip install 'ferlab[{extra}]'"
        )
