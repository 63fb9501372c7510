"""The database that is copied."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import date

from sqlalchemy import insert, select

from ...storage.database import db, fetch
from ...storage.models import MigrationNote
from ...storage.writer import current_writer
from .. import inspection
from .digests import format_sum

PARTITION_EVENTS = 1000
"""Events from which on a day of the past gets a partition of its own."""

notes = select(MigrationNote.source, MigrationNote.last_key, MigrationNote.digest)


def identify() -> str:
    """Return the random identity of the service's database, created by its first migration."""
    for row in fetch(db.engine, notes):
        return str(row.source)
    source = secrets.token_hex(16)
    values = {"source": source, "last_key": 0, "digest": format_sum(0)}
    with current_writer().transaction() as connection:
        connection.execute(insert(MigrationNote), values)
    return source


def list_busy_days() -> list[date]:
    """Return the days that have at least PARTITION_EVENTS events."""
    events: Counter[date] = Counter()
    with db.engine.connect() as connection:
        for day in inspection.count_by_day(connection):
            events[date.fromisoformat(day.day)] += day.events
    return [day for day, number in events.items() if number >= PARTITION_EVENTS and day < date.max]
