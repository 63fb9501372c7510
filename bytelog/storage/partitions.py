"""PostgreSQL partitions: one for each day, so that dropping a day takes no time.

Partitions are created some days ahead, from the day of the first write on; `bytelog migrate`
creates those of the past. Events with other dates are in the partition `event_default`: clients
choose dates, and must not be able to create tables.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

PARTITION_DAYS = 7
"""Number of days for which partitions exist in advance: the time to fix a failing creation."""

PARTITION_INTERVAL_SECONDS = 3600
"""How often the writer checks that the partitions of the days ahead exist."""

PARTITION_RETRY_SECONDS = 60
"""How soon it tries again after a failure, for example because of a long reader such as pg_dump."""

PARTITION_LOCK_SECONDS = 0.05
"""How long creating or dropping a partition waits for readers: other statements wait behind it."""

log = logging.getLogger("bytelog")

_DAY = timedelta(days=1)

_LIST = """
    SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
    WHERE inhparent = 'event'::regclass
"""

# Events that arrived before their day had a partition are moved from the default partition.
_CREATE = """
    CREATE TABLE {name} (LIKE event INCLUDING DEFAULTS);
    WITH moved AS (
        DELETE FROM event_default WHERE date >= '{start}' AND date < '{end}' RETURNING *
    ) INSERT INTO {name} SELECT * FROM moved;
    ALTER TABLE event ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}');
"""


class PartitionMaintainer:
    """Creates the partitions of the days ahead when they are due."""

    def __init__(self) -> None:
        self._due = 0.0

    def maintain(
        self,
        connection: Connection,
        transaction: Callable[[Connection], AbstractContextManager[None]],
    ) -> None:
        """Create the missing partitions of the next days, if a check is due."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + PARTITION_INTERVAL_SECONDS
        today = datetime.now(UTC).date()
        days = {today + number * _DAY for number in range(PARTITION_DAYS + 1)}
        try:
            if not days <= list_days(connection).keys():
                with transaction(connection):
                    create(connection, days)
        except DBAPIError as error:
            self._due = time.monotonic() + PARTITION_RETRY_SECONDS
            log.warning("no partition was created; bytelog will try again: %s", error.orig)


def list_days(connection: Connection) -> dict[date, str]:
    """Return the days that have a partition, with its name."""
    days = {}
    for name in connection.exec_driver_sql(_LIST).scalars():
        # Not the default partition, nor one that an administrator has created, such as event_2020.
        with suppress(ValueError):
            day = date.fromisoformat(name.removeprefix("event_"))
            if _name(day) == name:
                days[day] = name
    return days


def create(connection: Connection, days: Iterable[date]) -> None:
    """Create a partition for each day that has none, within a transaction."""
    for day in sorted(set(days) - list_days(connection).keys()):
        name = _name(day)
        _limit_lock_wait(connection)
        connection.exec_driver_sql(_CREATE.format(name=name, start=day, end=day + _DAY))


def list_expired(connection: Connection, before: datetime) -> list[str]:
    """Return the partitions whose events are all older than a time, the oldest first."""
    days = list_days(connection)
    return [days[day] for day in sorted(days) if day + _DAY <= before.date()]


def drop(connection: Connection, name: str) -> None:
    """Drop a partition, within a transaction."""
    _limit_lock_wait(connection)
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")


def _name(day: date) -> str:
    return f"event_{day.isoformat().replace('-', '')}"


def _limit_lock_wait(connection: Connection) -> None:
    # While a statement waits to change the table, all later statements wait behind it.
    milliseconds = round(1000 * PARTITION_LOCK_SECONDS)
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{milliseconds}ms'")
