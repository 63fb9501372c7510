"""`bytelog stats`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import click
from flask import Flask
from sqlalchemy import Connection

from ..maintenance import inspection, snapshots
from ..storage.database import backend_of, db
from ..storage.maintenance import Sizes
from . import chart
from .database import NICENESS, describe_day, format_megabytes, own_name
from .options import json_option, progress, with_existing_database

_COLUMNS = 120  # of output that does not go to a terminal


@click.command()
@json_option
@with_existing_database
def stats(_: Flask, as_json: bool) -> None:
    """Count the events by project, name and day, and show the size."""
    os.nice(NICENESS)
    with snapshots.open_service() as connection:
        days = list(inspection.count_by_day(connection))
        projects = _names_by_day(connection, days)
        sizes = backend_of(db.engine).maintenance.sizes(connection)
    if as_json:
        click.echo(json.dumps(_describe_content(sizes, days, projects)))
        return
    click.echo(f"Database: {own_name()}\n{_format_sizes(sizes)}")
    click.echo(f"Events: {sum(day.events for day in days):,}")
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else _COLUMNS
    for project, names in projects.items():
        click.echo(f"\nProject {project}\n")
        for line in chart.draw_lines(names, width, "▇" if on_terminal else "#"):
            click.echo(line)


def _describe_content(
    sizes: Sizes, days: list[inspection.Day], projects: Mapping[str, Mapping[str, Counter[str]]]
) -> dict[str, Any]:
    return {
        "database": own_name(),
        "bytes": sizes.total,
        "free_bytes": sizes.free,
        "log_bytes": sizes.log,
        "events": sum(day.events for day in days),
        "days": [{**describe_day(day), "names": projects[day.project][day.day]} for day in days],
    }


def _format_sizes(sizes: Sizes) -> str:
    total = f"Size: {format_megabytes(sizes.total)}"
    if sizes.free is None or sizes.log is None:
        return total
    free, log = map(format_megabytes, (sizes.free, sizes.log))
    return f"{total}, of which {free} are free\nLog: {log}"


def _names_by_day(
    connection: Connection, days: list[inspection.Day]
) -> dict[str, dict[str, Counter[str]]]:
    projects: dict[str, dict[str, Counter[str]]] = {}
    with progress(sum(day.events for day in days), "Counting") as bar:
        for day in days:
            projects.setdefault(day.project, {})[day.day] = inspection.count_by_name(
                connection, day
            )
            bar.update(day.events)
    return projects
