"""Write typed results to JSON files, and read them back.

Every file has a `schema` number. Files of schema 1, in which `selected_on` was one string and some keys had other
names, are still read.
"""

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ferlab.errors import MissingExtraError, RunError, reason_of
from ferlab.files import read_file, write_text
from ferlab.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from pydantic import TypeAdapter

SCHEMA = 2
RENAMED = {"departures": "deviations", "distinct": "significant"}  # keys of schema 1
BY_CLASS = ("classes", "per_class")  # keys whose values are keyed by class names, which may be anything

Record = TypeVar("Record", bound="DataclassInstance")


def to_json(record: "DataclassInstance") -> dict[str, Any]:
    """Convert a result to plain JSON values, with the schema number first."""
    return {"schema": SCHEMA, **dataclasses.asdict(record)}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object atomically.

    Raises:
        OutputError: if the file cannot be written.
    """
    text = json.dumps(values, indent=1, ensure_ascii=False)
    write_text(path, f"{text}\n")


def write_result(path: Path, record: "DataclassInstance") -> None:
    """Write a result as a JSON file, as in `write_json`."""
    write_json(path, to_json(record))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, with the key names of the current schema.

    Raises:
        RunError: if the file is missing, damaged, or has an unknown schema.
    """
    try:
        values = decode_json(read_file(path, MAX_TEXT_BYTES))
    except FileNotFoundError:
        raise RunError(f"{path} does not exist. Is {path.parent} a ferlab run folder?") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {reason_of(error)}.") from None
    if not isinstance(values, dict):
        raise RunError(f"{path} does not contain a JSON object. Is {path.parent} a ferlab run folder?")
    if values.get("schema") not in range(1, SCHEMA + 1):
        raise RunError(
            f"{path} has schema {values.get('schema')}, but this version of ferlab reads 1 to {SCHEMA}. Update ferlab."
        )
    return _upgraded(values) if values["schema"] < SCHEMA else values


def decode_json(content: bytes) -> Any:
    """Decode JSON in UTF-8.

    Raises:
        ValueError: if it is damaged, or nested too deeply.
    """
    try:
        return json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_result(kind: type[Record], path: Path) -> Record:
    """Read a JSON file into a typed result.

    Args:
        kind: the dataclass.
        path: the file.

    Raises:
        RunError: as in `read_json`, or if a key is missing or has a value of another type.
    """
    return parse(kind, read_json(path), path)


def parse(kind: type[Record], values: Mapping[str, Any], path: Path) -> Record:
    """Convert JSON values into a typed result. Unknown keys are ignored.

    Raises:
        RunError: if a key is missing or has a value of another type.
    """
    adapter = _adapter(kind)
    from pydantic import ValidationError

    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise RunError(f"{path}: {key}: {first['msg'].lower()}. The file is damaged or incomplete.") from None


@cache
def _adapter(kind: type[Record]) -> "TypeAdapter[Record]":
    try:
        from pydantic import TypeAdapter
    except ModuleNotFoundError:
        raise MissingExtraError("evaluate", "pydantic") from None
    return TypeAdapter(kind)


def _upgraded(values: Any) -> Any:
    """Convert values of schema 1 to the key names and types of schema 2."""
    if isinstance(values, list):
        return [_upgraded(value) for value in values]
    if not isinstance(values, dict):
        return values
    upgraded = {RENAMED.get(key, key): value if key in BY_CLASS else _upgraded(value) for key, value in values.items()}
    if isinstance(upgraded.get("selected_on"), str):
        upgraded["selected_on"] = upgraded["selected_on"].split("+")
    return upgraded
