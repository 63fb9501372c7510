"""The conditions of a selection, as SQL expressions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, String, bindparam, type_coerce

from ..storage.keyset import BETWEEN_BOUNDS
from ..storage.models import Event
from ..storage.sql import ColumnText, MemberEquals, MemberText
from .selection import Selection

_TYPES = {"id": BigInteger, "name": ColumnText, "trace_id": ColumnText}


def build_conditions(
    names: tuple[str, ...], depths: tuple[int, ...]
) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on the named fields, and on members of `data` at these depths."""
    columns = tuple(
        Event.__table__.c[name] == bindparam(name, type_=_TYPES[name]) for name in names
    )
    return columns + tuple(_member_equals(number, depth) for number, depth in enumerate(depths))


def build_window_conditions(
    names: tuple[str, ...], depths: tuple[int, ...]
) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on the project and the date, and those of `build_conditions`."""
    return (
        Event.project_id == bindparam("project_id"),
        *BETWEEN_BOUNDS,
        *build_conditions(names, depths),
    )


def bind_values(selection: Selection) -> dict[str, Any]:
    """Return the values for the conditions of a selection."""
    values = {"project_id": selection.project_id, **selection.bounds, **selection.filters}
    for number, (path, value) in enumerate(selection.data.items()):
        values[f"value{number}"] = value
        for level, name in enumerate(path.split(".")):
            values[f"name{number}_{level}"] = name
    return values


def _member_equals(number: int, depth: int) -> ColumnElement[bool]:
    path = (bindparam(f"name{number}_{level}", type_=MemberText) for level in range(depth))
    data = type_coerce(Event.data, String)
    return MemberEquals(data, bindparam(f"value{number}", type_=MemberText), *path)
