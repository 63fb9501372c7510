"""PostgreSQL's partitions: a table for the events of each day, so that old days go in an instant.

The days from the first write on have one, made some days ahead; so have those that `bytelog
migrate` brings. Events with any other date are in the partition `event_default`: a date is the
client's choice, and must not make tables.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..config import (
    PARTITION_DAYS,
    PARTITION_INTERVAL_SECONDS,
    PARTITION_LOCK_SECONDS,
    PARTITION_RETRY_SECONDS,
)

log = logging.getLogger("bytelog")

Alone = AbstractContextManager[None]

_DAY = timedelta(days=1)
_FORM = "event_%Y%m%d"

_NAMES = """
    SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
    WHERE inhparent = 'event'::regclass
"""

# What arrived before its day had a partition moves there from the default one.
_MAKE = """
    CREATE TABLE {name} (LIKE event INCLUDING DEFAULTS);
    WITH moved AS (
        DELETE FROM event_default WHERE date >= '{start}' AND date < '{end}' RETURNING *
    ) INSERT INTO {name} SELECT * FROM moved;
    ALTER TABLE event ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');
"""


class PartitionMaintainer:
    """Sees that the days ahead have partitions."""

    def __init__(self) -> None:
        self._due = 0.0

    def keep(self, connection: Connection, alone: Callable[[Connection], Alone]) -> None:
        """Make the partitions that lack, now and again, in a transaction `alone`."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + PARTITION_INTERVAL_SECONDS
        today = datetime.now(UTC).date()
        days = {today + number * _DAY for number in range(PARTITION_DAYS + 1)}
        try:
            if not days <= existing(connection).keys():
                with alone(connection):
                    make(connection, days)
        except DBAPIError as error:
            self._due = time.monotonic() + PARTITION_RETRY_SECONDS
            log.warning("no partition was existing, which is tried again: %s", error.orig)


def existing(connection: Connection) -> dict[date, str]:
    """Return the days that have a partition, and its name."""
    names = connection.exec_driver_sql(_NAMES).scalars()
    return {
        datetime.strptime(name, _FORM).replace(tzinfo=UTC).date(): name
        for name in names
        if name != "event_default"
    }


def make(connection: Connection, days: Iterable[date]) -> None:
    """Give days a partition each, in a transaction in which nobody else writes."""
    for day in sorted(set(days) - existing(connection).keys()):
        name = day.strftime(_FORM)
        _limit_lock_wait(connection)
        connection.exec_driver_sql(_MAKE.format(name=name, start=day, end=day + _DAY))


def expired(connection: Connection, before: datetime) -> list[str]:
    """Return the partitions of days that are over by then, the oldest first."""
    days = existing(connection)
    return [days[day] for day in sorted(days) if day + _DAY <= before.date()]


def drop(connection: Connection, name: str) -> None:
    """Drop a partition, in a transaction in which nobody else writes."""
    _limit_lock_wait(connection)
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")


def _limit_lock_wait(connection: Connection) -> None:
    # Whoever comes later waits behind one who waits to change the table.
    milliseconds = round(1000 * PARTITION_LOCK_SECONDS)
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{milliseconds}ms'")
