"""Following a trace among many events, against the same among few."""

from __future__ import annotations

from collections.abc import Iterator

import click

from . import database, servers, wrk
from .figures import Figure, Run, format_ratios


def measure(run: Run) -> Iterator[Figure]:
    sizes = run.events, run.events // 100
    with (
        servers.run_bytelog(database.prepare_folder(run, sizes[0])) as large,
        servers.run_bytelog(database.prepare_folder(run, sizes[1])) as small,
    ):
        pairs = [*zip((large, small), sizes, strict=True)]
        rounds = [[follow(*pair, run.seconds) for pair in pairs] for _ in range(run.rounds + 1)]
    many, few = zip(*rounds[1:], strict=True)
    yield Figure(
        "follow a trace",
        f"p50 in ms with {sizes[0]:,} events stored ÷ with {sizes[1]:,}",
        format_ratios(many, few, ".2f"),
        "≤ 1.1",
    )


def follow(server: servers.Server, events: int, seconds: int) -> float:
    """Check that traces are complete; returns the median time in milliseconds."""
    traces = events // database.EVENTS_PER_TRACE
    count = server.get(f"{servers.EVENTS}/trace/{database.trace_id(traces - 1)}")["count"]
    if count != database.EVENTS_PER_TRACE:
        raise click.ClickException(f"a trace has {count} events")
    load = wrk.follow(server, traces, seconds)
    wrk.check([load])
    return load.p50 * 1000
