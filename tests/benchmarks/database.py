"""Databases full of events."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from bytelog import create_app
from bytelog.db import db
from bytelog.timestamps import format_utc
from bytelog.writer import Row, current_writer

from .figures import Run

EVENTS_PER_TRACE = 4

_TRACES_AT_ONCE = 250
_FIRST = datetime(2021, 7, 4, 13, 34, 56, tzinfo=UTC)
_STEPS = (
    ("click", '{"clicked_on": "sign up button"}'),
    ("sign_up", '{"plan": "team", "seats": 12, "referrer": "https://example.com/pricing"}'),
    ("paypal_payment", '{"client_id": "17039485", "amount": 129.9, "currency": "EUR"}'),
    ("mail_sent", "{}"),
)


def stored(run: Run, events: int) -> Path:
    """Return the data folder with so many events, filled when it is first asked for."""
    folder = run.folder / f"{events}-events"
    if not folder.exists():
        _fill(folder, events)
    return folder


def trace_id(number: int) -> str:
    """Return an id for each trace, scattered over the index as real ones are."""
    return f"{number * 2654435761 % 2**32:08x}"


def _fill(folder: Path, events: int) -> None:
    app = create_app({}, folder)
    with app.app_context():
        with current_writer().transaction() as connection:
            driver = cast("sqlite3.Connection", connection.connection.driver_connection)
            driver.executemany(
                "INSERT INTO event (project_id, id, name, trace_id, date, data)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                _rows(events),
            )
        current_writer().close()
        db.engine.dispose()


def _rows(events: int) -> Iterator[Row]:
    late = random.Random(1)
    for number in range(events):
        # Traces overlap: the four events of one are as far apart as those of many others.
        group, place = divmod(number, _TRACES_AT_ONCE * EVENTS_PER_TRACE)
        step, offset = divmod(place, _TRACES_AT_ONCE)
        name, data = _STEPS[step]
        moment = _FIRST + timedelta(milliseconds=100 * number - late.randrange(1000))
        trace = trace_id(group * _TRACES_AT_ONCE + offset)
        yield 1, number, name, trace, format_utc(moment), data
