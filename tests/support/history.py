"""Databases with a long history of events."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from bytelog import create_app
from bytelog.storage.backend import Row
from bytelog.storage.database import db
from bytelog.storage.writer import current_writer
from support.originals import copy_filled_by

FIRST_DAY = date(2021, 8, 1)
NAMES = ("click", "click", "paypal_payment", "sign_up")


def day(number: int) -> str:
    """Return the day of the 1000 events whose ids start at 1000 times `number`."""
    return (FIRST_DAY + timedelta(number)).isoformat()


def make_history(folder: Path, days: int, project_id: int = 1) -> None:
    """Fill a data folder with 1000 events a day, with ids from 0 in the order of dates."""
    if folder.exists() or project_id != 1:
        _record(folder, days, project_id)
    else:
        copy_filled_by(_record, days, folder)


def _record(folder: Path, days: int, project_id: int = 1) -> None:
    app = create_app({}, folder)
    with app.app_context():
        for number in range(days):
            with current_writer().transaction() as connection:
                current_writer().insert(connection, list(_events_of(number, project_id)))
        current_writer().close()
        db.engine.dispose()


def _events_of(number: int, project_id: int) -> Iterator[Row]:
    generator = random.Random(number)
    for index in range(1000):
        moment = f"{day(number)}T{index % 24:02}:{index % 60:02}:00.{index:03}Z"
        trace_id, data = f"{generator.getrandbits(32):08x}", json.dumps({"text": "x" * 50})
        yield project_id, number * 1000 + index, NAMES[index % 4], trace_id, moment, data
