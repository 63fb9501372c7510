"""The keys of a moved project: in the target, each range of its keys is shifted.

The target has assigned keys to other projects, and may do so between two batches. So a batch gets
keys after all that were assigned, and its events keep their distances. Consecutive batches share a
range if the target has assigned no key in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Engine, bindparam, select

from ...storage.database import fetch
from ...storage.models import Event, MovedRange
from .digests import columns

# The addition makes SQLite read the table by key instead of sorting the whole project.
batch = (
    select(*(column for name, column in columns.items() if name != "project_id"))
    .where(
        Event.project_id + 0 == bindparam("project_id"),
        Event.key >= bindparam("first"),
        Event.key <= bindparam("last"),
    )
    .order_by(Event.key)
    .limit(bindparam("rows"))
)

_ranges = (
    select(MovedRange.first_key, MovedRange.last_key, MovedRange.shift)
    .where(MovedRange.project_id == bindparam("project_id"))
    .order_by(MovedRange.first_key)
)


class Range(NamedTuple):
    """The keys of the first and last event in the source, and what is added to them."""

    first_key: int
    last_key: int
    shift: int


def read_ranges(engine: Engine, project_id: int) -> list[Range]:
    """Return the ranges of a moved project in order; raises StorageError."""
    return [Range(*row) for row in fetch(engine, _ranges, {"project_id": project_id})]


def extend(ranges: Sequence[Range], keys: Sequence[int], last_assigned: int) -> Range:
    """Return the range for a batch of keys, which is the last one if that can be extended."""
    if ranges and ranges[-1].last_key + ranges[-1].shift == last_assigned:
        return ranges[-1]._replace(last_key=keys[-1])
    return Range(keys[0], keys[-1], last_assigned + 1 - keys[0])


def read_copies(
    engine: Engine, project_id: int, ranges: Sequence[Range], after: int, rows: int
) -> list[tuple[Any, ...]]:
    """Return copied events after a key of the source, with the keys that they have there."""
    copies: list[tuple[Any, ...]] = []
    for shift, bounds in _list_bounds(ranges, after):
        values = {**bounds, "project_id": project_id, "rows": rows - len(copies)}
        copies += [(key - shift, *fields) for key, *fields in fetch(engine, batch, values)]
        if len(copies) == rows:
            break
    return copies


def _list_bounds(ranges: Sequence[Range], after: int) -> Iterator[tuple[int, dict[str, int]]]:
    for first, last, shift in ranges:
        if last > after:
            yield shift, {"first": max(first, after + 1) + shift, "last": last + shift}
