"""A page at the end of very many events, against the first one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from bytelog.queries.selection import Cursor

from . import database, servers, wrk
from .figures import Figure, Run, versus

_PAGE = 100
_TIMES = 10


def measure(run: Run) -> Iterator[Figure]:
    events = _TIMES * run.events
    folder = database.stored(run, events)
    with servers.bytelog(folder) as server:
        first = f"?limit={_PAGE}"
        last = f"{first}&cursor={_cursor(folder)}"
        for query in (first, last):
            _check(server, query)
        rounds = [
            (_p50(server, last, run), _p50(server, first, run)) for _ in range(run.rounds + 1)
        ]
    late, early = zip(*rounds[1:], strict=True)
    yield Figure(
        f"a page of {_PAGE} at the end of {events:,} events",
        "p50 in ms ÷ that of the first page",
        versus(late, early, ".2f"),
        "≤ 1.1",
    )


def _cursor(folder: Path) -> Cursor:
    # What the `Link` of the last page but one holds; walking there would take a while.
    query = "SELECT date, key FROM event ORDER BY project_id DESC, date DESC, key DESC LIMIT 1"
    with closing(sqlite3.connect(folder / "bytelog.db")) as connection:
        ((date, key),) = connection.execute(f"{query} OFFSET {_PAGE}").fetchall()
    return Cursor(key, date)


def _check(server: servers.Server, query: str) -> None:
    found = server.get(servers.EVENTS + query)["count"]
    if found != _PAGE:
        raise click.ClickException(f"a page has {found} events")


def _p50(server: servers.Server, query: str, run: Run) -> float:
    load = wrk.get(server.events_url + query, run.seconds)
    wrk.check([load])
    return load.p50 * 1000
