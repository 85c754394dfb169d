"""`Job`: the settings of a prediction job, kept beside its table, so that it is resumed with the same ones."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ferlab.errors import OutputError
from ferlab.files import make_folder, read_file
from ferlab.json_files import decode_json, write_json
from ferlab.limits import MAX_TEXT_BYTES
from ferlab.locks import exclusive

SCHEMA = 1

Setting = str | float | None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A prediction job, whose table can be resumed.

    Args:
        table: the output file.
        settings: everything besides the images that determines the rows: `Predictor.settings`, and those of the table.
        sources: names of the images.
        resume: whether to append to an existing table.
        retry_errors: whether to repeat the images that have the status `error` in an existing table.
    """

    table: Path
    settings: Mapping[str, Setting]
    sources: Collection[str] = frozenset()
    resume: bool = False
    retry_errors: bool = False

    @property
    def file(self) -> Path:
        """The file that holds the settings of the table."""
        return self.table.with_name(f"{self.table.name}.job.json")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the job; a killed process releases the lock.

        Raises:
            OutputError: if another process holds the lock, or the folder of the table cannot be created.
        """
        make_folder(self.table.parent)
        with exclusive(self.table, self.table.with_name(f".{self.table.name}.lock"), OutputError):
            yield

    def write(self) -> None:
        """Write the settings of a new table.

        Raises:
            OutputError: if the file cannot be written.
        """
        write_json(self.file, {"schema": SCHEMA, "settings": dict(self.settings)})

    def check(self) -> None:
        """Check that an existing table was written with the same settings.

        Raises:
            OutputError: if a setting differs, or the settings of the table are not known.
        """
        try:
            content = decode_json(read_file(self.file, MAX_TEXT_BYTES))
            stored = content["settings"] if content["schema"] == SCHEMA else None
        except FileNotFoundError:
            raise OutputError(
                f"{self.table} cannot be resumed: {self.file.name}, the file with its settings, is missing. "
                "Choose another --out."
            ) from None
        except (OSError, ValueError, TypeError, KeyError):
            stored = None
        if not isinstance(stored, dict):
            raise OutputError(f"{self.table} cannot be resumed: {self.file} cannot be read. Choose another --out.")
        if changes := changed_settings(stored, self.settings):
            raise OutputError(
                f"{self.table} was written with other settings ({changes}). Use the same ones, or choose another --out."
            )


def changed_settings(stored: Mapping[str, Setting], current: Mapping[str, Setting]) -> str:
    """Describe the settings that are not the stored ones; an empty text if all are."""
    names = [name for name in {**stored, **current} if stored.get(name) != current.get(name)]
    return "; ".join(f"{name}: {stored.get(name)}, now {current.get(name)}" for name in names)
