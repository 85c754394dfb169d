"""Storage: folders on this machine, or on what fsspec reaches, such as S3 and Google Cloud Storage."""

import os
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferlab.errors import DataError, MissingExtraError, OutputError, reason_of
from ferlab.files import remove_abandoned, write_atomically

OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "memory")  # no partial files
PROTOCOL = re.compile(r"([a-z][a-z0-9+.-]*)(?:://|::)", re.IGNORECASE)  # `::` chains two, as in zip::s3://bucket/a.zip


def protocol_of(location: str) -> str:
    """Return the protocol of a URL in lower case, such as `s3`; `file` for a path."""
    found = PROTOCOL.match(location)
    return found[1].lower() if found else "file"


def is_local(location: str) -> bool:
    """Return whether a location is a path, or a `file://` URL."""
    return protocol_of(location) == "file"


def local_path(location: str) -> Path:
    """Return the path that a path or a `file://` URL names."""
    return Path(location.removeprefix("file://"))


def open_file_system(url: str) -> tuple[Any, str]:
    """Open the file system of a URL.

    Returns:
        The fsspec file system, which caches no listings, and the path on it.

    Raises:
        DataError: if the protocol is unknown, or its package is not installed.
        MissingExtraError: if fsspec is not installed.
    """
    try:
        import fsspec
    except ModuleNotFoundError:
        raise MissingExtraError("ray", "fsspec") from None
    try:
        return fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise DataError(
            f"{url} needs a package that is not installed: {reason_of(error)}. Install it here and on all nodes."
        ) from None
    except Exception as error:  # each protocol has its own exceptions
        raise DataError(f"{url} cannot be opened: {reason_of(error)}.") from None


@dataclass(frozen=True)
class Storage:
    """A folder for output. Every file is written whole or not at all.

    Args:
        location: a path or an fsspec URL.
    """

    location: str

    def write(self, name: str, content: bytes) -> None:
        """Write a file.

        Raises:
            OutputError: if it cannot be written.
        """
        if is_local(self.location):
            write_atomically(local_path(self.location) / name, lambda file: file.write(content))
            return
        system, root = open_file_system(self.location)
        target = f"{root.rstrip('/')}/{name}"
        try:
            if protocol_of(self.location) in OBJECT_STORES:
                system.pipe_file(target, content)
            else:
                _write_and_rename(system, target, content)
        except Exception as error:
            raise OutputError(f"{self.location}/{name} cannot be written: {reason_of(error)}.") from None

    def read(self, name: str) -> bytes:
        """Read a file.

        Raises:
            FileNotFoundError: if there is no such file.
            OutputError: if it cannot be read for another reason.
        """
        try:
            if is_local(self.location):
                return (local_path(self.location) / name).read_bytes()
            system, root = open_file_system(self.location)
            return system.cat_file(f"{root.rstrip('/')}/{name}")
        except FileNotFoundError:
            raise
        except Exception as error:  # each protocol has its own exceptions
            raise OutputError(f"{self.location}/{name} cannot be read: {reason_of(error)}.") from None

    def names(self) -> list[str]:
        """List the names in the folder; none if it is missing.

        Raises:
            OutputError: if it cannot be listed.
        """
        with suppress(FileNotFoundError):
            try:
                if is_local(self.location):
                    return sorted(os.listdir(local_path(self.location)))  # noqa: PTH208  # without a Path for each
                system, root = open_file_system(self.location)
                return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in system.ls(root, detail=False))
            except FileNotFoundError:
                raise
            except Exception as error:
                raise OutputError(f"{self.location} cannot be listed: {reason_of(error)}.") from None
        return []

    def remove_abandoned(self) -> None:
        """Remove temporary files of processes that were killed. Object stores have none."""
        if is_local(self.location):
            remove_abandoned(local_path(self.location))


def _write_and_rename(system: Any, target: str, content: bytes) -> None:
    """Write a file under another name first. A killed process leaves that one behind, and readers ignore it."""
    folder, _, name = target.rpartition("/")
    temporary = f"{folder}/_{uuid.uuid4().hex}-{name}"
    system.makedirs(folder, exist_ok=True)
    system.pipe_file(temporary, content)
    if system.exists(target):  # a repeated shard, with the same content
        system.rm_file(target)
    system.mv(temporary, target)
