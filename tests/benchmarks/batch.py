"""Recording in batches of a thousand events, each of which is on the disk before its response."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice, repeat

from bytelog.storage.sqlite_connection import PRAGMAS

from . import database, rivals, servers
from .figures import Figure, Run, format_ratios
from .prepared import Sender
from .rivals import BATCH_EVENTS

_CLIENTS = 2
_RIVALS = (
    ("Python's `executemany` of the same rows, pragmas and table", "≥ 0.7"),
    ("PocketBase's batch API", "≥ 6"),
    ("Datasette's insert API", "≥ 1.2"),
)


class _Raw:
    """Inserts the same batches straight into SQLite."""

    def __init__(self, run: Run) -> None:
        path = database.create(run.folder / "raw") / "bytelog.db"
        self._rows = chain.from_iterable(database.generate_rows(run.events) for _ in repeat(None))
        self._connection = sqlite3.connect(path, isolation_level=None)
        for name, value in {**PRAGMAS, "query_only": "OFF"}.items():
            self._connection.execute(f"PRAGMA {name}={value}")
        self.close = self._connection.close

    def insert(self, batches: int) -> float:
        """Store a number of batches; returns events per second."""
        rows = [list(islice(self._rows, BATCH_EVENTS)) for _ in range(batches)]
        began = time.perf_counter()
        for batch in rows:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(database.INSERT, batch)
            self._connection.execute("COMMIT")
        return batches * BATCH_EVENTS / (time.perf_counter() - began)


def measure(run: Run) -> Iterator[Figure]:
    folder, size = run.folder / "batch", (BATCH_EVENTS, _CLIENTS)
    with (
        servers.run_bytelog(folder) as service,
        rivals.run_pocketbase(run) as (_, pocketbase),
        rivals.run_datasette(run) as datasette,
        closing(_Raw(run)) as raw,
    ):
        ours = Sender(run, service.events_url, database.format_batch, *size)
        others = (
            Sender(run, pocketbase, rivals.format_pocketbase_batch, *size),
            Sender(run, datasette, rivals.format_datasette_batch, *size),
        )
        rounds = [_measure_round(ours, raw, others, seconds) for seconds in run.lengths]
        database.check_stored(folder, ours.requests * BATCH_EVENTS)
    mine, *theirs = zip(*rounds[1:], strict=True)
    for (rival, target), rates in zip(_RIVALS, theirs, strict=True):
        measured_as = f"events/s ÷ those of {rival}"
        yield Figure(
            "batches of 1,000, durable", measured_as, format_ratios(mine, rates, ",.0f"), target
        )


def _measure_round(
    ours: Sender, raw: _Raw, others: tuple[Sender, ...], seconds: int
) -> tuple[float, ...]:
    before = ours.requests
    mine = ours.send(seconds)
    # The same number as bytelog stored, so that the indexes of both grow equally.
    return mine, raw.insert(ours.requests - before), *(other.send(seconds) for other in others)
