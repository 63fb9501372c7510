"""Inserting and looking up events in PostgreSQL, many in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .backend import Identity, Row
from .models import ROW_COLUMNS

if TYPE_CHECKING:
    import psycopg

COPY_EVENTS = 50
"""Number of events from which COPY is faster than INSERT."""

_ARRAYS = {"project_id": "int[]", "id": "bigint[]", "date": "text[]::timestamptz[]"}
_IDENTITY_ARRAYS = {"project_id": "int[]", "id": "bigint[]"}
_INSERT = (
    f"INSERT INTO event ({', '.join(ROW_COLUMNS)}) SELECT * FROM unnest"  # noqa: S608
    f"({', '.join('%b::' + _ARRAYS.get(column, 'text[]') for column in ROW_COLUMNS)})"
)

# LIMIT makes PostgreSQL search an index for each event, whatever it assumes of their number. The
# first and last date tell it which partitions it need not read.
_IDENTITY = ROW_COLUMNS[:-1]
_FIND = (
    f"SELECT new.* FROM unnest"  # noqa: S608
    f"({', '.join('%b::' + _IDENTITY_ARRAYS.get(column, 'text[]') for column in _IDENTITY)}) "
    f"AS new ({', '.join(_IDENTITY)}), LATERAL (SELECT 1 FROM event "
    "WHERE event.project_id = new.project_id AND event.trace_id = new.trace_id "
    "AND event.date = new.date::timestamptz AND event.id = new.id AND event.name = new.name "
    "AND event.date BETWEEN %b::text::timestamptz AND %b::text::timestamptz "
    "AND event.key >= %b::bigint LIMIT 1) AS stored"
)


def insert(connection: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
    """Insert events within a transaction."""
    if len(rows) >= COPY_EVENTS:
        copy(connection, ROW_COLUMNS, rows)
    elif rows:
        connection.execute(_INSERT, _transpose(rows), prepare=True)


def copy(
    connection: psycopg.Connection[Any], columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert the named columns of events by COPY, within a transaction."""
    statement = f"COPY event ({', '.join(columns)}) FROM STDIN".encode()
    with connection.cursor().copy(statement) as target:
        for row in rows:
            target.write_row(row)


def find(connection: psycopg.Connection[Any], rows: Sequence[Row], first_key: int) -> set[Identity]:
    """Return which events are stored, with any data and a key from `first_key` on."""
    if not rows:
        return set()
    dates = [row[4] for row in rows]
    values = [*_transpose(rows)[:-1], min(dates), max(dates), first_key]
    return set(connection.execute(_FIND, values, prepare=True))


def _transpose(rows: Sequence[Row]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
