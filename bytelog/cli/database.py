"""`bytelog backup`, `bytelog check` and `bytelog prune`."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from flask import Flask
from sqlalchemy import Connection

from .. import timestamps
from ..maintenance import backup, inspection, retention, snapshots
from ..maintenance.inspection import Findings
from ..seals.document import Seal
from ..storage.backend import FileSpace, StorageBusy, StorageError
from ..storage.database import backend_of, db
from .options import (
    Date,
    advance,
    interrupted_by_signals,
    json_option,
    progress,
    with_existing_database,
    with_room,
)
from .seal import INPUT_FILE, read_seal, refuse_contradiction, show_comparison

NICENESS = 10
"""How much lower the priority of a command that only reads is than the server's."""


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_existing_database
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
    click.echo(f"Wrote {file}: {events} events, {format_megabytes(file.stat().st_size)}, checked.")


@click.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--seal", "seal_file", type=INPUT_FILE, help="Compare the events with this seal.")
@click.option("--public-key", type=INPUT_FILE, help="Accept only a seal of this key (PEM).")
@json_option
def check(
    file: Path | None, seal_file: Path | None, public_key: Path | None, as_json: bool
) -> None:
    """Look for damage in the database, or in FILE, and count events.

    They are counted by project and day. Nothing is changed, and the schema of an older FILE is not
    upgraded. With --seal, the first event that was altered, inserted, removed or moved since then
    is named.
    """
    os.nice(NICENESS)
    seal = read_seal(seal_file, public_key)
    if file:
        name, findings = str(file), _look_into(file, snapshots.open_file(file), seal)
    else:
        name, findings = _look_into_own(seal)
    if as_json:
        click.echo(json.dumps(_describe_findings(name, findings)))
    else:
        _show_findings(name, findings)
    if findings.damage:
        raise click.ClickException(
            f"{name} is damaged: {findings.damage}\n"
            f"Restore a backup, or save what can be read with `sqlite3 {name} .recover`."
        )
    if seal and findings.comparison and not as_json:
        show_comparison(seal, findings.comparison)
    if findings.comparison:
        refuse_contradiction(findings.comparison)


@click.command()
@click.option("--before", type=Date(), help="Delete events before this day or time.")
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    help="Delete events older than this many days.",
)
@click.option("--dry-run", is_flag=True, help="Only report the number of events.")
@click.option("--yes", is_flag=True, help="Delete even more than half of a project's events.")
@with_room
@with_existing_database
def prune(
    _: Flask, before: datetime | None, keep_days: int | None, dry_run: bool, yes: bool
) -> None:
    """Delete old events of all projects, by date.

    The database may be in use meanwhile. The space of the events is returned to the disk.
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
    click.echo(f"File size: {format_megabytes(size)} before, {format_megabytes(space.size())} now.")


def describe_day(day: inspection.Day) -> dict[str, Any]:
    """Return the number of events of a day, for JSON."""
    return {"project": day.project, "day": day.day, "events": day.events}


def _describe_findings(name: str, findings: Findings) -> dict[str, Any]:
    return {
        "database": name,
        "schema": findings.revision,
        "damage": findings.damage or None,
        "days": [describe_day(day) for day in findings.days],
        "seal": asdict(findings.comparison) if findings.comparison else None,
    }


def _show_findings(name: str, findings: Findings) -> None:
    click.echo(f"Database: {name}\nSchema: {findings.schema}")
    if findings.damage:
        return
    row = "{:<20}  {:<10}  {:>12}".format
    if findings.damage is not None:
        click.echo("No damage was found.")
    click.echo(f"\n{row('PROJECT', 'DAY', 'EVENTS')}")
    for day in findings.days:
        click.echo(row(day.project, day.day, day.events))


@with_existing_database
def _look_into_own(_: Flask, seal: Seal | None) -> tuple[str, Findings]:
    return own_name(), _look_into(own_name(), snapshots.open_service(), seal)


def own_name() -> str:
    """Return the location of the service's database."""
    return backend_of(db.engine).location()


def _look_into(
    file: Path | str, snapshot: AbstractContextManager[Connection], seal: Seal | None
) -> Findings:
    def look() -> Findings:
        with snapshot as connection:
            return inspection.inspect(connection, seal)

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


def format_megabytes(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e6:,.1f} MB"
