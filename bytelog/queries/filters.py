"""The conditions of a selection, as SQL expressions, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Float,
    String,
    and_,
    bindparam,
    literal,
    not_,
    or_,
    type_coerce,
)

from ..storage.keyset import BETWEEN_BOUNDS
from ..storage.members import ContainsText, HasText, MemberMatches, MemberText, Test, Value
from ..storage.models import Event
from ..storage.numbers import parse_number
from ..storage.sql import ColumnText, Position, StartsWith
from .selection import Filter, Operator, Selection, Shape, Shapes

_TYPES: dict[str, Any] = {"id": BigInteger, "name": ColumnText, "trace_id": ColumnText}

_TESTS = {
    Operator.EQUAL: Test.EQUAL,
    Operator.PREFIX: Test.PREFIX,
    Operator.GREATER: Test.GREATER,
    Operator.AT_LEAST: Test.AT_LEAST,
    Operator.LESS: Test.LESS,
    Operator.AT_MOST: Test.AT_MOST,
    Operator.EXISTS: Test.EXISTS,
}

_OPPOSITES = {Operator.NOT: Operator.EQUAL, Operator.MISSING: Operator.EXISTS}

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
"""The characters that JSON writes only with an escape (RFC 8259 section 7)."""

_STARTS = frozenset("{[-0123456789")
"""How an object, an array and a number start in JSON."""

_BOUND = "bound"
"""The start of the names of a bound's parameters, after which they are numbered."""

_events: Any = Event.__table__


def build_conditions(filters: Sequence[Shape]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of filters with these shapes."""
    return tuple(_build_condition(str(i), shape, _events) for i, shape in enumerate(filters))


def build_bound(bound: Sequence[Shape], events: Any = _events) -> Iterator[ColumnElement[bool]]:
    """Yield the conditions of a bound, which belong wherever events are limited to a project."""
    for i, shape in enumerate(bound):
        yield _build_condition(f"{_BOUND}{i}", shape, events)


def in_project(bound: Sequence[Shape], events: Any = _events) -> ColumnElement[bool]:
    """Return the condition that events are in the project, and in the bound."""
    is_in_project = events.c.project_id == bindparam("project_id")
    return and_(is_in_project, *build_bound(bound, events))


def build_window_conditions(shapes: Shapes) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on project, bound and date, and those of `build_conditions`."""
    return (in_project(shapes.bound), *BETWEEN_BOUNDS, *build_conditions(shapes.filters))


def bind_values(selection: Selection) -> dict[str, Any]:
    """Return the values for the conditions of a selection."""
    values = {"project_id": selection.project_id, **selection.bounds}
    for i, filter_ in enumerate(selection.filters):
        values |= _bind_values(str(i), filter_)
    for i, filter_ in enumerate(selection.bound):
        values |= _bind_values(f"{_BOUND}{i}", filter_)
    return values


def _build_condition(number: str, shape: Shape, events: Any) -> ColumnElement[bool]:
    if shape.operator in _OPPOSITES:
        opposite = _OPPOSITES[shape.operator]
        return not_(_build_condition(number, shape._replace(operator=opposite), events))
    if shape.operator is Operator.CONTAINS:
        return _contains_text(number, events)
    if shape.depth:
        return _member_matches(number, shape, events)
    return _column_matches(number, shape, events)


def _column_matches(number: str, shape: Shape, events: Any) -> ColumnElement[bool]:
    column: ColumnElement[Any] = events.c[shape.field]
    binds = _binds("value", number, shape.values, _TYPES[shape.field])
    if shape.operator is Operator.PREFIX:
        return or_(*(StartsWith(column, bind) for bind in binds))
    return column == binds[0] if shape.values == 1 else column.in_(binds)


def _member_matches(number: str, shape: Shape, events: Any) -> ColumnElement[bool]:
    data = type_coerce(events.c.data, String)
    path = _binds("name", number, shape.depth, MemberText)
    kinds = {"value": MemberText, "number": MemberText, "low": Float, "high": Float}
    binds = (_binds(kind, number, shape.values, type_) for kind, type_ in kinds.items())
    values = [Value(*each) for each in zip(*binds, strict=True)]
    json_path = bindparam(f"path{number}", type_=MemberText)
    matches = MemberMatches(data, path, json_path, _TESTS[shape.operator], values)
    texts = _binds("text", number, max(shape.values, 1), MemberText)
    return or_(*(Position(data, text) > 0 for text in texts), _has_escape(data)) & matches


def _contains_text(number: str, events: Any) -> ColumnElement[bool]:
    data = type_coerce(events.c.data, String)
    pattern, in_json = (bindparam(f"{kind}{number}_0", type_=String) for kind in ("value", "text"))
    columns = (ContainsText(column, pattern) for column in (events.c.name, events.c.trace_id))
    may_have_text = or_(ContainsText(data, in_json), _has_escape(data))
    return or_(*columns, may_have_text & HasText(data, pattern))


def _has_escape(data: ColumnElement[str]) -> ColumnElement[bool]:
    return Position(data, literal("\\")) > 0


def _binds(kind: str, number: str, count: int, type_: Any) -> list[BindParameter[Any]]:
    return [bindparam(f"{kind}{number}_{i}", type_=type_) for i in range(count)]


def _bind_values(number: str, filter_: Filter) -> dict[str, Any]:
    values: dict[str, Any]
    if filter_.operator is Operator.CONTAINS:
        values = {f"value{number}_0": _write_pattern(str(filter_.values[0]))}
    else:
        values = {f"value{number}_{i}": value for i, value in enumerate(filter_.values)}
    if names := filter_.path[1:]:
        values |= _bind_member(number, names, filter_)
    return values | _bind_texts(number, filter_)


def _bind_member(number: str, names: Sequence[str], filter_: Filter) -> dict[str, Any]:
    values: dict[str, Any] = {f"name{number}_{i}": name for i, name in enumerate(names)}
    values[f"path{number}"] = "$" + "".join(f'."{name}"' for name in names)
    for i, value in enumerate(filter_.values):
        text = str(value)
        as_number = None if parse_number(text) is None else text
        double = float(as_number or 0)
        # SQLite's own conversions err less than that.
        margin = 1e-12 * abs(double) + 1e-300
        values |= {
            f"number{number}_{i}": as_number,
            f"low{number}_{i}": double - margin,
            f"high{number}_{i}": double + margin,
        }
    return values


def _bind_texts(number: str, filter_: Filter) -> dict[str, str]:
    """Return a text that `data` contains if it matches, unless it has an escape, for each value."""
    name = f'"{filter_.path[-1]}":'
    texts = [_find_text(filter_, str(value)) or name for value in filter_.values] or [name]
    return {f"text{number}_{i}": text for i, text in enumerate(texts)}


def _find_text(filter_: Filter, value: str) -> str:
    if _ESCAPED.search(value):
        return '%"%' if filter_.operator is Operator.CONTAINS else '"'
    match filter_.operator:
        case Operator.CONTAINS:
            return _write_pattern(value)
        case Operator.PREFIX:
            return f'"{value}'
        case Operator.EQUAL | Operator.NOT if not _is_written_plainly(value):
            return f'"{value}"'
    return ""


def _write_pattern(text: str) -> str:
    """Return the pattern of LIKE for texts that contain a text."""
    escaped = re.sub(r"([%_\\])", r"\\\1", text)
    return f"%{escaped}%"


def _is_written_plainly(value: str) -> bool:
    """Return whether a value may be that of something other than a string."""
    return value in {"true", "false", "null"} or value[:1] in _STARTS
