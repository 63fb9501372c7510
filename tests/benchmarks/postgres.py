"""bytelog on PostgreSQL, against PostgreSQL alone, and in several processes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from itertools import chain, islice, repeat
from pathlib import Path
from typing import cast

from sqlalchemy import Connection

from bytelog.migrations import upgrade as migrations
from bytelog.storage import postgresql_connection
from bytelog.storage.backend import Row
from bytelog.storage.database import backend_of, connect
from bytelog.storage.models import ROW_COLUMNS
from bytelog.storage.postgresql import PostgreSQL

from . import database, servers, trace, wrk
from .cluster import USER, Cluster
from .figures import Figure, Run, format_ratios, format_spread
from .prepared import Sender
from .rivals import BATCH_EVENTS

_BATCH_CLIENTS, _CLIENTS = 2, 16
_MANY, _FEW = 10, 100  # The other benchmarks' number of events is multiplied, and divided.


def measure(run: Run) -> Iterator[Figure]:
    with run_cluster(run) as cluster:
        yield from _measure_batches(run, cluster)
        yield _measure_processes(run, cluster)
        yield from _measure_traces(run, cluster)


@contextmanager
def run_cluster(run: Run) -> Iterator[Cluster]:
    folder = run.folder / "postgresql"
    folder.mkdir()
    run.folder.chmod(0o711)
    if USER:
        shutil.chown(folder, "postgres", "postgres")
    memory = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
    cluster = Cluster(folder, **memory).create().start()
    try:
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def open_database(cluster: Cluster, name: str) -> Iterator[Connection]:
    """Create a bytelog database, and open a connection that may write to it."""
    cluster.sql(f"CREATE DATABASE {name}")
    engine = connect(cluster.url(name), "url")
    migrations.upgrade(engine)
    with backend_of(engine).open_writer() as connection:
        yield connection
    engine.dispose()


def _run_bytelog(run: Run, cluster: Cluster, name: str) -> AbstractContextManager[servers.Server]:
    return servers.run_bytelog(run.folder / name, BYTELOG_DATABASE_URL=cluster.url(name))


def _measure_batches(run: Run, cluster: Cluster) -> Iterator[Figure]:
    rows = chain.from_iterable(database.generate_rows(run.events) for _ in repeat(None))
    rounds = []
    with open_database(cluster, "straight") as connection, open_database(cluster, "served"):
        with _run_bytelog(run, cluster, "served") as server:
            ours = Sender(
                run, server.events_url, database.format_batch, BATCH_EVENTS, _BATCH_CLIENTS
            )
            for seconds in run.lengths:
                before, began = (
                    ours.requests,
                    [_read_processor_seconds(server.pid), _read_backend_seconds(cluster)],
                )
                rate = ours.send(seconds)
                events = (ours.requests - before) * BATCH_EVENTS
                used = [
                    _read_processor_seconds(server.pid) - began[0],
                    _read_backend_seconds(cluster) - began[1],
                ]
                straight = _copy(connection, rows, ours.requests - before)
                rounds.append((rate, straight, *(1e6 * seconds / events for seconds in used)))
        _check_stored(cluster, "served", ours.requests * BATCH_EVENTS)
    mine, straights, ours_used, theirs_used = zip(*rounds[1:], strict=True)
    for name, times in (("bytelog", ours_used), ("PostgreSQL's backends", theirs_used)):
        measured_as = f"processor time of {name}, in µs per event"
        yield Figure("PostgreSQL: batches of 1,000", measured_as, format_spread(times, ".1f"))
    yield Figure(
        "PostgreSQL: batches of 1,000, durable",
        "events/s ÷ those of psycopg's COPY of the same rows straight into the same table",
        format_ratios(mine, straights, ",.0f"),
        "≥ 0.3",
    )


def _read_processor_seconds(*pids: int) -> float:
    """Return the processor time that processes have used, in seconds."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _read_backend_seconds(cluster: Cluster) -> float:
    return _read_processor_seconds(
        *(pid for (pid,) in cluster.sql("SELECT pid FROM pg_stat_activity"))
    )


