"""The SQL statements that read events, built once for each kind of listing."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, select, union_all

from ..storage import epochs
from ..storage.backend import Backend
from ..storage.keyset import Conditions, Order, date
from ..storage.models import Event
from .filters import build_conditions
from .formats import Format

highest_key = select(func.coalesce(func.max(Event.key), 0))
"""The key of the last event that arrived, in any project."""

epoch_of_key = select(epochs.name_of("cursor_key"))
"""The name of the epoch of a key."""

_epochs = (
    epochs.newest_first_key.label("first_key"),
    epochs.newest_name.label("newest"),
    epochs.name_of("cursor_key").label("of_cursor"),
)

snapshot_end = highest_key.add_columns(*_epochs)
"""The key of the last event that arrived, and the epochs of the newest events and the cursor."""


class Part:
    """Statements for one part of a keyset plan: a page of events, and their positions."""

    def __init__(self, backend: type[Backend], format_: Format, ordered: Select[Any]) -> None:
        page = ordered.limit(bindparam("rows"))
        self.page = backend.page(page, format_.event, format_.separator, format_.closing)
        positions = ordered.with_only_columns(date.label("date"), Event.key)
        self.positions = positions.limit(bindparam("rows")).offset(bindparam("skipped"))


class Statements:
    """The statements of a listing: the bounds of its snapshot, and its parts."""

    def __init__(
        self,
        backend: type[Backend],
        format_: Format,
        order: Order,
        filters: tuple[str, ...],
        depths: tuple[int, ...],
    ) -> None:
        plan = backend.keyset_plans[order]
        selected = (_in_project(order, filters), *build_conditions(filters, depths))
        self.snapshot_bounds = _select_bounds(order, [(*selected, *part) for part in plan.parts])
        snapshot = select(Event).where(*selected, Event.key <= bindparam("last"))
        self.parts = [
            Part(backend, format_, snapshot.where(*part).order_by(*plan.order))
            for part in plan.parts
        ]


prepare = lru_cache(maxsize=200)(Statements)
"""Return the cached statements of a kind of listing; building them takes a millisecond."""


def _select_bounds(order: Order, parts: list[Conditions]) -> Select[Any]:
    size = func.count().label("size"), func.max(Event.key).label("last")
    sizes = union_all(*(select(*size).where(*part) for part in parts)).subquery()
    # In order of arrival, the next cursor is after the last event of the table, selected or not:
    # the same events need not be examined again.
    last = highest_key.scalar_subquery() if order is Order.ARRIVAL else func.max(sizes.c.last)
    return select(func.sum(sizes.c.size), func.coalesce(last, 0), *_epochs)


def _in_project(order: Order, filters: tuple[str, ...]) -> ColumnElement[bool]:
    # The addition makes SQLite scan the table by key instead of sorting the whole project.
    is_table_scan = order is Order.ARRIVAL and "trace_id" not in filters
    project_id = Event.project_id + 0 if is_table_scan else Event.project_id
    return project_id == bindparam("project_id")
