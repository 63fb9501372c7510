"""Keyset paging: the orders of events, and the conditions that continue each after a position."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, bindparam, tuple_, type_coerce

from .models import Event
from .types import DateText

date = type_coerce(Event.date, DateText)
"""The date of an event, which Python sends and receives as text."""

Conditions = tuple[ColumnElement[bool], ...]


class Order(StrEnum):
    """The order of events. Equal dates are in the order of arrival."""

    DATE = "date"
    NEWEST = "newest"
    ARRIVAL = "arrival"


BETWEEN_BOUNDS = _from_start, _before_end = date >= bindparam("start"), date < bindparam("end")
"""The conditions for the events of a window."""


class KeysetPlan(NamedTuple):
    """An order, and the conditions for its events: all, or those after a position, in parts.

    A plan has two parts where indexes cannot serve `(date, key) > …`, as in SQLite. Each part has
    only the bounds that it does not imply: SQLite would seek to the others in every page. Where the
    date equals the position's date, the bound is compared with the position. If it were compared
    with the event, SQLite might search for the bound instead of the date, and read a whole project
    for a page.

    `scans_table` is whether the order is that of the table, and no index has it for a project.
    """

    order: tuple[Any, ...]
    parts: tuple[Conditions, ...]
    all: Conditions = BETWEEN_BOUNDS
    scans_table: bool = False


_position_date = bindparam("date", type_=DateText)
_position_key = bindparam("key", type_=BigInteger)
_event = tuple_(date, Event.key)
_position = tuple_(_position_date, _position_key)

_ASCENDING = (date, Event.key)
_DESCENDING = (date.desc(), Event.key.desc())
_later = (Event.key > _position_key, _from_start, _before_end)
_ARRIVAL = KeysetPlan((Event.key,), (_later,), _later)

TWO_PART_PLANS = {
    Order.DATE: KeysetPlan(
        _ASCENDING,
        (
            (date == _position_date, Event.key > _position_key, _position_date < bindparam("end")),
            (date > _position_date, _before_end),
        ),
    ),
    Order.NEWEST: KeysetPlan(
        _DESCENDING,
        (
            (
                date == _position_date,
                Event.key < _position_key,
                _position_date >= bindparam("start"),
            ),
            (date < _position_date, _from_start),
        ),
    ),
    Order.ARRIVAL: _ARRIVAL._replace(scans_table=True),
}

ROW_COMPARISON_PLANS = {
    # The date is also compared alone, so that PostgreSQL skips partitions.
    Order.DATE: KeysetPlan(
        _ASCENDING, ((_event > _position, date >= _position_date, _before_end),)
    ),
    Order.NEWEST: KeysetPlan(
        _DESCENDING, ((_event < _position, date <= _position_date, _from_start),)
    ),
    Order.ARRIVAL: _ARRIVAL,
}
