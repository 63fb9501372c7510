"""What a column contains, exactly: two different values never have the same text.

A listing shows less. In SQLite, a column may hold a value of another type; in PostgreSQL, a date
has microseconds and an era.
"""

from __future__ import annotations

from .functions import Function, writes
from .types import UTF8


class ExactText(Function):
    """The text of a number or text; something that no text of an event equals for other values."""

    inherit_cache = True
    type = UTF8()


class ExactDate(ExactText):
    """The text of a date in the format of the API; another one if that does not tell all of it."""

    inherit_cache = True


class ByteLength(Function):
    """The length of a text in bytes."""

    inherit_cache = True


@writes("sqlite", ExactDate)
@writes("sqlite", ExactText)
def _sqlite_exact_text(column: str) -> str:
    is_text = f"typeof({column}) IN ('text', 'integer')"
    return f"CASE WHEN {is_text} THEN CAST({column} AS BLOB) ELSE char(0) || quote({column}) END"


@writes("postgresql", ExactText)
def _postgresql_exact_text(column: str) -> str:
    return f"CAST({column} AS TEXT)"


@writes("postgresql", ExactDate)
def _postgresql_exact_date(date: str) -> str:
    text = f"""to_char(timezone('UTC', {date}), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""
    is_exact = f"CAST({text} AS timestamptz) = {date}"
    return f"CASE WHEN {is_exact} THEN {text} ELSE CAST({date} AS TEXT) END"


@writes("sqlite", ByteLength)
def _sqlite_byte_length(text: str) -> str:
    return f"length(CAST({text} AS BLOB))"


@writes("postgresql", ByteLength)
def _postgresql_byte_length(text: str) -> str:
    return f"octet_length({text})"
