"""Questions about all events, against the same questions in SQLite's own shell."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from . import database, servers, wrk
from .figures import Figure, Run, format_ratios

_FEW_EVENTS = 10_000
_PAGE = "/traces?limit=100"
_TEXT = "EXAMPLE.COM/x"

QUESTIONS = (
    (
        "find a text that no event has, among {events:,}",
        f"?q={_TEXT}",
        "SELECT * FROM event WHERE project_id = 1 AND (name LIKE '%{text}%'"
        " OR trace_id LIKE '%{text}%' OR data LIKE '%{text}%') ORDER BY date, key",
        "≤ 1.2",
    ),
    (
        "find a member with a value that no event has, among {events:,}",
        "?data.plan=pro",
        "SELECT * FROM event WHERE project_id = 1 AND data ->> '$.plan' = 'pro' ORDER BY date, key",
        "≤ 1.2",
    ),
    (
        "find a member with a number that no event has, among {events:,}",
        "?data.amount[gt]=1000",
        "SELECT * FROM event WHERE project_id = 1 AND data ->> '$.amount' > 1000"
        " ORDER BY date, key",
        "≤ 1.2",
    ),
    (
        "count {events:,} events by day and name",
        "/summary",
        "SELECT substr(date, 1, 10) AS day, name, count(*) FROM event WHERE project_id = 1"
        " GROUP BY day, name ORDER BY day, name",
        "≤ 1.2",
    ),
)
"""Names, paths of requests, the same questions in SQL, and targets."""


def measure(run: Run) -> Iterator[Figure]:
    folder = database.prepare_folder(run, run.events)
    with servers.run_bytelog(folder) as server:
        for name, path, query, target in QUESTIONS:
            rounds = [
                (
                    _time(partial(server.get, servers.EVENTS + path)),
                    _time(partial(_ask, folder, query.replace("{text}", _TEXT))),
                )
                for _ in range(run.rounds + 1)
            ]
            ours, theirs = zip(*rounds[1:], strict=True)
            yield Figure(
                name.format(events=run.events),
                f"seconds of `GET /api/v1/events{path}` ÷ those of the `sqlite3` shell",
                format_ratios(ours, theirs, ".2f"),
                target,
            )
    yield _measure_traces(run)


def _measure_traces(run: Run) -> Figure:
    folders = [database.prepare_folder(run, events) for events in (run.events, _FEW_EVENTS)]
    with servers.run_bytelog(folders[0]) as many, servers.run_bytelog(folders[1]) as few:
        rounds = [(_measure_p50(many, run), _measure_p50(few, run)) for _ in range(run.rounds + 1)]
    of_many, of_few = zip(*rounds[1:], strict=True)
    return Figure(
        f"the first 100 traces of {run.events:,} events",
        f"p50 in ms ÷ that with {_FEW_EVENTS:,} events",
        format_ratios(of_many, of_few, ".2f"),
        "≤ 2",
    )


def _ask(folder: Path, query: str) -> None:
    command = ["sqlite3", "-readonly", str(folder / "bytelog.db"), query]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)


def _time(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def _measure_p50(server: servers.Server, run: Run) -> float:
    load = wrk.get(server.events_url + _PAGE, run.seconds)
    wrk.check([load])
    return load.p50 * 1000
