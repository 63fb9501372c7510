"""The query parameters that filter by members of `data`, such as `data.plan[not]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from ..config import MAX_FILTER_VALUES, MAX_MEMBER_DEPTH, MAX_MEMBERS
from ..queries.selection import Filter, Operator
from .fields import NumberField

PREFIX = "data."
"""The start of each parameter that filters by a member of `data`."""

_NAME = r'(?:[^."\[\]\u0000]+|"[^"\u0000]+")'
_PATH = rf"(?:\.{_NAME}){{1,{MAX_MEMBER_DEPTH}}}"
_ORDER = (Operator.GREATER, Operator.AT_LEAST, Operator.LESS, Operator.AT_MOST)
_OPERATORS = (Operator.NOT, Operator.PREFIX, *_ORDER, Operator.EXISTS)

PATH_PATTERN = f"^data{_PATH}$"
"""The pattern of a member's path."""

_ANY_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _ANY_TEXT, "minItems": 1, "maxItems": MAX_FILTER_VALUES}
_SUFFIX = rf"(?:\[({'|'.join(_OPERATORS)})\])?"
SCHEMA = {
    "type": "object",
    "propertyNames": {"pattern": f"^data{_PATH}{_SUFFIX}$"},
    "patternProperties": {
        rf"^data{_PATH}(\[(not|prefix)\])?$": {"anyOf": [_ANY_TEXT, _TEXTS]},
        rf"^data{_PATH}\[({'|'.join(_ORDER)})\]$": {"type": "number"},
        rf"^data{_PATH}\[exists\]$": {"type": "string", "enum": ["true", "false"]},
    },
    # Generators know no patterns of names, and derive the type of the values from this.
    "additionalProperties": {"anyOf": [_ANY_TEXT, _TEXTS, {"type": "number"}]},
    "maxProperties": MAX_MEMBERS,
}
"""The parameters that filter by members of `data`, as one object."""

_PARAMETER = re.compile(rf"data({_PATH}){_SUFFIX}")

_RULE = (
    "Must name a member of `data`, and perhaps an operator: `data.plan`, `data.plan[not]`. Join "
    f"the names of nested members by dots, {MAX_MEMBER_DEPTH} at most, and quote a name with a dot "
    'or a bracket: `data."service.name"`.'
)
_EXISTS = {"true": Operator.EXISTS, "false": Operator.MISSING}


def parse_path(text: str) -> tuple[str, ...]:
    """Return the path of a member, from `data` on; raises ValidationError."""
    if not re.fullmatch(PATH_PATTERN, text):
        raise ValidationError(_RULE)
    return ("data", *_split(text.removeprefix("data")))


def load_members(query: Mapping[str, list[str]]) -> tuple[Filter, ...]:
    """Return a filter for each parameter, in order; raises ValidationError naming each bad one."""
    filters, problems = [], {}
    for name, values in query.items():
        try:
            filters.append(_load(name, values))
        except ValidationError as error:
            problems[name] = error.messages
    if len(query) > MAX_MEMBERS:
        problems = {PREFIX: [f"Must be {MAX_MEMBERS} members at most."], **problems}
    if problems:
        raise ValidationError(problems)
    return tuple(filters)


def _load(name: str, values: list[str]) -> Filter:
    match = _PARAMETER.fullmatch(name)
    if match is None:
        raise ValidationError(_RULE)
    path, operator = ("data", *_split(match[1])), Operator(match[2] or "")
    if operator is Operator.EXISTS:
        return Filter(path, _load_existence(values))
    if operator in _ORDER:
        return Filter(path, operator, (_load_bound(values),))
    if len(values) > MAX_FILTER_VALUES:
        raise ValidationError(f"Must be given {MAX_FILTER_VALUES} times at most.")
    return Filter(path, operator, tuple(values))


def _split(path: str) -> list[str]:
    return [quoted or plain for quoted, plain in re.findall(r'\.(?:"([^"]+)"|([^."]+))', path)]


def _load_existence(values: list[str]) -> Operator:
    _check_single(values)
    if values[0] not in _EXISTS:
        raise ValidationError("Must be true or false.")
    return _EXISTS[values[0]]


def _load_bound(values: list[str]) -> str:
    _check_single(values)
    return str(NumberField().deserialize(values[0]))


def _check_single(values: list[str]) -> None:
    if len(values) > 1:
        raise ValidationError("Given more than once.")


class MemberField(fields.Field[tuple[str, ...]]):
    """The path of a member of `data`."""

    json_schema: Any = {"type": "string", "pattern": PATH_PATTERN}  # noqa: RUF012

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[str, ...]:
        return parse_path(value)
