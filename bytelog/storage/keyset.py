"""Keyset paging: the orders in which events are read, and how each continues after a position."""

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


class KeysetPlan(NamedTuple):
    """An order, and the events after a position in it, in parts that follow one another.

    A plan in two parts is for indexes that do not serve `(date, key) > …`, such as SQLite's. Each
    part has only the bounds that it does not imply: SQLite would seek to the others in every page.
    Where the date equals the position's, the bound is checked against the position: checked against
    the event, SQLite may search for the bound instead of the date, and read a whole project for a
    page.
    """

    order: tuple[Any, ...]
    parts: tuple[Conditions, ...]


_from_start, _before_end = date >= bindparam("start"), date < bindparam("end")
_position_date = bindparam("date", type_=DateText)
_position_key = bindparam("key", type_=BigInteger)
_event = tuple_(date, Event.key)
_position = tuple_(_position_date, _position_key)

_ASCENDING = (date, Event.key)
_DESCENDING = (date.desc(), Event.key.desc())
_ARRIVAL = KeysetPlan((Event.key,), ((Event.key > _position_key, _from_start, _before_end),))

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
    Order.ARRIVAL: _ARRIVAL,
}

ROW_COMPARISON_PLANS = {
    # The date is compared by itself too: it tells PostgreSQL which partitions it need not read.
    Order.DATE: KeysetPlan(
        _ASCENDING, ((_event > _position, date >= _position_date, _before_end),)
    ),
    Order.NEWEST: KeysetPlan(
        _DESCENDING, ((_event < _position, date <= _position_date, _from_start),)
    ),
    Order.ARRIVAL: _ARRIVAL,
}
