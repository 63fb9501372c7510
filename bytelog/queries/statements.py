"""The queries that read events, built once for each kind of listing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, select, union_all

from ..storage import epochs
from ..storage.backend import Backend
from ..storage.keyset import Conditions, KeysetPlan, Order, date
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from .filters import build_bound, build_conditions
from .formats import Format
from .selection import Shape, Shapes, is_of_traces

highest_key = select(func.coalesce(func.max(Event.key), 0))
"""The key of the last event that arrived, in any project."""

_epochs = (
    epochs.newest_first_key.label("first_key"),
    epochs.newest_name.label("newest"),
    epochs.name_of("cursor_key").label("of_cursor"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the queries of a listing depend on."""

    backend: type[Backend]
    format: Format
    order: Order
    shapes: Shapes

    @property
    def plan(self) -> KeysetPlan:
        """Return the keyset plan."""
        return self.backend.keyset_plans[self.order]

    def conditions(self) -> Conditions:
        """Return the conditions that every event of the listing fulfills."""
        filters, bound = self.shapes
        project = _in_project(self.order, filters + bound)
        return (project, *build_bound(bound), *build_conditions(filters))


class KeyQueries:
    """Queries for the keys of all projects' events."""

    def __init__(self, backend: type[Backend]) -> None:
        self.highest = Query(highest_key, backend.dialect)
        """The key of the last event that arrived."""
        self.epoch = Query(select(epochs.name_of("cursor_key")), backend.dialect)
        """The name of the epoch of a key."""
        self.snapshot_end = Query(highest_key.add_columns(*_epochs), backend.dialect)
        """The key of the last event, and the epochs of the newest events and the cursor."""


class Part:
    """Queries for one part of a listing: a page of events, and their positions."""

    def __init__(self, kind: Kind, conditions: Conditions) -> None:
        self._kind = kind
        self._conditions = conditions

    @cached_property
    def page(self) -> Query:
        """The number of events, and their text."""
        backend, format_ = self._kind.backend, self._kind.format
        page = backend.page(self._select(), format_.event, format_.separator, format_.closing)
        return Query(page, backend.dialect)

    @cached_property
    def positions(self) -> Query:
        """The date and key of each event."""
        positions = self._select().with_only_columns(date, Event.key)
        return Query(positions.offset(bindparam("skipped")), self._kind.backend.dialect)

    def _select(self) -> Select[Any]:
        conditions = (*self._kind.conditions(), *self._conditions, Event.key <= bindparam("last"))
        ordered = select(Event).where(*conditions).order_by(*self._kind.plan.order)
        return ordered.limit(bindparam("rows"))


class ListingQueries:
    """The queries of a kind of listing. Each is built at its first use, which takes milliseconds.

    `beginning` and `bounds` are for a listing without a cursor, the others for one after a cursor.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.beginning = Part(kind, kind.plan.all)
        self.after_position = [Part(kind, conditions) for conditions in kind.plan.parts]

    @cached_property
    def bounds(self) -> Query:
        """The number of events, the key up to which they are counted, and the epochs."""
        return self._build_bounds([self._kind.plan.all])

    @cached_property
    def bounds_after_position(self) -> Query:
        """The same for the events after a position."""
        return self._build_bounds(self._kind.plan.parts)

    def _build_bounds(self, parts: Iterable[Conditions]) -> Query:
        size = func.count().label("size"), func.max(Event.key).label("last")
        selected = self._kind.conditions()
        sizes = union_all(*(select(*size).where(*selected, *part) for part in parts)).subquery()
        # In order of arrival, the next cursor is after the last event of the table, selected or
        # not: the same events need not be examined again.
        is_arrival = self._kind.order is Order.ARRIVAL
        last = highest_key.scalar_subquery() if is_arrival else func.max(sizes.c.last)
        bounds = select(func.sum(sizes.c.size), func.coalesce(last, 0), *_epochs)
        return Query(bounds, self._kind.backend.dialect)


prepare = lru_cache(MAX_QUERIES)(ListingQueries)
"""Return the cached queries of a kind of listing."""

prepare_keys = cache(KeyQueries)
"""Return the cached queries for keys."""


def _in_project(order: Order, filters: tuple[Shape, ...]) -> ColumnElement[bool]:
    # The addition makes SQLite scan the table by key instead of sorting the whole project.
    is_table_scan = order is Order.ARRIVAL and not any(map(is_of_traces, filters))
    project_id = Event.project_id + 0 if is_table_scan else Event.project_id
    return project_id == bindparam("project_id")
