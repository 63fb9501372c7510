"""The queries that read events, built once for each kind of listing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, null, select, union_all

from ..storage import epochs, horizon
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

_end = highest_key.add_columns(null(), null(), *_epochs)
# One row, also if there is no event.
_concurrent_end = select(
    func.coalesce(func.max(horizon.newest.c.key), 0),
    func.max(horizon.newest.c.transaction),
    horizon.current_snapshot,
    *_epochs,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What the queries of a listing depend on.

    `leaves_out_running` is whether transactions may commit that ran when the listing began.
    """

    backend: type[Backend]
    format: Format
    order: Order
    shapes: Shapes
    leaves_out_running: bool = False

    @property
    def plan(self) -> KeysetPlan:
        """Return the keyset plan."""
        return self.backend.keyset_plans[self.order]

    def conditions(self) -> Conditions:
        """Return the conditions that every event of the listing fulfills."""
        filters, bound = self.shapes
        project = _in_project(self.plan, filters + bound)
        end = Event.key <= bindparam("last"), *self._visible()
        return (project, *build_bound(bound), *build_conditions(filters), *end)

    def _visible(self) -> Conditions:
        return (horizon.was_visible,) if self.leaves_out_running else ()


class KeyQueries:
    """Queries for the keys of all projects' events."""

    def __init__(self, backend: type[Backend]) -> None:
        self._backend = backend
        self.highest = Query(highest_key, backend.dialect)
        """The key of the last event that arrived."""
        self.epoch = Query(select(epochs.name_of("cursor_key")), backend.dialect)
        """The name of the epoch of a key."""
        end = _concurrent_end if backend.commits_concurrently else _end
        self.snapshot_end = Query(end, backend.dialect)
        """The key of the last event, the id of its transaction and the snapshot, both None where
        commits have the order of the keys, and the epochs of the newest events and the cursor."""

    @cached_property
    def decided_key(self) -> Query:
        """The highest decided key."""
        return Query(horizon.decided_key, self._backend.dialect)


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
        conditions = (*self._kind.conditions(), *self._conditions)
        ordered = select(Event).where(*conditions).order_by(*self._kind.plan.order)
        return ordered.limit(bindparam("rows"))


class ListingQueries:
    """The queries of a kind of listing. Each is built at its first use, which takes milliseconds.

    `beginning` and `size` are for a listing without a cursor, the others for one after a cursor.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.beginning = Part(kind, kind.plan.all)
        self.after_position = [Part(kind, conditions) for conditions in kind.plan.parts]

    @cached_property
    def size(self) -> Query:
        """The number of events."""
        return self._build_size([self._kind.plan.all])

    @cached_property
    def size_after_position(self) -> Query:
        """The number of events after a position."""
        return self._build_size(self._kind.plan.parts)

    def leave_out_running(self) -> ListingQueries:
        """Return the queries that leave out what running transactions commit meanwhile."""
        return prepare(replace(self._kind, leaves_out_running=True))

    def _build_size(self, parts: Iterable[Conditions]) -> Query:
        size, selected = func.count().label("size"), self._kind.conditions()
        sizes = union_all(
            *(select(size).select_from(Event).where(*selected, *part) for part in parts)
        )
        total = select(func.sum(sizes.subquery().c.size))
        return Query(total, self._kind.backend.dialect)


prepare = lru_cache(MAX_QUERIES)(ListingQueries)
"""Return the cached queries of a kind of listing."""

prepare_keys = cache(KeyQueries)
"""Return the cached queries for keys."""


def _in_project(plan: KeysetPlan, filters: tuple[Shape, ...]) -> ColumnElement[bool]:
    # The addition makes SQLite scan the table by key instead of sorting the whole project.
    is_table_scan = plan.scans_table and not any(map(is_of_traces, filters))
    project_id = Event.project_id + 0 if is_table_scan else Event.project_id
    return project_id == bindparam("project_id")
