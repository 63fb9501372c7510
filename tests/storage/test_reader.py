from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select
from support.api import CLICK, Person

from bytelog.storage.database import db
from bytelog.storage.errors import ReadInterrupted
from bytelog.storage.models import Event
from bytelog.storage.query import Query
from bytelog.storage.reader import NO_VALUES, Reader, ReadLimits


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


@pytest.mark.each_database
def test_a_connection_is_usable_after_a_large_result_that_was_read_in_part(
    app: Flask, alice: Person
) -> None:
    alice.post([CLICK] * 3)
    with app.app_context():
        reader = Reader(db.engine, ReadLimits(60))
        query = Query(select(Event.id), reader.backend.dialect)
        for _ in range(2):
            with reader.open(query, NO_VALUES, is_large=True) as rows:
                assert next(rows)[0] == CLICK["id"]
        assert len(reader.fetch(query)) == 3


@pytest.mark.each_database
def test_a_large_result_is_interrupted_at_its_deadline(app: Flask, alice: Person) -> None:
    alice.post([CLICK] * 100)
    with app.app_context():
        reader = Reader(db.engine, ReadLimits(0))
        others = [Event.__table__.alias(f"other{i}") for i in range(4)]
        total = sum((other.c.id for other in others), start=Event.id)
        query = Query(select(Event.id).where(total < 0), reader.backend.dialect)
        with pytest.raises(ReadInterrupted), reader.open(query, NO_VALUES, is_large=True) as rows:
            list(rows)
        assert len(Reader(db.engine).fetch(Query(select(Event.id), reader.backend.dialect))) == 100
