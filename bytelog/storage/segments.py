# ruff: noqa: S608 (every value is a bound parameter)
"""Events joined with segments of time, each of which has its own offset from UTC."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, FromClause, Join, String, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from .functions import Function, writes
from .types import DateText


class Segments(Function):
    """The rows of a JSON text of `write_segments`."""


class CrossJoin(Join):
    """All pairs of rows of two tables; SQLite reads the table on the left first."""

    inherit_cache = False


class LocalDate(Function):
    """The local time at a date, to the minute, as if it were a date in UTC."""

    type = DateText()


def write_segments(segments: Iterable[tuple[str, str, int]]) -> str:
    """Return JSON for segments, each with its start, its end, and its offset in seconds."""
    rows = enumerate(segments)
    return json.dumps(
        [[number, start, end, f"{seconds} seconds"] for number, (start, end, seconds) in rows]
    )


def create_segments() -> FromClause:
    """Return a table of the segments in the parameter `segments`.

    Its columns are the number of a segment, its start, its end, and its offset from UTC.
    """
    columns = (
        Column("number", BigInteger),
        Column("start", DateText),
        Column("end", DateText),
        Column("offset", String),
    )
    return Segments(bindparam("segments", type_=String)).table_valued(*columns, name="segment")


@writes("sqlite", Segments)
def _sqlite_segments(text: str) -> str:
    # With a limit, the rows are computed once, and not again for each event.
    values = ("number", "start", '"end"', '"offset"')
    columns = ", ".join(f"value ->> {i} AS {name}" for i, name in enumerate(values))
    return f"(SELECT {columns} FROM json_each({text}) LIMIT -1)"


@writes("postgresql", Segments)
def _postgresql_segments(text: str) -> str:
    kinds = {
        "number": "bigint",
        "start": "timestamptz",
        '"end"': "timestamptz",
        '"offset"': "interval",
    }
    columns = ", ".join(
        f"CAST(value ->> {i} AS {kind}) AS {name}" for i, (name, kind) in enumerate(kinds.items())
    )
    return f"(SELECT {columns} FROM json_array_elements(CAST({text} AS json)))"


@compiles(CrossJoin)
def _cross_join(join: CrossJoin, compiler: SQLCompiler, **options: Any) -> str:
    left, right = (
        compiler.process(side, **{**options, "asfrom": True}) for side in (join.left, join.right)
    )
    return f"{left} CROSS JOIN {right}"


@writes("sqlite", LocalDate)
def _sqlite_local_date(date: str, offset: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M', {date}, {offset})"


@writes("postgresql", LocalDate)
def _postgresql_local_date(date: str, offset: str) -> str:
    return f"({date} + {offset})"


def local_date(date: ColumnElement[Any], segments: FromClause) -> LocalDate:
    """Return the local time at a date within a segment."""
    return LocalDate(date, segments.c.offset)
