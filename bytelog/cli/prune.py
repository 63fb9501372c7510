"""`bytelog prune`: delete old events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

import click
from flask import Flask
from sqlalchemy import select

from .. import timestamps
from ..auth import projects
from ..auth.projects import UnknownProject
from ..events.keep_rules import current_rules
from ..maintenance import expiry, retention, snapshots
from ..maintenance.expiry import Expired, Scope
from ..storage.database import backend_of, db, fetch
from ..storage.errors import StorageBusy
from ..storage.file_space import FileSpace
from ..storage.models import Project
from .database import format_megabytes
from .options import Date, advance, with_existing_database, with_room


@click.command()
@click.option("--before", type=Date(), help="Delete events before this day or time.")
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    help="Delete events older than this many days.",
)
@click.option("--project", help="Only events of this project.")
@click.option("--name", help="Only events with this name.")
@click.option("--dry-run", is_flag=True, help="Only report the number of events.")
@click.option("--yes", is_flag=True, help="Delete even more than half of a project's events.")
@with_room
@with_existing_database
def prune(
    _: Flask,
    before: datetime | None,
    keep_days: int | None,
    project: str | None,
    name: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete old events, by date.

    Without --before and --keep-days, the rules of BYTELOG_KEEP apply. The database may be in use
    meanwhile. The space of the events is returned to the disk.
    """
    if before and keep_days:
        raise click.UsageError("Give either --before or --keep-days.")
    moment = timestamps.days_ago(keep_days) if keep_days else before
    ages = f"from before {timestamps.format_utc(moment)}" if moment else "too old for BYTELOG_KEEP"
    expired = _find_expired(moment, project, name)
    events = sum(group.events for group in expired)
    if dry_run:
        click.echo(f"{events} events are {ages}.")
        return
    if not yes:
        _check_share(expired, ages)
    whole_days = None if project or name else moment or _find_longest()
    with _shrinking():
        deleted = advance(expiry.prune(expired, whole_days), events, "Deleting")
        click.echo(f"Deleted {deleted} events {ages}.")


def shrink(space: FileSpace) -> None:
    """Return the free pages of the file to the disk, with a progress bar."""
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


def _find_expired(moment: datetime | None, project: str | None, name: str | None) -> list[Expired]:
    statement = select(Project.id, Project.name).order_by(Project.name)
    try:
        if project is not None:
            statement = statement.where(Project.id == projects.find(project))
    except UnknownProject as error:
        raise click.ClickException(str(error)) from error
    rows = fetch(db.engine, statement)
    if moment:
        return [expiry.find_expired(Scope(row.id, row.name, name), moment) for row in rows]
    rules = current_rules()
    if rules is None:
        raise click.UsageError("Give --before or --keep-days, or set BYTELOG_KEEP.")
    return [
        expiry.find_expired(scope, timestamps.days_ago(days))
        for row in rows
        for scope, days in expiry.list_scopes(rules, row, name)
    ]


def _check_share(expired: list[Expired], ages: str) -> None:
    """Raise ClickException if more than half of a project's events would be deleted."""
    if emptied := [group.scope.describe() for group in expired if group.is_most]:
        raise click.ClickException(
            f"more than half of the events of {', '.join(emptied)} are {ages}. "
            "Check the date and the clock, then add --yes."
        )


@contextmanager
def _shrinking() -> Iterator[None]:
    """Shrink the file of the database afterwards, and report its size before and after."""
    space = backend_of(db.engine).maintenance.file_space()
    size = space.size() if space else 0
    yield
    if space:
        shrink(space)
        click.echo(
            f"File size: {format_megabytes(size)} before, {format_megabytes(space.size())} now."
        )


def _find_longest() -> datetime | None:
    rules = current_rules()
    return timestamps.days_ago(rules.longest) if rules and rules.longest else None
