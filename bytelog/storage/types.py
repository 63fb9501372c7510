"""Column types: what SQLite keeps as text, and what PostgreSQL has in its place."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import TIMESTAMP, Dialect, LargeBinary, String, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

from .. import timestamps


class _Moment(TypeDecorator[Any]):
    """A moment in UTC: text that sorts by time in SQLite, a timestamp in PostgreSQL."""

    impl = String(24)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type of a database."""
        own = TIMESTAMP(timezone=True) if dialect.name == "postgresql" else self.impl
        return dialect.type_descriptor(cast("TypeEngine[Any]", own))


class UTCTimestamp(_Moment):
    """A moment, a datetime in Python."""

    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the text of a moment, which PostgreSQL understands too."""
        return None if value is None else timestamps.format_utc(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the moment."""
        return datetime.fromisoformat(value) if isinstance(value, str) else value


class DateText(_Moment):
    """A moment, text in Python: reading a datetime takes longer than the query."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return the text."""
        return timestamps.format_utc(value) if isinstance(value, datetime) else value


class UTF8(TypeDecorator[bytes]):
    """Text, UTF-8 bytes in Python: that is how SQLite stores it."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return text for PostgreSQL, which sends bytes as twice as many characters."""
        own = Text() if dialect.name == "postgresql" else LargeBinary()
        return dialect.type_descriptor(cast("TypeEngine[Any]", own))

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        """Return the bytes."""
        return value.encode() if isinstance(value, str) else value
