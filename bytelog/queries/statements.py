"""The statements that read events: made once for a kind of listing, and given values each time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    bindparam,
    case,
    cast,
    func,
    select,
    tuple_,
    type_coerce,
    union_all,
)

from ..config import PAGE_BYTES
from ..storage.models import Event
from ..storage.sql import Joined
from ..storage.types import UTF8, DateText
from .filters import conditions, date
from .formats import Format
from .selection import Order

highest_key = select(func.coalesce(func.max(Event.key), 0))
"""The key of the last event that arrived, in any project."""

_Conditions = tuple[ColumnElement[bool], ...]


class KeysetPlan(NamedTuple):
    """An order, and the parts of what follows a position in it.

    PostgreSQL's indexes serve `(date, key) > …`. SQLite's do not, so that there are two parts; each
    has the bounds that it does not imply: SQLite would seek to the others in every page. Where the
    date is that of the position, the bound is asked of the position: asked of the event, SQLite may
    search for the bound instead of the date, and read a whole project for a page.
    """

    order: tuple[Any, ...]
    parts: tuple[_Conditions, ...]


_from_start, _before_end = date >= bindparam("start"), date < bindparam("end")
_place = bindparam("date", type_=DateText)

_position, _given = tuple_(date, Event.key), tuple_(_place, bindparam("key", type_=BigInteger))

_WAYS_OF_SQLITE = {
    Order.DATE: KeysetPlan(
        order=(date, Event.key),
        parts=(
            (date == _place, Event.key > bindparam("key"), _place < bindparam("end")),
            (date > _place, _before_end),
        ),
    ),
    Order.NEWEST: KeysetPlan(
        order=(date.desc(), Event.key.desc()),
        parts=(
            (date == _place, Event.key < bindparam("key"), _place >= bindparam("start")),
            (date < _place, _from_start),
        ),
    ),
    Order.ARRIVAL: KeysetPlan(
        order=(Event.key,),
        parts=((Event.key > bindparam("key"), _from_start, _before_end),),
    ),
}

_WAYS = {
    "sqlite": _WAYS_OF_SQLITE,
    "postgresql": {
        # The bounds that a position implies tell which partitions need not be looked at.
        Order.DATE: KeysetPlan(
            order=(date, Event.key),
            parts=((_position > _given, date >= _place, _before_end),),
        ),
        Order.NEWEST: KeysetPlan(
            order=(date.desc(), Event.key.desc()),
            parts=((_position < _given, date <= _place, _from_start),),
        ),
        Order.ARRIVAL: _WAYS_OF_SQLITE[Order.ARRIVAL],
    },
}


class Part:
    """One part of what follows a position: a page of it, and the positions of its events."""

    def __init__(self, dialect: str, format_: Format, ordered: Select[Any]) -> None:
        self.page = _PAGES[dialect](format_, ordered.limit(bindparam("rows")))
        positions = ordered.with_only_columns(date.label("date"), Event.key)
        self.positions = positions.limit(bindparam("rows")).offset(bindparam("skipped"))


class Statements:
    """What it takes to send a listing: its size, and its parts."""

    def __init__(
        self,
        dialect: str,
        format_: Format,
        order: Order,
        filters: tuple[str, ...],
        depths: tuple[int, ...],
    ) -> None:
        way = _WAYS[dialect][order]
        mine = (_is_of_project(order, filters), *conditions(filters, depths))
        self.snapshot_bounds = _select_bounds(order, [(*mine, *part) for part in way.parts])
        snapshot_bounds = (*mine, Event.key <= bindparam("last"))
        self.parts = [
            Part(
                dialect, format_, select(Event).where(*snapshot_bounds, *part).order_by(*way.order)
            )
            for part in way.parts
        ]


def _page_of_sqlite(format_: Format, ordered: Select[Any]) -> Select[Any, Any]:
    # SQLite keeps the order of a subquery for an aggregate around it (flattening rule 16), and
    # stops at PAGE_BYTES by itself.
    texts = ordered.with_only_columns(format_.event(Event.__table__.c).label("text"))
    text = Joined(texts.subquery().c.text, format_.separator) + format_.closing
    return select(func.count(), cast(text, UTF8))


def _page_of_postgresql(format_: Format, ordered: Select[Any]) -> Select[Any, Any]:
    # The lengths are known without reading what is long; no text is built if it would be too long.
    events = ordered.cte()
    size = select(func.sum(func.octet_length(events.c.data))).scalar_subquery()
    texts = select(format_.event(events.c).label("text")).subquery()
    text = select(Joined(texts.c.text, format_.separator) + format_.closing).scalar_subquery()
    count = select(func.count()).select_from(events).scalar_subquery()
    return select(count, type_coerce(case((size <= PAGE_BYTES, text)), UTF8))


_PAGES = {"sqlite": _page_of_sqlite, "postgresql": _page_of_postgresql}

statements = lru_cache(maxsize=200)(Statements)
"""The statements for a kind of listing; making them takes a millisecond."""


def _select_bounds(order: Order, parts: list[_Conditions]) -> Select[Any]:
    size = func.count().label("size"), func.max(Event.key).label("last")
    sizes = union_all(*(select(*size).where(*part) for part in parts)).subquery()
    # Who asks what is new goes on after all that was looked at, not after what was found.
    last = highest_key.scalar_subquery() if order is Order.ARRIVAL else func.max(sizes.c.last)
    return select(func.sum(sizes.c.size), func.coalesce(last, 0))


def _is_of_project(order: Order, filters: tuple[str, ...]) -> ColumnElement[bool]:
    # Adding nothing keeps SQLite from sorting the whole project by key: it walks the table.
    walks = order is Order.ARRIVAL and "trace_id" not in filters
    return (Event.project_id + 0 if walks else Event.project_id) == bindparam("project_id")
