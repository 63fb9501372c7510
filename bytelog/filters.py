"""What the events that are asked for must have, told to SQLite."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    String,
    TableValuedAlias,
    bindparam,
    case,
    func,
    literal,
    select,
    type_coerce,
)

from .models import Event
from .selection import Selection

date = type_coerce(Event.date, String)
"""The date as the text that SQLite keeps; a moment in Python takes longer to make than to read."""


def filtered(names: tuple[str, ...], depths: tuple[int, ...]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for members with these names, and for members of `data` at depths."""
    columns = tuple(Event.__table__.c[name] == bindparam(name) for name in names)
    return columns + tuple(_member_equals(number, depth) for number, depth in enumerate(depths))


def values(selection: Selection) -> dict[str, Any]:
    """Return the values for the conditions of a selection, its project and its bounds."""
    given = {"project_id": selection.project_id, **selection.bounds, **selection.filters}
    for number, (path, value) in enumerate(selection.data.items()):
        given[f"value{number}"] = value
        for level, name in enumerate(path.split(".")):
            given[f"name{number}_{level}"] = name
    return given


def _member_equals(number: int, depth: int) -> ColumnElement[bool]:
    # SQLite's paths find a name as it was written: one with an escape would be missed. Only
    # `json_each` reads names. A string is compared by what it says, all else as it was written.
    data: ColumnElement[Any] = type_coerce(Event.data, String)
    way = []
    for level in range(depth):
        way.append(member := _members(data))
        is_named = member.c.key == bindparam(f"name{number}_{level}", type_=String)
        data = case((is_named & (member.c.type == "object"), member.c.value))
    written = member.c.json.op("->")(member.c.fullkey)
    said = case((member.c.type == "text", member.c.atom), else_=written)
    is_equal = said == bindparam(f"value{number}", type_=String)
    return select(literal(1)).select_from(*way).where(case((is_named, is_equal))).exists()


def _members(data: ColumnElement[Any]) -> TableValuedAlias:
    columns = ("key", "value", "type", "atom", "fullkey", "json")
    return func.json_each(data).table_valued(*columns, joins_implicitly=True)
