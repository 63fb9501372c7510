"""`bytelog erase`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import click
from flask import Flask

from ..api.erasure import load_matching
from ..auth import projects
from ..auth.keys import grant_all
from ..events import erasure
from ..maintenance import retention
from ..maintenance.snapshots import run_interruptibly
from ..storage.database import backend_of, db
from ..storage.errors import StorageBusy, StorageFull
from ..storage.file_space import LogState
from .options import advance, project_option, with_existing_database, with_room
from .parameters import explain_parameters, parameters_argument

_LOG = {
    LogState.IN_USE: "The write-ahead log still has the text, because a long read or a backup "
    "needs the log. Run this command again later.",
    LogState.CHECKPOINTS_OFF: "The write-ahead log still has the text until the program that "
    "checkpoints it, such as Litestream, empties it.",
}
_NOT_REWRITTEN = (
    "The file of the database was not rewritten, because it is in use or the disk has too little "
    "space for a copy: its unused bytes may have copies of a few of the events. To remove these, "
    "run this command again while no server runs."
)


@click.command()
@parameters_argument
@project_option("Project to erase events from.")
@click.option("--dry-run", is_flag=True, help="Only report the number of events.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@with_room
@with_existing_database
def erase(
    _: Flask, parameters: Mapping[str, list[str]], project: str, dry_run: bool, yes: bool
) -> None:
    """Delete events that match filters, and their text from the disk.

    Takes the filters of `GET /api/v1/events`, at least one, and `start`, `end` and `tz`. For
    example: `bytelog erase data.user_id=17039485`. Backups and replicas keep the events.
    """
    with explain_parameters():
        selection = load_matching(parameters, grant_all(projects.find(project)))
    events = run_interruptibly(partial(erasure.count, selection))
    if dry_run:
        click.echo(f"{events} events match.")
        return
    if events and not yes:
        click.confirm(f"Delete {events} events of project {project}?", abort=True, err=True)
    deleted = advance(erasure.erase(selection), events, "Deleting")
    click.echo(f"Deleted {deleted} events.")
    _remove_text()


def _remove_text() -> None:
    """Remove what deleting leaves in the files, also of an earlier run."""
    run_interruptibly(erasure.vacuum)
    state = erasure.empty_log()
    if state:
        click.echo(_LOG[state], err=True)
    if state is LogState.CHECKPOINTS_OFF:
        return
    if space := backend_of(db.engine).maintenance.file_space():
        try:
            run_interruptibly(partial(retention.rewrite, space))
        except (StorageBusy, StorageFull):
            click.echo(_NOT_REWRITTEN, err=True)
