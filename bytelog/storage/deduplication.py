"""Deduplication: an event that has arrived in the last days is not stored again.

Two events are equal if their project and all their fields but `data` are. A batch may limit that to
the events with certain data, the only ones that its sender knows of. It is checked in the
transaction that stores the events, which excludes other writers.

Events have no date of arrival, but their keys are in the order of arrival. So the first key of each
day is noted, in the first transaction of the day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection, insert, select

from .. import timestamps
from .backend import Backend, Identity, Row
from .models import ArrivalDay, Event

IsVisible = Callable[[str], bool]
"""Returns whether an event with this `data` is one that the sender of a batch may know of."""


class Deduplication:
    """Finds the events that have arrived today or on one of a number of days before, in UTC."""

    def __init__(self, backend: Backend, days: int) -> None:
        self._backend = backend
        self._days = days
        self._today = ""
        self._first_key = 0

    def remove_repeated(
        self, connection: Connection, rows: Sequence[Row], is_visible: IsVisible | None = None
    ) -> list[Row]:
        """Return the events that are not stored, each once, within a transaction.

        With `is_visible`, stored events with other data are not compared.
        """
        first_key = self._find_first_key(connection)
        known = self._backend.find_stored(connection, rows, first_key)
        if is_visible:
            known = {
                identity
                for identity in known
                if any(map(is_visible, _list_data(connection, identity, first_key)))
            }
        new = []
        for row in rows:
            if row[:-1] not in known:
                known.add(row[:-1])
                new.append(row)
        return new

    def _find_first_key(self, connection: Connection) -> int:
        """Return the first key of the earliest day."""
        today = timestamps.format_utc(timestamps.now())[:10]
        if today == self._today:
            return self._first_key
        start = timestamps.format_utc(timestamps.days_ago(self._days))[:10]
        # Not later days: a clock that was ahead has noted them.
        noted = select(ArrivalDay.day, ArrivalDay.first_key).where(
            ArrivalDay.day.between(start, today)
        )
        first_keys: dict[str, int] = {row.day: row.first_key for row in connection.execute(noted)}
        if today in first_keys:
            # Only now: the transaction that notes the day may be rolled back.
            self._today, self._first_key = today, min(first_keys.values())
            return self._first_key
        next_key = self._backend.last_assigned_key(connection) + 1
        connection.execute(insert(ArrivalDay).values(day=today, first_key=next_key))
        return min([*first_keys.values(), next_key])


def _list_data(connection: Connection, identity: Identity, first_key: int) -> Iterator[str]:
    """Yield the data of stored events, one for each time that the event was stored."""
    project_id, event_id, name, trace_id, date = identity
    yield from connection.scalars(
        select(Event.data).where(
            Event.project_id == project_id,
            Event.trace_id == trace_id,
            Event.date == timestamps.parse(date),
            Event.id == event_id,
            Event.name == name,
            Event.key >= first_key,
        )
    )
