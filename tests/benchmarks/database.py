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


def prepare_folder(run: Run, events: int) -> Path:
    """Return a data folder with a number of events, filled at the first call."""
    folder = run.folder / f"{events}-events"
    return folder if folder.exists() else create(folder, generate_rows(events))


def trace_id(number: int) -> str:
    """Return the id of a trace; ids are scattered over the index like real ones."""
    return f"{number * 2654435761 % 2**32:08x}"


def generate_rows(events: int) -> Iterator[Row]:
    """Yield the rows of a number of events, the same in every call."""
    delay = random.Random(1)
    for number in range(events):
        # Traces overlap: between two events of a trace are events of all other traces in its group.
        group, index = divmod(number, _TRACES_AT_ONCE * EVENTS_PER_TRACE)
        step, offset = divmod(index, _TRACES_AT_ONCE)
        name, data = _STEPS[step]
        moment = _FIRST + timedelta(milliseconds=100 * number - delay.randrange(1000))
        trace = trace_id(group * _TRACES_AT_ONCE + offset)
        yield 1, number, name, trace, format_utc(moment), data


def create(folder: Path, rows: Iterable[Row] = ()) -> Path:
    """Create a data folder, and a database in it with these rows."""
    app, remaining = create_app({}, folder), iter(rows)
    with app.app_context():
        while part := list(islice(remaining, _ROWS_AT_ONCE)):
            with current_writer().transaction() as connection:
                cast("sqlite3.Connection", connection.connection.driver_connection).executemany(
                    INSERT, part
                )
        current_writer().close()
        db.engine.dispose()
    return folder


def check_stored(folder: Path, acknowledged: int) -> None:
    """Raise ClickException unless all acknowledged events are in the database."""
    with closing(sqlite3.connect(folder / "bytelog.db")) as connection:
        ((stored,),) = connection.execute("SELECT count(*) FROM event").fetchall()
    if stored < acknowledged:
        raise click.ClickException(f"{acknowledged} events were acknowledged, {stored} are stored")


def format_event(rows: list[Row]) -> str:
    """Return an event as most programs send it, with spaces between its tokens."""
    ((_, number, name, trace, date, data),) = rows
    event = {"id": number, "name": name, "trace_id": trace, "date": date}
    return json.dumps({**event, "data": json.loads(data)})


def format_batch(rows: list[Row]) -> str:
    """Return a batch of events."""
    return f"[{', '.join(format_event([row]) for row in rows)}]"
