"""Which events are too old, and whether it is doubtful that they are.

An index finds events by date, but none by name. So events with a name are searched in pages, by
readers: only the deletion of what they find keeps others from writing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select

from .. import timestamps
from ..events.keep_rules import OTHERS, KeepRules
from ..queries.selection import BEGINNING
from ..storage.database import backend_of, db, fetch
from ..storage.deletion import Position, delete_events
from ..storage.keyset import Order
from ..storage.keyset import date as date_text
from ..storage.models import Event
from ..storage.steps import Pause, run_in_steps
from ..storage.writer import current_writer

PAGE_EVENTS = 5000
"""Events that are searched at once."""

STEP_EVENTS = 25
"""Events deleted between two checks of the clock."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The events of a project: all, those with one name, or those with other names than some."""

    project_id: int
    project: str
    name: str | None = None
    other_than: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        """Return whether these are all events of the project."""
        return self.name is None and not self.other_than

    def has(self, name: str) -> bool:
        """Return whether events of the project with this name belong to the scope."""
        return name == self.name if self.name is not None else name not in self.other_than

    def describe(self) -> str:
        """Return the project and the name, for messages."""
        return self.project if self.name is None else f"{self.project} with the name {self.name}"

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions for the events."""
        conditions = [Event.project_id == self.project_id]
        if self.name is not None:
            conditions.append(Event.name == self.name)
        if self.other_than:
            conditions.append(Event.name.not_in(self.other_than))
        return conditions


@dataclass(frozen=True, slots=True)
class Expired:
    """The events of a scope with a date before a moment, and those after it.

    Events from before `since` are not searched. `kept` is the number of the events after the
    moment, but at most `events`. `newest` is the last date before the moment and `oldest` the first
    one after it.
    """

    scope: Scope
    since: datetime | None
    before: datetime
    events: int
    kept: int
    newest: datetime | None
    oldest: datetime | None

    @property
    def is_most(self) -> bool:
        """Return whether these are more than half of the scope's events."""
        return self.events > self.kept

    def is_doubtful(self, days: int) -> bool:
        """Return whether the clock may be wrong, so that a person must confirm the deletion.

        A clock that is far ahead makes all earlier events old at once. Events that are recorded by
        that clock may soon outnumber them, but are separated from them by a gap.
        """
        if self.newest is None or self.oldest is None:
            return self.is_most
        return self.is_most or self.oldest - self.newest > timedelta(days)


def list_scopes(
    rules: KeepRules, project: Row[Any], only: str | None = None
) -> Iterator[tuple[Scope, int]]:
    """Yield the events of a project to which each rule applies, and for how many days.

    With `only`, these are the events with that name.
    """
    days = rules.find(project.name)
    names = frozenset(days) - {OTHERS}
    if only is not None:
        if number := days.get(only) or days.get(OTHERS):
            yield Scope(project.id, project.name, only), number
        return
    if OTHERS in days:
        yield Scope(project.id, project.name, other_than=names), days[OTHERS]
    for name in sorted(names):
        yield Scope(project.id, project.name, name), days[name]


def find_expired(scope: Scope, before: datetime, since: datetime | None = None) -> Expired:
    """Return the events of a scope from before a moment; raises StorageError."""
    conditions = scope.conditions()
    old = [*conditions, Event.date < before]
    if since:
        old.append(Event.date >= since)
    count = select(func.count(Event.key), func.max(Event.date))
    ((events, newest),) = fetch(db.engine, count.where(*old))
    # No more need be counted than shows whether most of the events are deleted.
    some = select(Event.date).where(*conditions, Event.date >= before).order_by(Event.date)
    some_kept = some.limit(events).subquery()
    count_kept = select(func.count(), func.min(some_kept.c.date)).select_from(some_kept)
    ((kept, oldest),) = fetch(db.engine, count_kept)
    return Expired(scope, since, before, events, kept, newest, oldest)


def prune(
    groups: Iterable[Expired], whole_days: datetime | None = None, pause: Pause = time.sleep
) -> Iterator[int]:
    """Delete expired events; yields the number of deleted events after each transaction.

    Every event from before `whole_days`, if it is not None, must be among them: where a day has a
    partition, the partition is dropped. Raises StorageError.
    """
    if whole_days:
        maintenance = backend_of(db.engine).maintenance
        yield from maintenance.drop_expired(whole_days, current_writer().transaction)
    for expired in groups:
        if expired.events:
            for page in _read_pages(expired):
                yield from _delete(page, pause) if page else (0,)


def _delete(events: list[Position], pause: Pause) -> Iterator[int]:
    return run_in_steps(lambda: partial(_delete_next, iter(events)), pause)


def _delete_next(events: Iterator[Position], connection: Connection) -> int | None:
    some = list(islice(events, STEP_EVENTS))
    return delete_events(connection, some) if some else None


def _read_pages(expired: Expired) -> Iterator[list[Position]]:
    """Yield the events, in the order of dates."""
    plan, scope = backend_of(db.engine).keyset_plans[Order.DATE], expired.scope
    columns = [Event.key, date_text, *([] if scope.is_whole else [Event.name])]
    page = select(*columns).order_by(*plan.order).limit(PAGE_EVENTS)
    statements = [page.where(Event.project_id == scope.project_id, *part) for part in plan.parts]
    start = timestamps.format_utc(expired.since) if expired.since else BEGINNING
    # No event has the key 0.
    position = {"date": start, "key": 0, "end": timestamps.format_utc(expired.before)}
    while rows := [row for each in statements for row in fetch(db.engine, each, position)]:
        rows = rows[:PAGE_EVENTS]
        yield [Position(row[0], row[1]) for row in rows if scope.is_whole or scope.has(row[2])]
        position |= {"date": rows[-1][1], "key": rows[-1][0]}
