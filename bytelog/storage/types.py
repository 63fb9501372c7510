"""Column types that are text in SQLite, and have a type of their own in PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import TIMESTAMP, Dialect, LargeBinary, String, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

from .. import timestamps


class _Moment(TypeDecorator[Any]):
    """A time in UTC: text that sorts by time in SQLite, a timestamp in PostgreSQL."""

    impl = String(24)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type in a database."""
        column_type = TIMESTAMP(timezone=True) if dialect.name == "postgresql" else self.impl
        return dialect.type_descriptor(cast("TypeEngine[Any]", column_type))


class UTCTimestamp(_Moment):
    """A time, which is a datetime in Python."""

    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the time as text, which PostgreSQL accepts too."""
        return None if value is None else timestamps.format_utc(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the time."""
        return datetime.fromisoformat(value) if isinstance(value, str) else value


class DateText(_Moment):
    """A time, which is text in Python: converting to datetime takes longer than the query."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return the text."""
        return timestamps.format_utc(value) if isinstance(value, datetime) else value


class UTF8(TypeDecorator[bytes]):
    """Text, which is UTF-8 bytes in Python, as SQLite stores it."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return text for PostgreSQL, which sends a byte as two characters."""
        column_type = Text() if dialect.name == "postgresql" else LargeBinary()
        return dialect.type_descriptor(cast("TypeEngine[Any]", column_type))

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        """Return the bytes."""
        return value.encode() if isinstance(value, str) else value
