"""Validate recipes with pydantic, and describe errors for people.

pydantic is imported only when a recipe is changed or read, so that recipes can be listed quickly and without it.
"""

import ast
import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from annotated_types import Ge, Le

from ferlab.errors import FerlabError, MissingExtraError, RecipeError, UnknownNameError
from ferlab.models import model_options

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import ErrorDetails

Count = Annotated[int, Ge(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Le(1)]

Value = TypeVar("Value")

FILLED_BY_REGISTRY = ("name", "group")
TYPE_NAMES = {"int": "an int", "float": "a float", "bool": "a bool", "string": "a str", "tuple": "a list of values"}


def validate(kind: type[Value], values: Any, key: str = "") -> Value:
    """Convert values, or their text, to a type.

    Args:
        kind: a dataclass or another type that pydantic can validate.
        values: the value; for a dataclass, a dictionary.
        key: name of the value in error messages.

    Raises:
        UnknownNameError: if a field does not exist.
        RecipeError: if a value is missing, has the wrong type or is out of range.
    """
    adapter = _adapter(kind)  # type: ignore[arg-type]  # types are hashable
    from pydantic import ValidationError

    try:
        return adapter.validate_python(values)
    except ValidationError as error:
        raise _explain(error.errors()[0], kind, key) from None


def apply_changes(recipe: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe with some of them replaced; `validate` checks the new values.

    Args:
        recipe: a `Recipe`.
        changes: values, or their text, by field name or dotted name.

    Raises:
        UnknownNameError: if a field or an option of the model does not exist.
        RecipeError: if a name stands for a group of fields.
    """
    values = dataclasses.asdict(recipe)
    fields = _field_types(type(recipe))
    for key, value in changes.items():
        group, _, name = key.rpartition(".")
        if group == "model":
            values["model"][name] = _model_option(values["architecture"], name, value)
        elif key in fields:
            (values[group] if group else values)[name] = _from_text(value, fields[key])
        else:
            raise _unknown_field(key, fields)
    return values


def flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dictionaries into one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in fields.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    try:
        from pydantic import TypeAdapter
    except ModuleNotFoundError:
        raise MissingExtraError("evaluate", "pydantic") from None
    return TypeAdapter(kind)


def _field_types(kind: type) -> dict[str, Any]:
    """Return the types of all fields that can be changed by dotted name, those of nested dataclasses included."""
    fields: dict[str, Any] = {}
    for name, wanted in typing.get_type_hints(kind, include_extras=True).items():
        if isinstance(wanted, type) and dataclasses.is_dataclass(wanted):
            fields |= {f"{name}.{nested}": nested_type for nested, nested_type in _field_types(wanted).items()}
        elif name != "model" and name not in FILLED_BY_REGISTRY and not name.startswith("_"):
            fields[name] = wanted
    return fields


def _from_text(value: Any, wanted: Any) -> Any:
    """Convert the texts of command lines that pydantic does not know: `a,b` for a tuple, `none` for None."""
    if not isinstance(value, str):
        return value
    if typing.get_origin(wanted) is tuple:
        return tuple(filter(None, value.split(",")))
    return None if value == "none" and types.NoneType in typing.get_args(wanted) else value


def _model_option(architecture: str, name: str, value: Any) -> Any:
    options = model_options(architecture)
    if name not in options:
        raise UnknownNameError(f"option of the model '{architecture}'", name, options)
    default = options[name]
    if isinstance(default, str | int | float):
        return validate(type(default), value, f"model.{name}")
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        return value


def _unknown_field(key: str, fields: Mapping[str, Any]) -> FerlabError:
    group, _, name = key.rpartition(".")
    groups = {"model", *(field.rpartition(".")[0] for field in fields if "." in field)}
    if key in groups or group in fields:
        return RecipeError(f"'{key}' cannot be set. Name one field, such as 'augmentation.flip' or 'model.dropout'.")
    if group in groups:
        members = [field.removeprefix(f"{group}.") for field in fields if field.startswith(f"{group}.")]
        return UnknownNameError("recipe field", name, members)
    return UnknownNameError("recipe field", key, [*groups, *(field for field in fields if "." not in field)])


def _explain(error: "ErrorDetails", kind: type, key: str) -> FerlabError:
    """Turn one error of pydantic into a message for people."""
    key = ".".join(map(str, error["loc"])) or key
    problem, given = error["type"], error["input"]
    if problem == "unexpected_keyword_argument":
        return _unknown_field(key, _field_types(kind))
    if problem == "missing":
        return RecipeError(f"{key} is missing.")
    if problem == "literal_error":
        choices = typing.get_args(_field_types(kind)[key])
        return RecipeError(f"{key} must be one of {', '.join(choices)}, got {given!r}.")
    if problem in ("greater_than_equal", "less_than_equal"):
        return RecipeError(f"{key} must be {_describe_range(_field_types(kind)[key])}, got {given}.")
    if problem == "finite_number":
        return RecipeError(f"{key} must be a finite number, got {given}.")
    if wanted := TYPE_NAMES.get(problem.partition("_")[0]):
        return RecipeError(f"{key} must be {wanted}, got {given!r}.")
    return RecipeError(f"{key}: {error['msg']}, got {given!r}.")


def _describe_range(wanted: Any) -> str:
    metadata = [item for part in (wanted, *typing.get_args(wanted)) for item in getattr(part, "__metadata__", ())]
    least = next((item.ge for item in metadata if isinstance(item, Ge)), None)
    most = next((item.le for item in metadata if isinstance(item, Le)), None)
    return f"at least {least}" if most is None else f"between {least} and {most}"
