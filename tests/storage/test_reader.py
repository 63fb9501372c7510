from __future__ import annotations

from flask import Flask
from sqlalchemy import select
from support.api import CLICK, Person

from bytelog.storage.database import db
from bytelog.storage.models import Event
from bytelog.storage.query import Query
from bytelog.storage.reader import NO_VALUES, Reader


def test_rows_that_were_not_read_keep_no_snapshot(app: Flask, alice: Person) -> None:
    alice.post([CLICK] * 3)
    with app.app_context():
        reader = Reader(db.engine)
        query = Query(select(Event.id), reader.backend.dialect)
        with reader.open(query, NO_VALUES) as rows:
            next(rows)
        alice.post(CLICK)
        assert len(reader.fetch(query)) == 4
        del rows
