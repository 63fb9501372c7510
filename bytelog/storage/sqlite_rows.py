"""Inserting and looking up events in SQLite, many in one statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from .backend import Identity, Row
from .models import ROW_COLUMNS

STATEMENT_ROWS = 100
"""Rows of one statement: the driver keeps as many prepared statements, one for each number."""


def insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Insert events within a transaction, or a few in one of their own."""
    for start in range(0, len(rows), STATEMENT_ROWS):
        part = rows[start : start + STATEMENT_ROWS]
        connection.execute(_insert_statement(len(part)), tuple(chain.from_iterable(part)))


def find(connection: sqlite3.Connection, rows: Sequence[Row], first_key: int) -> set[Identity]:
    """Return which events are stored, with any data and a key from `first_key` on."""
    stored: set[Identity] = set()
    for start in range(0, len(rows), STATEMENT_ROWS):
        part = [row[:-1] for row in rows[start : start + STATEMENT_ROWS]]
        values = (*chain.from_iterable(part), first_key)
        stored.update(connection.execute(_find_statement(len(part)), values))
    return stored


@lru_cache(STATEMENT_ROWS)
def _insert_statement(rows: int) -> str:
    values = f"({', '.join('?' for _ in ROW_COLUMNS)})"
    # An error ends the transaction anyway. Without OR ROLLBACK, SQLite would keep a journal to undo
    # the rows of the statement alone.
    into = f"INSERT OR ROLLBACK INTO event ({', '.join(ROW_COLUMNS)})"
    return f"{into} VALUES {', '.join([values] * rows)}"


@lru_cache(STATEMENT_ROWS)
def _find_statement(rows: int) -> str:
    identity = ROW_COLUMNS[:-1]
    values = f"({', '.join('?' for _ in identity)})"
    equal = " AND ".join(f"event.{column} = new.{column}" for column in identity)
    # Without the name of the index, SQLite might choose the one by date.
    return (
        f"WITH new ({', '.join(identity)}) AS (VALUES {', '.join([values] * rows)}) "  # noqa: S608
        "SELECT * FROM new WHERE EXISTS (SELECT 1 FROM event INDEXED BY event_by_trace "
        f"WHERE {equal} AND event.key >= ?)"
    )