def _copy(connection: Connection, rows: Iterator[Row], batches: int) -> float:
    prepared = [list(islice(rows, BATCH_EVENTS)) for _ in range(batches)]
    driver = postgresql_connection.driver(connection)
    backend = cast(PostgreSQL, backend_of(connection.engine))
    began = time.perf_counter()
    for batch in prepared:
        with driver.transaction():
            backend.maintenance.copy(connection, ROW_COLUMNS, batch)
    return batches * BATCH_EVENTS / (time.perf_counter() - began)


def _measure_processes(run: Run, cluster: Cluster) -> Figure:
    with open_database(cluster, "single"):
        pass
    with (
        _run_bytelog(run, cluster, "single") as first,
        _run_bytelog(run, cluster, "single") as second,
    ):
        rounds = []
        for seconds in run.lengths:
            alone = _post([first], seconds)
            rounds.append((_post([first, second], seconds), alone))
    both, one = zip(*rounds[1:], strict=True)
    return Figure(
        f"PostgreSQL: one event per request, durable, {_CLIENTS} clients",
        "requests/s of two bytelog processes ÷ of one",
        format_ratios(both, one, ",.0f"),
        "≥ 1.6",
    )


def _post(targets: list[servers.Server], seconds: int) -> float:
    clients = _CLIENTS // len(targets)
    with ThreadPoolExecutor() as pool:
        loads = [*pool.map(lambda server: wrk.post(server, clients, seconds), targets)]
    wrk.check(loads)
    return sum(load.rate for load in loads)


def _measure_traces(run: Run, cluster: Cluster) -> Iterator[Figure]:
    sizes = run.events * _MANY, run.events // _FEW
    for size in sizes:
        with open_database(cluster, f"events{size}") as connection:
            figures = [*_fill(connection, size)]
        cluster.sql("VACUUM ANALYZE", f"events{size}")
        if size == sizes[0]:
            yield from figures
    with (
        _run_bytelog(run, cluster, f"events{sizes[0]}") as large,
        _run_bytelog(run, cluster, f"events{sizes[1]}") as small,
    ):
        rounds = [
            (trace.follow(large, sizes[0], seconds), trace.follow(small, sizes[1], seconds))
            for seconds in run.lengths
        ]
    many, few = zip(*rounds[1:], strict=True)
    yield Figure(
        "PostgreSQL: follow a trace",
        f"p50 in ms with {sizes[0]:,} events stored ÷ with {sizes[1]:,}",
        format_ratios(many, few, ".2f"),
        "≤ 1.2",
    )


def _fill(connection: Connection, events: int) -> Iterator[Figure]:
    def read(sql: str) -> float:
        return float(connection.exec_driver_sql(sql).scalar_one())

    log = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
    size = "SELECT pg_database_size(current_database())"
    before = read(size), read(log)
    rows = database.generate_rows(events)
    while part := list(islice(rows, 100_000)):
        days = {date.fromisoformat(row[4][:10]) for row in part}
        backend = cast(PostgreSQL, backend_of(connection.engine))
        backend.maintenance.create_partitions(connection, days)
        with backend.transaction(connection):
            backend.maintenance.copy(connection, ROW_COLUMNS, part)
    for name, sql, then in (("tables and indexes", size, before[0]), ("log", log, before[1])):
        measured = f"{(read(sql) - then) / events:.0f}"
        yield Figure("PostgreSQL: disk", f"bytes of {name} per event, of {events:,}", measured)


def _check_stored(cluster: Cluster, name: str, acknowledged: int) -> None:
    ((stored,),) = cluster.sql("SELECT count(*) FROM event", name)
    assert stored >= acknowledged, f"{acknowledged} events were acknowledged, {stored} are stored"
