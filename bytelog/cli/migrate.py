"""`bytelog migrate`."""

from __future__ import annotations

import click
from flask import Flask

from ..maintenance.to_postgresql import Migration
from ..storage.backend import StorageError
from ..storage.database import backend_of, connect, db
from .options import progress, with_service


@click.command()
@click.option("--to", "url", required=True, help="postgresql+psycopg://user:password@host/name")
@with_service
def migrate(_: Flask, url: str) -> None:
    """Copy everything into a database of PostgreSQL, and compare it, while the service goes on.

    After an interruption, and for what has been recorded since, the same command goes on.
    """
    if backend_of(db.engine).is_server:
        raise click.ClickException("the service is on PostgreSQL already.")
    target = connect(url, "--to")
    if not backend_of(target).is_server:
        raise click.ClickException("--to names no PostgreSQL database.")
    try:
        done = _run(Migration(target))
    except StorageError as error:
        raise click.ClickException(f"{target.url!r}: {error}") from error
    except KeyboardInterrupt as interrupt:
        raise click.ClickException(
            "interrupted. Run the same command again: it goes on where it was."
        ) from interrupt
    finally:
        target.dispose()
    click.echo(
        f"Copied {done.copied} events. All {done.verified} are the same in {target.url!r}:\n"
        f"SHA-256 {done.checksum.hexdigest()}\n\n"
        "To change over, stop the service, run this command once more for what it has recorded\n"
        "since, and start it with that URL as BYTELOG_DATABASE_URL."
    )


def _run(migration: Migration) -> Migration:
    with progress(migration.count_missing(), "Copying") as bar:
        for events in migration.copy():
            bar.update(events)
    with progress(migration.position, "Comparing") as bar:
        for events in migration.verify():
            bar.update(events)
    return migration
