"""`bytelog tail`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

import click
from flask import Flask

from ..api.fields import IntegerField
from ..api.parameters import TracedParameters
from ..config import MAX_LIMIT
from ..maintenance import arrivals
from ..maintenance.snapshots import read_interruptibly, run_interruptibly
from ..queries import listing
from ..queries.formats import Format
from ..queries.selection import Selection
from ..storage.database import db
from ..storage.errors import ReadInterrupted
from ..storage.keyset import Order
from ..storage.reader import Reader, ReadLimits
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
from .terminal import discard_output, is_output_closed, write_safely

LAST_EVENTS = 10
"""Events that are shown before those that arrive."""


class TailParameters(TracedParameters):
    """The parameters of `bytelog tail`: no order, no cursor and no time to wait."""

    limit = IntegerField(0, MAX_LIMIT, load_default=LAST_EVENTS)


@click.command()
@parameters_argument
@project_option("Project to read.")
@format_option
def tail(parameters: Mapping[str, list[str]], project: str, format_name: str) -> None:
    """Show the last events that match, then each that arrives.

    Ctrl-C ends the command. It takes the parameters of `GET /api/v1/events`, except `order`,
    `cursor` and `wait`. It shows the 10 latest events by date first; `limit=N` changes the number,
    which may be 0.
    """
    try:
        _tail(parameters, project, format_name)
    except KeyboardInterrupt:
        click.echo(err=True, nl=sys.stderr.isatty())  # after the ^C on a terminal
    except BrokenPipeError:
        discard_output()


@with_existing_database
def _tail(_: Flask, parameters: Mapping[str, list[str]], project: str, format_name: str) -> None:
    selection = load(TailParameters(), parameters, project)
    format_ = FORMATS[format_name]
    write = Table().write if format_name == TABLE else write_safely
    with explain_lost_cursor(), suppress(ReadInterrupted):
        end = arrivals.find_end(selection)
        last = run_interruptibly(lambda: list(_read_last(selection, format_, end.key)))
        write([format_.beginning, *map(format_.postprocess, reversed(last))])
        limits = ReadLimits(math.inf, is_output_closed)
        for arrived in arrivals.follow(replace(selection, limit=None), format_, end, limits):
            for page in read_interruptibly(arrived.pages):
                write([format_.postprocess(page)])


def _read_last(selection: Selection, format_: Format, last_key: int) -> Iterator[bytes]:
    """Yield the text of each of the latest events up to a key, the newest first."""
    reader = Reader(db.engine)
    one = replace(selection, order=Order.NEWEST)
    for _ in range(selection.limit or 0):
        event = listing.read_page(reader, one, format_, 1, last_key)
        yield from event.pages
        if event.next is None:
            return
        one = replace(one, cursor=event.next)
