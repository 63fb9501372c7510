"""Counting which event follows which, in all events and in those of the last hour."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

from bytelog.timestamps import format_utc, parse

from . import database, servers
from .figures import Figure, Run, format_spread


def measure(run: Run) -> Iterator[Figure]:
    with servers.run_bytelog(database.prepare_folder(run, run.events)) as server:
        newest = server.get(f"{servers.EVENTS}?order=newest&limit=1")["events"][0]["date"]
        hour = f"?start={format_utc(parse(newest) - timedelta(hours=1))}"
        for query in ("", hour):
            events = server.get(f"{servers.EVENTS}/paths{query}")["count"]
            yield Figure(
                f"count what follows what in {events:,} of {run.events:,} events",
                "seconds of `GET /api/v1/events/paths`",
                format_spread([_time(server, query) for _ in range(run.rounds)]),
            )


def _time(server: servers.Server, query: str) -> float:
    began = time.perf_counter()
    server.get(f"{servers.EVENTS}/paths{query}")
    return time.perf_counter() - began
