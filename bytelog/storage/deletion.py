"""Deleting events. Only partitions, and the target of a migration, lose events in other ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, delete

from .keyset import date
from .models import Event
from .types import DateText


class Position(NamedTuple):
    """The key of an event, and its date as text, which tells PostgreSQL its partition."""

    key: int
    date: str


_delete = delete(Event).where(
    Event.key == bindparam("event_key", type_=BigInteger),
    date == bindparam("event_date", type_=DateText),
)


def delete_events(connection: Connection, events: Sequence[Position]) -> int:
    """Delete events within a transaction; returns how many of them existed."""
    if not events:
        return 0
    values = [{"event_key": event.key, "event_date": event.date} for event in events]
    return connection.execute(_delete, values).rowcount
