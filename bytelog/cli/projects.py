"""`bytelog projects`: list, rename, delete."""

from __future__ import annotations

import json
import os
from typing import NoReturn

import click
from flask import Flask

from ..auth.projects import UnknownProject
from ..maintenance import projects
from ..maintenance.projects import UnchangeableProject
from ..storage.database import backend_of, db
from .database import NICENESS
from .options import advance, check_name, json_option, resumable, with_existing_database
from .prune import shrink


@click.group("projects")
def projects_group() -> None:
    """List, rename and delete projects."""


@projects_group.command("list")
@json_option
@with_existing_database
def list_projects(_: Flask, as_json: bool) -> None:
    """List every project with the numbers of its events and active keys."""
    os.nice(NICENESS)
    summaries = projects.list_all()
    if as_json:
        click.echo(json.dumps({"projects": [summary._asdict() for summary in summaries]}))
        return
    row = "{:<20}  {:>12}  {:>6}".format
    click.echo(row("PROJECT", "EVENTS", "KEYS"))
    for summary in summaries:
        click.echo(row(*summary))


@projects_group.command()
@click.argument("old")
@click.argument("new", callback=check_name)
@with_existing_database
def rename(_: Flask, old: str, new: str) -> None:
    """Rename the project OLD to NEW. Its events and keys remain."""
    try:
        projects.rename(old, new)
    except (UnknownProject, UnchangeableProject) as error:
        _refuse(error)
    click.echo(f"Renamed {old} to {new}.")


@projects_group.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_existing_database
def delete_project(_: Flask, name: str, yes: bool) -> None:
    """Delete the project NAME with its events and keys.

    Running servers reject its keys within a second. The space is returned to the disk.
    """
    try:
        projects.check_deletable(name)
    except (UnknownProject, UnchangeableProject) as error:
        _refuse(error)
    (summary,) = [each for each in projects.list_all() if each.name == name]
    if not yes:
        click.confirm(
            f"Delete the project {name} with {summary.events} events and {summary.keys} active "
            "keys? Only a backup can bring them back.",
            abort=True,
        )
    with resumable():
        deleted = advance(projects.delete_project(name), summary.events, "Deleting")
    click.echo(f"Deleted the project {name} with {deleted} events.")
    if space := backend_of(db.engine).maintenance.file_space():
        shrink(space)


def _refuse(error: Exception) -> NoReturn:
    raise click.ClickException(str(error)) from error
