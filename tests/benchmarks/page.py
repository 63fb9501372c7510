"""The last page of very many events, against the first page."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from bytelog.queries.selection import Cursor

from . import database, servers, wrk
from .figures import Figure, Run, format_ratios

_PAGE = 100
_TIMES = 10


def measure(run: Run) -> Iterator[Figure]:
    events = _TIMES * run.events
    folder = database.prepare_folder(run, events)
    with servers.run_bytelog(folder) as server:
        first = f"?limit={_PAGE}"
        last = f"{first}&cursor={_find_last_page(folder)}"
        for query in (first, last):
            _check(server, query)
        rounds = [
            (_measure_p50(server, last, run), _measure_p50(server, first, run))
            for _ in range(run.rounds + 1)
        ]
    late, early = zip(*rounds[1:], strict=True)
    yield Figure(
        f"a page of {_PAGE} at the end of {events:,} events",
        "p50 in ms ÷ that of the first page",
        format_ratios(late, early, ".2f"),
        "≤ 1.1",
    )


def _find_last_page(folder: Path) -> Cursor:
    # The cursor in the `Link` of the page before the last; following all links takes too long.
    query = "SELECT date, key FROM event ORDER BY project_id DESC, date DESC, key DESC LIMIT 1"
    with closing(sqlite3.connect(folder / "bytelog.db")) as connection:
        ((date, key),) = connection.execute(f"{query} OFFSET {_PAGE}").fetchall()
    return Cursor(key, date)


def _check(server: servers.Server, query: str) -> None:
    count = server.get(servers.EVENTS + query)["count"]
    if count != _PAGE:
        raise click.ClickException(f"a page has {count} events")


def _measure_p50(server: servers.Server, query: str, run: Run) -> float:
    load = wrk.get(server.events_url + query, run.seconds)
    wrk.check([load])
    return load.p50 * 1000
