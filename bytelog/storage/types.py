"""The column types that SQLite lacks, and what PostgreSQL has in their place."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import TIMESTAMP, Dialect, LargeBinary, String, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

from .. import timestamps


class _Moment(TypeDecorator[Any]):
    """A moment in UTC, kept by SQLite as text that sorts and reads as a date."""

    impl = String(24)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return PostgreSQL's own type, or SQLite's text."""
        own = TIMESTAMP(timezone=True) if dialect.name == "postgresql" else self.impl
        return dialect.type_descriptor(cast("TypeEngine[Any]", own))


class UTCTimestamp(_Moment):
    """A moment that Python sees as a datetime."""

    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Return the text for a moment, which PostgreSQL understands too."""
        return None if value is None else timestamps.format_utc(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the moment."""
        return datetime.fromisoformat(value) if isinstance(value, str) else value


class DateText(_Moment):
    """A moment that Python sees as text; a datetime takes longer to make than to read."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Return the text."""
        return timestamps.format_utc(value) if isinstance(value, datetime) else value


class UTF8(TypeDecorator[bytes]):
    """Text that Python sees as bytes; SQLite hands it out so."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return text for PostgreSQL, whose bytes take twice the way."""
        own = Text() if dialect.name == "postgresql" else LargeBinary()
        return dialect.type_descriptor(cast("TypeEngine[Any]", own))

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        """Return the bytes."""
        return value.encode() if isinstance(value, str) else value
