"""bytelog on PostgreSQL, against PostgreSQL alone, and against itself."""

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
from .figures import Figure, Run, spread, versus
from .prepared import Sender
from .rivals import BATCH_EVENTS

_BATCH_CLIENTS, _CLIENTS = 2, 16
_MANY, _FEW = 10, 100  # times, and a part of, the events of other benchmarks


def measure(run: Run) -> Iterator[Figure]:
    with _cluster(run) as cluster:
        yield from _batches(run, cluster)
        yield _processes(run, cluster)
        yield from _traces(run, cluster)


@contextmanager
def _cluster(run: Run) -> Iterator[Cluster]:
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
def _writing(cluster: Cluster, name: str) -> Iterator[Connection]:
    """Make a database of bytelog's, and give a connection that may write to it."""
    cluster.sql(f"CREATE DATABASE {name}")
    engine = connect(cluster.url(name), "url")
    migrations.upgrade(engine)
    with backend_of(engine).open_writer() as connection:
        yield connection
    engine.dispose()


def _bytelog(run: Run, cluster: Cluster, name: str) -> AbstractContextManager[servers.Server]:
    return servers.bytelog(run.folder / name, BYTELOG_DATABASE_URL=cluster.url(name))


def _batches(run: Run, cluster: Cluster) -> Iterator[Figure]:
    rows = chain.from_iterable(database.rows(run.events) for _ in repeat(None))
    rounds = []
    with _writing(cluster, "straight") as connection, _writing(cluster, "served"):
        with _bytelog(run, cluster, "served") as server:
            ours = Sender(run, server.events_url, database.batch, BATCH_EVENTS, _BATCH_CLIENTS)
            for seconds in run.lengths:
                before, began = ours.requests, [_processor(server.pid), _backends(cluster)]
                rate = ours.send(seconds)
                events = (ours.requests - before) * BATCH_EVENTS
                used = [_processor(server.pid) - began[0], _backends(cluster) - began[1]]
                straight = _copy(connection, rows, ours.requests - before)
                rounds.append((rate, straight, *(1e6 * seconds / events for seconds in used)))
        _check_stored(cluster, "served", ours.requests * BATCH_EVENTS)
    mine, straights, ours_used, theirs_used = zip(*rounds[1:], strict=True)
    for name, times in (("bytelog", ours_used), ("PostgreSQL's backends", theirs_used)):
        measured_as = f"processor time of {name}, in µs an event"
        yield Figure("PostgreSQL: batches of 1,000", measured_as, spread(times, ".1f"))
    yield Figure(
        "PostgreSQL: batches of 1,000, durable",
        "events/s ÷ those of psycopg's COPY of the same rows straight into the same table",
        versus(mine, straights, ",.0f"),
        "≥ 0.3",
    )


def _processor(*pids: int) -> float:
    """Return the seconds that processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _backends(cluster: Cluster) -> float:
    return _processor(*(pid for (pid,) in cluster.sql("SELECT pid FROM pg_stat_activity")))


def _copy(connection: Connection, rows: Iterator[Row], batches: int) -> float:
    made = [list(islice(rows, BATCH_EVENTS)) for _ in range(batches)]
    driver = postgresql_connection.driver(connection)
    backend = cast(PostgreSQL, backend_of(connection.engine))
    began = time.perf_counter()
    for batch in made:
        with driver.transaction():
            backend.copy(connection, ROW_COLUMNS, batch)
    return batches * BATCH_EVENTS / (time.perf_counter() - began)


def _processes(run: Run, cluster: Cluster) -> Figure:
    with _writing(cluster, "single"):
        pass
    with _bytelog(run, cluster, "single") as first, _bytelog(run, cluster, "single") as second:
        rounds = []
        for seconds in run.lengths:
            alone = _posted([first], seconds)
            rounds.append((_posted([first, second], seconds), alone))
    both, one = zip(*rounds[1:], strict=True)
    return Figure(
        f"PostgreSQL: one event a request, durable, {_CLIENTS} clients",
        "requests/s of two bytelog processes ÷ of one",
        versus(both, one, ",.0f"),
        "≥ 1.6",
    )


def _posted(targets: list[servers.Server], seconds: int) -> float:
    clients = _CLIENTS // len(targets)
    with ThreadPoolExecutor() as pool:
        loads = [*pool.map(lambda server: wrk.post(server, clients, seconds), targets)]
    wrk.check(loads)
    return sum(load.rate for load in loads)


def _traces(run: Run, cluster: Cluster) -> Iterator[Figure]:
    sizes = run.events * _MANY, run.events // _FEW
    for size in sizes:
        with _writing(cluster, f"events{size}") as connection:
            figures = [*_fill(connection, size)]
        cluster.sql("VACUUM ANALYZE", f"events{size}")
        if size == sizes[0]:
            yield from figures
    with (
        _bytelog(run, cluster, f"events{sizes[0]}") as large,
        _bytelog(run, cluster, f"events{sizes[1]}") as small,
    ):
        rounds = [
            (trace.follow(large, sizes[0], seconds), trace.follow(small, sizes[1], seconds))
            for seconds in run.lengths
        ]
    many, few = zip(*rounds[1:], strict=True)
    yield Figure(
        "PostgreSQL: follow a trace",
        f"p50 in ms with {sizes[0]:,} events stored ÷ with {sizes[1]:,}",
        versus(many, few, ".2f"),
        "≤ 1.2",
    )


def _fill(connection: Connection, events: int) -> Iterator[Figure]:
    def asked(sql: str) -> float:
        return float(connection.exec_driver_sql(sql).scalar_one())

    log = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
    size = "SELECT pg_database_size(current_database())"
    before = asked(size), asked(log)
    rows = database.rows(events)
    while part := list(islice(rows, 100_000)):
        days = {date.fromisoformat(row[4][:10]) for row in part}
        backend = cast(PostgreSQL, backend_of(connection.engine))
        backend.create_partitions(connection, days)
        with backend.transaction(connection):
            backend.copy(connection, ROW_COLUMNS, part)
    for name, sql, then in (("tables and indexes", size, before[0]), ("log", log, before[1])):
        measured = f"{(asked(sql) - then) / events:.0f}"
        yield Figure("PostgreSQL: disk", f"bytes of {name} an event, of {events:,}", measured)


def _check_stored(cluster: Cluster, name: str, acknowledged: int) -> None:
    ((stored,),) = cluster.sql("SELECT count(*) FROM event", name)
    assert stored >= acknowledged, f"{acknowledged} events were acknowledged, {stored} are stored"
