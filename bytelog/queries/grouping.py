"""Counting events by members of `data`, and adding up the numbers of a member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    String,
    bindparam,
    func,
    select,
    type_coerce,
)

from ..storage.backend import Backend
from ..storage.grouping import GroupKey, Member, MemberNumber, NumberTotals
from ..storage.members import MemberText
from ..storage.models import Event
from ..storage.numbers import format_number, parse_totals
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from .buckets import Buckets, Layout
from .groups import fetch_groups
from .selection import Selection, Shapes

_TOTALS = ("sum", "min", "max", "average", "skipped")


class JSONText(str):
    """A value in JSON."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Dimension:
    """A parameter that groups events, and the names that lead to a member; none for `name`."""

    parameter: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grouping:
    """By what events are grouped, and the path of the member that is added up, if any."""

    buckets: Buckets
    by: tuple[Dimension, ...]
    added: tuple[str, ...] = ()

    @property
    def shape(self) -> GroupingShape:
        """Return what the SQL depends on."""
        depths = tuple(len(dimension.path) for dimension in self.by)
        return GroupingShape(self.buckets.layout, depths, len(self.added))


class GroupingShape(NamedTuple):
    """What the SQL of a grouping depends on. A depth is the number of names, 0 without a member."""

    layout: Layout
    depths: tuple[int, ...]
    added_depth: int


class Groups(NamedTuple):
    """The number of events, and a row for each group, with some of the columns."""

    events: int
    columns: tuple[str, ...]
    rows: list[dict[str, Any]]


def count_groups(reader: Reader, selection: Selection, grouping: Grouping) -> Groups:
    """Count the selected events in groups.

    They are in the order of time, the largest first. Raises StorageError and TooManyGroups.
    """
    query = _query(type(reader.backend), grouping.shape, selection.shapes)
    values = grouping.buckets.bind(reader, selection) | _bind_paths(grouping)
    rows = fetch_groups(reader, query, selection, values)
    groups = [_read_group(row, grouping) for row in rows]
    groups.sort(key=lambda group: group[0])
    return Groups(
        sum(group["count"] for _, group in groups),
        _name_columns(grouping),
        [group for _, group in groups if group["count"]],
    )


def _name_columns(grouping: Grouping) -> tuple[str, ...]:
    dates = ("date",) if grouping.shape.layout.keys else ()
    parameters = (dimension.parameter for dimension in grouping.by)
    return (*dates, *parameters, "count", "traces", *(_TOTALS if grouping.added else ()))


def _read_group(row: Sequence[Any], grouping: Grouping) -> tuple[Any, dict[str, Any]]:
    """Return what a group is sorted by, and the group."""
    split = len(grouping.shape.layout.keys)
    bucket, keys, (count, traces, *totals) = (
        row[:split],
        row[split : split + len(grouping.by)],
        row[split + len(grouping.by) :],
    )
    group: dict[str, Any] = {"date": grouping.buckets.start_of(bucket)} if split else {}
    for dimension, key in zip(grouping.by, keys, strict=True):
        if key is not None:
            group[dimension.parameter] = _read_key(key) if dimension.path else key
    group |= {"count": count, "traces": traces}
    for text in totals:
        group |= _read_totals(text)
    return (group.get("date", ""), -count, [(key is not None, key) for key in keys]), group


def _read_key(key: str) -> str:
    return key[1:] if key.startswith('"') else JSONText(key)


def _read_totals(text: str) -> dict[str, Any]:
    totals = parse_totals(text)
    total = totals.total if totals.number else None
    numbers = (total, totals.low, totals.high, totals.average())
    return dict(zip(_TOTALS, (*map(_write_number, numbers), totals.skipped), strict=True))


def _write_number(number: Decimal | None) -> str | None:
    return None if number is None else format_number(number)


def _bind_paths(grouping: Grouping) -> dict[str, str]:
    paths = [dimension.path for dimension in grouping.by] + [grouping.added]
    return {
        f"path{number}_{i}": name
        for number, path in enumerate(paths)
        for i, name in enumerate(path)
    }


@lru_cache(MAX_QUERIES)
def _query(backend: type[Backend], shape: GroupingShape, shapes: Shapes) -> Query:
    # A subquery with an offset is not merged with the query around it, in which each mention of a
    # member would search `data` again.
    members = _select_members(shape, shapes).offset(0).subquery()
    events = _select_keys(shape, members.c).offset(0).subquery().c
    buckets = [events[key.name] for key in shape.layout.keys]
    keys = [events[f"key{number}"] for number in range(len(shape.depths))]
    totals = [NumberTotals(events.number, events.added)] if shape.added_depth else []
    counts = func.count(), func.count(events.trace_id.distinct())
    grouped = select(*buckets, *keys, *counts, *totals).group_by(*buckets, *keys)
    return Query(grouped.limit(bindparam("rows")), backend.dialect)


def _select_members(shape: GroupingShape, shapes: Shapes) -> Select[Any]:
    members = [
        _member(number, depth).label(f"member{number}")
        for number, depth in enumerate((*shape.depths, shape.added_depth))
        if depth
    ]
    columns = *shape.layout.keys, Event.name, Event.trace_id, *members
    return shape.layout.select(shapes, *columns)


def _select_keys(shape: GroupingShape, members: Any) -> Select[Any]:
    keys: list[ColumnElement[Any]] = [
        (GroupKey(members[f"member{number}"]) if depth else members.name).label(f"key{number}")
        for number, depth in enumerate(shape.depths)
    ]
    if shape.added_depth:
        added = members[f"member{len(shape.depths)}"]
        keys += [MemberNumber(added).label("number"), added.label("added")]
    buckets = (members[key.name] for key in shape.layout.keys)
    return select(*buckets, members.trace_id, *keys)


def _member(number: int, depth: int) -> Member:
    names: list[BindParameter[str]] = [
        bindparam(f"path{number}_{i}", type_=MemberText) for i in range(depth)
    ]
    return Member(type_coerce(Event.data, String), *names)
