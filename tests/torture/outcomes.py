"""What becomes of an attempt: `Outcome` and `Report`."""

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of one attempt. Only the first two are acceptable."""

    SURVIVED = "survived"  # the right result
    REFUSED = "refused"  # a clear error
    LOST = "lost"  # a result is missing
    WRONG = "wrong"  # a result differs from the undisturbed one
    CRASHED = "crashed"  # a traceback, death by a signal, no end in time, or too much memory

    @property
    def acceptable(self) -> bool:
        """Whether nothing is lost, wrong or crashed."""
        return self in (Outcome.SURVIVED, Outcome.REFUSED)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of one attempt.

    Args:
        outcome: the outcome.
        note: what happened, in one line.
        peak_bytes: the largest memory of a process of the attempt, with the libraries that it shares.
    """

    outcome: Outcome
    note: str = ""
    peak_bytes: int = 0

    def to_line(self) -> bytes:
        """Encode the report as one line."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Report":
        """Decode `to_line`."""
        values = json.loads(line)
        return cls(**values | {"outcome": Outcome(values["outcome"])})

    def noted(self, text: str) -> "Report":
        """Return the report with more text in its note."""
        return dataclasses.replace(self, note="; ".join(filter(None, [self.note, text])))

    def with_outcome(self, outcome: Outcome) -> "Report":
        """Return the report with another outcome."""
        return dataclasses.replace(self, outcome=outcome)
