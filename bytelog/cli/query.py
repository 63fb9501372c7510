"""`bytelog query`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import click
from flask import Flask

from ..api import parameters as api
from ..api.cursors import format_cursor
from ..events import store
from ..maintenance.snapshots import read_interruptibly, run_interruptibly
from ..queries.formats import LINES
from ..queries.listing import Listing
from ..queries.selection import Selection
from ..storage.reader import NO_LIMITS
from .database import NICENESS
from .options import project_option, with_existing_database
from .parameters import (
    FORMATS,
    TABLE,
    explain_lost_cursor,
    format_option,
    load,
    parameters_argument,
)
from .table import Table
from .terminal import write_safely

TABLE_EVENTS = 1000
"""Events of a table without `limit`: more than anyone scrolls through."""


@click.command()
@parameters_argument
@project_option("Project to read.")
@format_option
@with_existing_database
def query(_: Flask, parameters: Mapping[str, list[str]], project: str, format_name: str) -> None:
    """Show the events that match the parameters of a listing.

    The parameters are those of `GET /api/v1/events`. For example: `bytelog query name=click
    'data.amount[gt]=100' order=newest limit=20`. The shell needs quotes around brackets. Without
    `limit`, a table shows the first 1000 events, and the other formats all.
    """
    os.nice(NICENESS)
    with explain_lost_cursor():
        selection = load(api.listing, parameters, project)
        if format_name == TABLE:
            _show_table(selection)
            return
        format_ = FORMATS[format_name]
        listing = run_interruptibly(partial(store.wait_for, selection, format_, NO_LIMITS))
        write_safely(format_.write(listing.count, read_interruptibly(listing.pages)))


def _show_table(selection: Selection) -> None:
    limited = replace(selection, limit=selection.limit or TABLE_EVENTS)
    listing = run_interruptibly(partial(store.wait_for, limited, LINES, NO_LIMITS))
    pages = LINES.write(listing.count, read_interruptibly(listing.pages))
    Table().write(pages)
    if not listing.count:
        click.echo("No event matches.", err=True)
    elif selection.limit is None and _has_more(limited, listing):
        _explain_rest(listing)


def _has_more(selection: Selection, listing: Listing) -> bool:
    if listing.count < TABLE_EVENTS or listing.next is None:
        return False
    rest = replace(selection, cursor=listing.next, limit=1)
    return bool(run_interruptibly(partial(store.select, rest, LINES)).count)


def _explain_rest(listing: Listing) -> None:
    cursor = format_cursor(listing.next) if listing.next else ""
    click.echo(
        f"{TABLE_EVENTS} events are shown, and there are more.\n"
        f"The next ones: cursor={cursor}\nAll of them: --format ndjson",
        err=True,
    )
