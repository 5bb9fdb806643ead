"""Lines of a log, read as today's models although an older (or changed) version wrote them. Pure.

In: the text of a log, a model. Out: dicts brought to today's layout, or the model with all that could be made out of
one. Reading is tolerant: unknown fields are ignored, missing or unreadable ones get their default, else None, and
are named. Writing is the models' own business and stays strict.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from deribit.vocabulary import with_order_letter

SCHEMA_VERSION = 2
HASH_LETTERS = {"config_hash": "c-", "policy_hash": "p-"}

Model = TypeVar("Model", bound=BaseModel)


def json_objects(content: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a JSONL text; lines that do not parse (torn, or cut by the tail) are left out."""
    return (record for line in content.splitlines() if (record := json_object(line)) is not None)


def json_object(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None where it is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def is_of_newer_version(record: Mapping[str, Any]) -> bool:
    """A newer version of the agent may mean something else by the same words; a line without one is old."""
    version = record.get("schema_version", SCHEMA_VERSION)
    return type(version) is not int or version > SCHEMA_VERSION


def migrated(record: dict[str, Any]) -> dict[str, Any]:
    """A line in today's layout. Version 1 wrote hashes and order ids without the letter that keeps them text."""
    if record.get("schema_version") != 1:
        return record
    letters = {name: f"{letter}{record[name]}" for name, letter in HASH_LETTERS.items() if record.get(name)}
    ids = {"order_id": with_order_letter(str(record["order_id"]))} if record.get("order_id") else {}
    return record | letters | ids


def read_tolerantly(model: type[Model], record: Any, lost: list[str], where: str = "") -> Model:
    """The model made of a JSON object as far as it goes; `lost` gets the fields that stay None, by their path."""
    try:
        return model.model_validate_json(json.dumps(record))
    except ValidationError:
        values = {
            name: _field(field, record, name, lost, f"{where}{name}") for name, field in model.model_fields.items()
        }
    return model.model_construct(**values)


def _field(field: FieldInfo, record: Mapping[str, Any], name: str, lost: list[str], where: str) -> Any:
    if name in record:
        try:
            return _value(field, record[name], lost, where)
        except ValueError:  # of another type or range than today's
            pass
    if not field.is_required():
        return field.get_default(call_default_factory=True)
    inner, is_many = _model_in(field.annotation)
    if inner is not None and not is_many:
        return read_tolerantly(inner, {}, lost, f"{where}.")  # of nothing but what its fields have by default
    lost.append(where)
    return None


def _value(field: FieldInfo, value: Any, lost: list[str], where: str) -> Any:
    """A value of one field; models inside it are read as tolerantly. Raises ValueError."""
    try:
        return _adapter(cast(Hashable, field.annotation), *field.metadata).validate_json(json.dumps(value))
    except ValidationError:
        inner, is_many = _model_in(field.annotation)
        rows = value if is_many else [value]
        if inner is None or not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
            raise
    if is_many:
        return tuple(read_tolerantly(inner, row, lost, f"{where}.{n}.") for n, row in enumerate(rows))
    return read_tolerantly(inner, value, lost, f"{where}.")


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model in `Model`, `Model | None` or `tuple[Model, ...]`, and whether there are many."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if isinstance(annotation, UnionType) or get_origin(annotation) is tuple:
        found = next((model for part in get_args(annotation) if (model := _model_in(part)[0]) is not None), None)
        return found, get_origin(annotation) is tuple
    return None, False


@cache
def _adapter(annotation: Any, *metadata: Any) -> TypeAdapter[Any]:
    whole: Any = Annotated[annotation, *metadata] if metadata else annotation
    return TypeAdapter(whole)
