"""The bound of a key: the events of its project that it may read and record.

It is stored as a JSON object of parameters that filter by equality, with their values:
`{"name": ["click"], "data.tenant": ["42"]}`. A key reads the events that match all of them. It may
record them unless a member is an array: of `[42, 43]`, keys with the bound 43 would see the event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from itertools import islice

from marshmallow import ValidationError

from ..auth.refusals import Denied
from ..config import MAX_FILTER_VALUES, MAX_MEMBERS, MAX_REPORTED_ERRORS
from ..events.schemas import EventFields, Text
from ..queries.matching import matches_singly
from ..queries.selection import Filter, Operator
from .members import PATH_PATTERN, parse_path

_FIELDS = ("name", "trace_id")

_RULE = (
    "Must be FIELD=VALUE, where FIELD is name, trace_id or a member such as data.tenant, without "
    "an operator."
)

# Noncharacters, as which PostgreSQL compares NUL, are no text (RFC 7493 section 2.1).
_NO_TEXT = re.compile("[\\x00\\ud800-\\udfff\\ufdd0]")


class OutsideBound(Denied):
    """Events of a request are not in the bound of its key; `problems` names each."""

    def __init__(self, problems: list[dict[str, str]]) -> None:
        detail = "The API key may not record these events; `errors` names each. Nothing was stored."
        super().__init__(HTTPStatus.FORBIDDEN, detail, error="insufficient_scope")
        self.problems = problems


def write(conditions: Iterable[str]) -> str:
    """Return the text of a bound from conditions such as `name=click`, "" if there are none.

    Several values of a field are alternatives. Raises ValidationError.
    """
    bound: dict[str, list[str]] = {}
    for condition in conditions:
        field, separator, value = _split(condition)
        if not separator or _NO_TEXT.search(condition):
            raise ValidationError(_RULE)
        _check(field, value)
        values = bound.setdefault(field, [])
        if value not in values:
            values.append(value)
    if len(bound) > MAX_MEMBERS or any(len(each) > MAX_FILTER_VALUES for each in bound.values()):
        limits = f"{MAX_MEMBERS} fields and {MAX_FILTER_VALUES} values of each"
        raise ValidationError(f"Must have at most {limits}.")
    return json.dumps(bound, ensure_ascii=False) if bound else ""


@lru_cache
def load(bound: str) -> tuple[Filter, ...]:
    """Return the filters of a bound."""
    parameters: Mapping[str, list[str]] = json.loads(bound) if bound else {}
    return tuple(
        Filter(_parse_field(field), Operator.EQUAL, tuple(values))
        for field, values in parameters.items()
    )


def check(bound: str, events: Iterable[tuple[int, EventFields]], is_batch: bool) -> None:
    """Raise OutsideBound if events, with their positions in the request, are not in a bound."""
    filters = load(bound)
    outside = (i for i, event in events if not matches_singly(event._asdict(), filters))
    if positions := list(islice(outside, MAX_REPORTED_ERRORS)):
        is_of_data = any(len(filter_.path) > 1 for filter_ in filters)
        detail = f"Must match {describe(bound)}{', not by an array' if is_of_data else ''}."
        pointers = (f"#/{i}" if is_batch else "#" for i in positions)
        raise OutsideBound([{"pointer": pointer, "detail": detail} for pointer in pointers])


def describe(bound: str) -> str:
    """Return a bound as it was written for `--only`: its conditions, with `|` between values."""
    parameters: Mapping[str, list[str]] = json.loads(bound) if bound else {}
    return " and ".join(f"{field}={'|'.join(values)}" for field, values in parameters.items())


def _split(condition: str) -> tuple[str, str, str]:
    # A quoted name may have an equals sign.
    match = re.match(r'((?:"[^"]*"|[^"=])*)(=?)(.*)', condition, re.DOTALL)
    return match.groups() if match else ("", "", "")  # type: ignore[return-value]


def _check(field: str, value: str) -> None:
    if field in _FIELDS:
        Text().deserialize(value)
    elif not re.fullmatch(PATH_PATTERN, field):
        raise ValidationError(_RULE)


def _parse_field(field: str) -> tuple[str, ...]:
    return (field,) if field in _FIELDS else parse_path(field)
