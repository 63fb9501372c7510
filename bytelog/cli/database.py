"""`bytelog backup`, `bytelog check`, `bytelog prune` and `bytelog stats`."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from pathlib import Path

import click
from flask import Flask
from sqlalchemy import Connection

from .. import timestamps
from ..maintenance import backup, inspection, retention, snapshots
from ..maintenance.inspection import Findings
from ..storage.backend import FileSpace, StorageBusy, StorageError
from ..storage.database import backend_of, db
from . import chart
from .options import Date, advance, interrupted_by_signals, progress, with_service

NICENESS = 10
"""How much lower the priority of a command that only reads is than the server's."""

_COLUMNS = 120  # of output that does not go to a terminal


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_service
def back_up(_: Flask, file: Path) -> None:
    """Copy the database to FILE while it is in use.

    An existing FILE is replaced once the copy is checked. If that fails, it is left unchanged.
    """
    os.nice(NICENESS)
    with interrupted_by_signals(), progress(1, "Copying") as bar:

        def report(copied: int, pages: int) -> None:
            bar.length = pages
            bar.update(copied - bar.pos)

        events = backup.write(file, report)
    click.echo(f"Wrote {file}: {events} events, {_megabytes(file.stat().st_size)}, checked.")


@click.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def check(file: Path | None) -> None:
    """Look for damage in the database, or in FILE, and count its events by project and day.

    Nothing is changed, and the schema of an older FILE is not upgraded.
    """
    os.nice(NICENESS)
    if file:
        name, findings = str(file), _look_into(file, snapshots.open_file(file))
    else:
        name, findings = _look_into_own()
    click.echo(f"Database: {name}\nSchema: {findings.revision}")
    if findings.damage:
        raise click.ClickException(
            f"{name} is damaged: {findings.damage}\n"
            f"Restore a backup, or save what can be read with `sqlite3 {name} .recover`."
        )
    row = "{:<20}  {:<10}  {:>12}".format
    if findings.damage is not None:
        click.echo("No damage was found.")
    click.echo(f"\n{row('PROJECT', 'DAY', 'EVENTS')}")
    for day in findings.days:
        click.echo(row(day.project, day.day, day.events))


@click.command()
@click.option("--before", type=Date(), help="Delete events before this day or time.")
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    help="Delete events older than this many days.",
)
@click.option("--dry-run", is_flag=True, help="Only report the number of events.")
@click.option("--yes", is_flag=True, help="Delete even more than half of a project's events.")
@with_service
def prune(
    _: Flask, before: datetime | None, keep_days: int | None, dry_run: bool, yes: bool
) -> None:
    """Delete old events of all projects, by date, while the database is in use.

    The space that they took is returned to the disk.
    """
    if (before is None) == (keep_days is None):
        raise click.UsageError("Give either --before or --keep-days.")
    moment = before or timestamps.days_ago(keep_days or 0)
    expired, text = retention.find_expired(moment), timestamps.format_utc(moment)
    events = sum(project.events for project in expired)
    if dry_run:
        click.echo(f"{events} events are from before {text}.")
        return
    if emptied := [project.project for project in expired if project.is_most and not yes]:
        raise click.ClickException(
            f"more than half of the events of {', '.join(emptied)} are from before {text}. "
            "Check the date and the clock, then add --yes."
        )
    space = backend_of(db.engine).file_space()
    if space is None:
        _delete(moment, events)
        return
    size = space.size()
    _delete(moment, events)
    _shrink(space)
    click.echo(f"File size: {_megabytes(size)} before, {_megabytes(space.size())} now.")


@click.command()
@with_service
def stats(_: Flask) -> None:
    """Show the number of events by project, name and day, and the size on disk."""
    os.nice(NICENESS)
    with snapshots.open_service() as connection:
        days = list(inspection.count_by_day(connection))
        projects = _names_by_day(connection, days)
        sizes = _sizes(connection)
    click.echo(f"Database: {_own_name()}\n{sizes}")
    click.echo(f"Events: {sum(day.events for day in days):,}")
    on_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if on_terminal else _COLUMNS
    for project, names in projects.items():
        click.echo(f"\nProject {project}\n")
        for line in chart.draw_lines(names, width, "▇" if on_terminal else "#"):
            click.echo(line)


@with_service
def _look_into_own(_: Flask) -> tuple[str, Findings]:
    return _own_name(), _look_into(_own_name(), snapshots.open_service())


def _own_name() -> str:
    return backend_of(db.engine).location()


def _sizes(connection: Connection) -> str:
    sizes = backend_of(db.engine).sizes(connection)
    total = f"Size: {_megabytes(sizes.total)}"
    if sizes.free is None or sizes.log is None:
        return total
    return f"{total}, of which {_megabytes(sizes.free)} are free\nLog: {_megabytes(sizes.log)}"


def _look_into(file: Path | str, snapshot: AbstractContextManager[Connection]) -> Findings:
    def look() -> Findings:
        with snapshot as connection:
            return inspection.inspect(connection)

    try:
        return snapshots.run_interruptibly(look)
    except StorageBusy:
        raise
    except StorageError as error:
        raise click.ClickException(
            f"{file} cannot be checked: {error}. Restore a backup, or choose another file."
        ) from error


def _delete(before: datetime, events: int) -> None:
    deleted = advance(retention.prune(before), events, "Deleting")
    click.echo(f"Deleted {deleted} events from before {timestamps.format_utc(before)}.")


def _shrink(space: FileSpace) -> None:
    if space.can_shrink():
        advance(retention.shrink(space), space.free_pages(), "Shrinking")
        return
    try:
        snapshots.run_interruptibly(partial(retention.rewrite, space))
    except StorageBusy:
        click.echo(
            "This file was created by bytelog 0.1 and cannot shrink while it is in use; new events "
            "fill its free space. To shrink it, run this command once more while no server runs. "
            "After that it can also shrink while it is in use.",
            err=True,
        )


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


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
