"""`bytelog migrate`."""

from __future__ import annotations

import click
from flask import Flask

from ..maintenance.to_postgresql import Migration
from ..seals import transfer
from ..storage.backend import StorageError
from ..storage.database import backend_of, connect, db
from .options import advance, resumable, with_existing_database


@click.command()
@click.option(
    "--to",
    "url",
    required=True,
    help="Target database: postgresql+psycopg://user:password@host/name",
)
@with_existing_database
def migrate(_: Flask, url: str) -> None:
    """Copy everything to a PostgreSQL database and verify the copy.

    The service may run meanwhile. The same command continues after an interruption, and copies
    what has been recorded since.
    """
    if backend_of(db.engine).is_server:
        raise click.ClickException("the service uses PostgreSQL already.")
    target = connect(url, "--to")
    name = backend_of(target).location()
    if not backend_of(target).is_server:
        raise click.ClickException("--to names no PostgreSQL database.")
    try:
        with resumable():
            migration = _run(Migration(target))
    except StorageError as error:
        raise click.ClickException(f"{name}: {error}") from error
    finally:
        target.dispose()
    click.echo(
        f"Copied {migration.copied} events. "
        f"All {migration.verified} are the same in {name}:\n"
        f"SHA-256 {migration.checksum.hexdigest()}\n\n"
        "To switch, stop the service, run this command once more to copy what has been recorded\n"
        "since, and start the service with that URL as BYTELOG_DATABASE_URL."
    )


def _run(migration: Migration) -> Migration:
    advance(migration.prove(), migration.last, "Checking")
    migration.prepare()
    advance(migration.copy(), migration.count_missing(), "Copying")
    advance(migration.verify(), migration.position, "Comparing")
    advance(migration.copy_leaves(), transfer.count_leaves(db.engine), "Copying seals")
    return migration
