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
    """Fill an empty database with a day of a small shop's events.

    A key to read them is created and printed.
    """
    if not store.is_empty():
        raise click.ClickException(
            "the database has events. Use an empty data folder: BYTELOG_DATA=demo bytelog demo"
        )
    count = shop.record(timestamps.now())
    key = keys.create("demo", "default", ["read"])
    click.echo(
        f"Recorded {count} events: the last day of a small shop.\n\n"
        "Start `bytelog serve` with the same data folder, open http://127.0.0.1:8000\n"
        "and sign in with this key:\n\n"
        f"  {key}\n\n"
        "The key only reads. To record events, create another: bytelog keys create NAME"
    )
