"""Deleting events. Only partitions, and the target of a migration, lose events in other ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, delete

from .keyset import date
from .leaves import forget_leaves
from .models import Event
from .types import DateText


class Position(NamedTuple):
    """The key of an event, and its date as text, which tells PostgreSQL its partition."""

    key: int
    date: str


_delete = delete(Event).where(
    Event.key == bindparam("event_key", type_=BigInteger),
    date >= bindparam("day", type_=DateText),
    date < bindparam("day_end", type_=DateText),
)


def delete_events(connection: Connection, events: Sequence[Position]) -> int:
    """Delete events within a transaction; returns how many of them existed."""
    if not events:
        return 0
    forget_leaves(connection, [event.key for event in events])
    return connection.execute(_delete, [_bind(*event) for event in events]).rowcount


def _bind(key: int, date: str) -> dict[str, object]:
    # A day, because the text may have fewer digits than the date in the database.
    return {"event_key": key, "day": date[:10], "day_end": f"{date[:10]}T24:00:00.000Z"}
