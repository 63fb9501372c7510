"""A trace among many events, against the same among few."""

from __future__ import annotations

from collections.abc import Iterator

import click

from . import database, servers, wrk
from .figures import Figure, Run, versus


def measure(run: Run) -> Iterator[Figure]:
    sizes = run.events, run.events // 100
    with (
        servers.bytelog(database.stored(run, sizes[0])) as large,
        servers.bytelog(database.stored(run, sizes[1])) as small,
    ):
        pairs = [*zip((large, small), sizes, strict=True)]
        rounds = [[follow(*pair, run.seconds) for pair in pairs] for _ in range(run.rounds + 1)]
    many, few = zip(*rounds[1:], strict=True)
    yield Figure(
        "follow a trace",
        f"p50 in ms with {sizes[0]:,} events stored ÷ with {sizes[1]:,}",
        versus(many, few, ".2f"),
        "≤ 1.1",
    )


def follow(server: servers.Server, events: int, seconds: int) -> float:
    """Return the median time in milliseconds, after a look that traces are whole."""
    traces = events // database.EVENTS_PER_TRACE
    found = server.get(f"{servers.EVENTS}/trace/{database.trace_id(traces - 1)}")["count"]
    if found != database.EVENTS_PER_TRACE:
        raise click.ClickException(f"a trace has {found} events")
    load = wrk.follow(server, traces, seconds)
    wrk.check([load])
    return load.p50 * 1000
