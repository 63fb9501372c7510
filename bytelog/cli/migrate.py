"""`bytelog migrate`."""

from __future__ import annotations

import click
from flask import Flask
from sqlalchemy import Engine

from ..auth.projects import UnknownProject
from ..maintenance.migration.base import Migration
from ..maintenance.migration.project import ProjectMigration
from ..maintenance.migration.whole import DatabaseMigration
from ..seals import transfer
from ..storage.database import backend_of, connect, db
from ..storage.errors import StorageError
from .options import advance, resumable, with_existing_database


@click.command()
@click.option(
    "--to",
    "url",
    required=True,
    help="Target database: sqlite:////path/to/bytelog.db, or "
    "postgresql+psycopg://user:password@host/name",
)
@click.option(
    "--project",
    "names",
    multiple=True,
    help="Copy only this project, to a database that may have others. Repeatable.",
)
@with_existing_database
def migrate(_: Flask, url: str, names: tuple[str, ...]) -> None:
    """Copy everything, or projects, to another database.

    All copied events are compared. The service may run meanwhile. The same command continues after
    an interruption, and copies what has been recorded since.
    """
    target = connect(url, "--to")
    location = backend_of(target).location()
    if location == backend_of(db.engine).location():
        raise click.ClickException("--to names the database of this service.")
    try:
        with resumable():
            if names:
                _copy_projects(target, location, names)
            else:
                _copy_all(target, location)
    except UnknownProject as error:
        raise click.ClickException(str(error)) from error
    except StorageError as error:
        raise click.ClickException(f"{location}: {error}") from error
    finally:
        target.dispose()


def _copy_all(target: Engine, location: str) -> None:
    migration = DatabaseMigration(target)
    advance(migration.prove(), migration.last, "Checking")
    _copy(migration)
    advance(migration.copy_leaves(), transfer.count_leaves(db.engine), "Copying seals")
    _report(migration, location)
    click.echo(
        "\nTo switch, stop the service, run this command once more to copy what has been recorded\n"
        "since, and start the service with that URL as BYTELOG_DATABASE_URL."
    )


def _copy_projects(target: Engine, location: str, names: tuple[str, ...]) -> None:
    # All are refused before anything of the first is written.
    migrations = [ProjectMigration(target, name) for name in dict.fromkeys(names)]
    for migration in migrations:
        advance(migration.prove(), migration.last, "Checking")
    for migration in migrations:
        _copy(migration)
        click.echo(f"Project {migration.name}:")
        _report(migration, location)
    if transfer.count_leaves(db.engine):
        click.echo("Seals are not copied: they cover the events of all projects.")
    click.echo(
        "\nTo switch, stop recording in the project, run this command once more to copy what has\n"
        "been recorded since, and send the project's clients to the server of that database."
    )


def _copy(migration: Migration) -> None:
    migration.prepare()
    advance(migration.copy(), migration.count_missing(), "Copying")
    advance(migration.verify(), migration.position, "Comparing")


def _report(migration: Migration, location: str) -> None:
    click.echo(
        f"Copied {migration.copied} events. "
        f"All {migration.verified} are the same in {location}:\n"
        f"SHA-256 {migration.checksum.hexdigest()}"
    )
