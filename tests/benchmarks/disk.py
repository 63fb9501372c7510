"""What events take in the network, in PostgreSQL's indexes, and in its write-ahead log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import islice
from typing import cast

from sqlalchemy import Connection

from bytelog.storage.backend import Row
from bytelog.storage.database import backend_of
from bytelog.storage.models import ROW_COLUMNS
from bytelog.storage.postgresql import PostgreSQL

from . import database
from .cluster import Cluster
from .figures import Figure, Run
from .postgres import open_database, run_cluster
from .rivals import BATCH_EVENTS

_DAY = date(2021, 7, 4)
_SIZES = """
SELECT sum(pg_relation_size(oid)),
       sum(pg_relation_size(oid)) FILTER (WHERE relkind = 'i'),
       sum(pg_relation_size(oid)) FILTER (WHERE relname LIKE '%trace_id%')
FROM pg_class WHERE relname LIKE 'event\\_20210704%'
"""
_LOG = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, (SELECT wal_fpi FROM pg_stat_wal)"


def measure(run: Run) -> Iterator[Figure]:
    body = database.format_batch([*database.generate_rows(BATCH_EVENTS)])
    yield _figure("request of 1,000 events", "bytes per event", len(body) / BATCH_EVENTS)
    with run_cluster(run) as cluster:
        for order, trace_id in (("scattered", database.trace_id), ("ordered", "{:08x}".format)):
            with open_database(cluster, order) as connection:
                rows = _generate_rows(run.events + run.events // 5, trace_id)
                yield from _measure(run, cluster, connection, order, rows)


def _measure(
    run: Run, cluster: Cluster, connection: Connection, order: str, rows: Iterator[Row]
) -> Iterator[Figure]:
    cast(PostgreSQL, backend_of(connection.engine)).maintenance.create_partitions(
        connection, {_DAY}
    )
    part = run.events // 10
    _write(connection, islice(rows, run.events))
    cluster.sql("CHECKPOINT")
    with_images, images = _log_of(cluster, connection, islice(rows, part))
    without, remaining = _log_of(cluster, connection, islice(rows, part))
    name = f"PostgreSQL: one day, {order} trace ids"
    for share, size in zip(("indexes", "index of traces"), _shares(cluster, order), strict=True):
        yield _figure(name, f"{share} ÷ tables and indexes", size, ".2f")
    yield _figure(name, "bytes of log per event", without / part)
    yield _figure(name, "the same, after a checkpoint", with_images / part)
    if order == "scattered":
        image = (with_images - without) / (images - remaining)
        yield _figure(name, "bytes of log per page that changes after a checkpoint", image)


def _generate_rows(events: int, trace_id: Callable[[int], str]) -> Iterator[Row]:
    numbers = {database.trace_id(number): number for number in range(events)}
    for project, identity, name, trace, moment, data in database.generate_rows(events):
        yield project, identity, name, trace_id(numbers[trace]), f"{_DAY}{moment[10:]}", data


def _write(connection: Connection, rows: Iterable[Row]) -> None:
    backend, remaining = cast(PostgreSQL, backend_of(connection.engine)), iter(rows)
    while part := list(islice(remaining, BATCH_EVENTS)):
        with backend.transaction(connection):
            backend.maintenance.copy(connection, ROW_COLUMNS, part)


def _log_of(cluster: Cluster, connection: Connection, rows: Iterable[Row]) -> tuple[float, int]:
    """Return the bytes of log, and the page images in it, that writing these events takes."""
    ((began, images),) = cluster.sql(_LOG)
    _write(connection, rows)
    # A session reports its images when the next transaction begins a second later or more.
    connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    connection.commit()
    ((ended, later),) = cluster.sql(_LOG)
    return float(ended - began), later - images


def _shares(cluster: Cluster, name: str) -> tuple[float, float]:
    ((everything, indexes, traces),) = cluster.sql(_SIZES, name)
    return float(indexes / everything), float(traces / everything)


def _figure(name: str, measured_as: str, value: float, form: str = ",.0f") -> Figure:
    return Figure(name, measured_as, format(value, form))
