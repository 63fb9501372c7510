"""Databases full of events."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import cast

import click

from bytelog import create_app
from bytelog.storage.backend import Row
from bytelog.storage.database import db
from bytelog.storage.writer import current_writer
from bytelog.timestamps import format_utc

from .figures import Run

EVENTS_PER_TRACE = 4
INSERT = "INSERT INTO event (project_id, id, name, trace_id, date, data) VALUES (?, ?, ?, ?, ?, ?)"

_ROWS_AT_ONCE = 100_000
_TRACES_AT_ONCE = 250
_FIRST = datetime(2021, 7, 4, 13, 34, 56, tzinfo=UTC)
_STEPS = (
    ("click", '{"clicked_on":"sign up button"}'),
    ("sign_up", '{"plan":"team","seats":12,"referrer":"https://example.com/pricing"}'),
    ("paypal_payment", '{"client_id":"17039485","amount":129.9,"currency":"EUR"}'),
    ("mail_sent", "{}"),
)


def stored(run: Run, events: int) -> Path:
    """Return the data folder with so many events, filled when it is first asked for."""
    folder = run.folder / f"{events}-events"
    return folder if folder.exists() else create(folder, rows(events))


def trace_id(number: int) -> str:
    """Return an id for each trace, scattered over the index as real ones are."""
    return f"{number * 2654435761 % 2**32:08x}"


def rows(events: int) -> Iterator[Row]:
    """Make so many events, the same each time."""
    late = random.Random(1)
    for number in range(events):
        # Traces overlap: the four events of one are as far apart as those of many others.
        group, place = divmod(number, _TRACES_AT_ONCE * EVENTS_PER_TRACE)
        step, offset = divmod(place, _TRACES_AT_ONCE)
        name, data = _STEPS[step]
        moment = _FIRST + timedelta(milliseconds=100 * number - late.randrange(1000))
        trace = trace_id(group * _TRACES_AT_ONCE + offset)
        yield 1, number, name, trace, format_utc(moment), data


def create(folder: Path, rows: Iterable[Row] = ()) -> Path:
    """Make a data folder, with these rows in its database."""
    app, left = create_app({}, folder), iter(rows)
    with app.app_context():
        while part := list(islice(left, _ROWS_AT_ONCE)):
            with current_writer().transaction() as connection:
                cast("sqlite3.Connection", connection.connection.driver_connection).executemany(
                    INSERT, part
                )
        current_writer().close()
        db.engine.dispose()
    return folder


def check_stored(folder: Path, acknowledged: int) -> None:
    """Raise ClickException unless a database holds all events that were acknowledged."""
    with closing(sqlite3.connect(folder / "bytelog.db")) as connection:
        ((stored,),) = connection.execute("SELECT count(*) FROM event").fetchall()
    if stored < acknowledged:
        raise click.ClickException(f"{acknowledged} events were acknowledged, {stored} are stored")


def single(rows: list[Row]) -> str:
    """Return an event as most programs send it, with space between its tokens."""
    ((_, number, name, trace, date, data),) = rows
    event = {"id": number, "name": name, "trace_id": trace, "date": date}
    return json.dumps({**event, "data": json.loads(data)})


def batch(rows: list[Row]) -> str:
    """Return a batch of events."""
    return f"[{', '.join(single([row]) for row in rows)}]"
