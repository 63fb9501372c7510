"""Exporting events to a file and importing them, against SQLite's own shell."""

from __future__ import annotations

import csv
import filecmp
from collections.abc import Iterator
from pathlib import Path

import click

from . import database
from .commands import build_command, measure_seconds
from .figures import Figure, Run, format_ratios

_QUERY = """
SELECT '{"id":' || id || ',"name":' || json_quote(name) || ',"trace_id":' || json_quote(trace_id)
    || ',"date":"' || date || '","data":' || data || '}'
FROM event WHERE project_id = 1 ORDER BY date, key
"""


def measure(run: Run) -> Iterator[Figure]:
    folder, lines = database.prepare_folder(run, run.events), run.folder / "export.ndjson"
    yield _export(run, folder, lines)
    yield _import(run, lines)


def _export(run: Run, folder: Path, lines: Path) -> Figure:
    expected = run.folder / "expected.ndjson"
    ours = build_command(folder, "export", lines)
    theirs = ["sqlite3", "-readonly", str(folder / "bytelog.db"), f".once {expected}", _QUERY]
    rounds = [(measure_seconds(ours), measure_seconds(theirs)) for _ in range(run.rounds + 1)]
    if not filecmp.cmp(lines, expected, shallow=False):
        raise click.ClickException(f"{lines} differs from the output of SQLite's shell")
    expected.unlink()
    mine, others = zip(*rounds[1:], strict=True)
    return Figure(
        f"export {run.events:,} events as NDJSON",
        "seconds of `bytelog export` ÷ those of `sqlite3` for the same lines",
        format_ratios(mine, others, ".2f"),
        "≤ 1.2",
    )


def _import(run: Run, lines: Path) -> Figure:
    rows = run.folder / "rows.csv"
    with rows.open("w", newline="") as file:
        numbered = enumerate(database.generate_rows(run.events), start=1)
        csv.writer(file).writerows((key, *row) for key, row in numbered)
    rounds = [
        _measure_round(run.folder / f"import-{number}", lines, rows) for number in range(run.rounds)
    ]
    rows.unlink()
    mine, others = zip(*rounds, strict=True)
    return Figure(
        f"import {run.events:,} events from NDJSON",
        "seconds of `bytelog import` ÷ those of `sqlite3`'s `.import` into the same table",
        format_ratios(mine, others, ".1f"),
        "≤ 2",
    )


def _measure_round(folder: Path, lines: Path, rows: Path) -> tuple[float, float]:
    imported, copied = (database.create(folder / name) for name in ("ours", "theirs"))
    path = str(copied / "bytelog.db")
    settings = ["-cmd", "PRAGMA synchronous=FULL", "-cmd", "PRAGMA foreign_keys=ON"]
    mine = measure_seconds(build_command(imported, "import", lines))
    theirs = measure_seconds(["sqlite3", *settings, path, ".mode csv", f".import {rows} event"])
    for each in (imported, copied):
        database.check_stored(each, sum(1 for _ in rows.open()))
        (each / "bytelog.db").unlink()
    return mine, theirs
