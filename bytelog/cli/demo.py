"""`bytelog demo`."""

from __future__ import annotations

import click
from flask import Flask

from .. import timestamps
from ..auth import keys
from ..events import store
from ..maintenance import demo as shop
from .options import with_service


@click.command()
@with_service
def demo(_: Flask) -> None:
    """Fill an empty database with a day of a small shop, and make a key that reads it."""
    if not store.is_empty():
        raise click.ClickException(
            "the database has events. Name an empty data folder: BYTELOG_DATA=demo bytelog demo"
        )
    number = shop.record(timestamps.now())
    key = keys.create("demo", "default")
    click.echo(
        f"Recorded {number} events: a day of a small shop, until now.\n\n"
        "`bytelog serve`, with the same data folder, shows them at http://127.0.0.1:8000\n"
        "to who has this key:\n\n"
        f"  {key}"
    )
