"""`bytelog backup` and `bytelog check`."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from flask import Flask
from sqlalchemy import Connection

from ..maintenance import backup, inspection, snapshots
from ..maintenance.inspection import Findings
from ..seals.document import Seal
from ..storage.database import backend_of, db
from ..storage.errors import StorageBusy, StorageError
from .options import (
    interrupted_by_signals,
    json_option,
    progress,
    with_existing_database,
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
    if seal and findings.comparison and not as_json:
        show_comparison(seal, findings.comparison)
    if findings.comparison:
        refuse_contradiction(findings.comparison)
    if findings.damage:
        raise click.ClickException(
            f"{name} is damaged: {findings.damage}\n"
            f"Restore a backup, or save what can be read with `sqlite3 {name} .recover`."
        )


def describe_day(day: inspection.Day) -> dict[str, Any]:
    """Return the number of events of a day, for JSON."""
    return {"project": day.project, "day": day.day, "events": day.events}


def _describe_findings(name: str, findings: Findings) -> dict[str, Any]:
    return {
        "database": name,
        "schema": findings.revision,
        "damage": findings.damage or None,
        "days": [describe_day(day) for day in findings.days],
        "held_back_by": findings.held_back_by and findings.held_back_by._asdict(),
        "seal": asdict(findings.comparison) if findings.comparison else None,
    }


def _show_findings(name: str, findings: Findings) -> None:
    click.echo(f"Database: {name}\nSchema: {findings.schema}")
    if findings.damage:
        return
    row = "{:<20}  {:<10}  {:>12}".format
    if findings.damage is not None:
        click.echo("No damage was found.")
    if held := findings.held_back_by:
        age = "an unknown time" if held.seconds is None else f"{held.seconds:,.0f} seconds"
        click.echo(
            f"Followers wait for a transaction that has been open for {age}: {held.name}. "
            f"If nobody needs it, end it: {held.remedy};"
        )
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


def format_megabytes(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e6:,.1f} MB"
