"""The tables. A change here needs a migration beside it, in `migrations/versions/`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from .database import Base
from .types import UTCTimestamp

DEFAULT_PROJECT_ID = 1
"""The key of the project `default`, which every database has."""


class Project(Base):
    """What separates one team's events from another's."""

    __tablename__ = "project"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)


class ApiKey(Base):
    """A key, known only by its digest, and what it may do in its project."""

    __tablename__ = "api_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(String(255))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(String(255))
    created: Mapped[datetime] = mapped_column(UTCTimestamp)
    expires: Mapped[datetime | None] = mapped_column(UTCTimestamp)
    revoked: Mapped[datetime | None] = mapped_column(UTCTimestamp)


class IdempotencyKey(Base):
    """The key and the body's digest of a request that was stored, so that a retry is known."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("idempotency_key_by_age", "created"),)

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(UTCTimestamp)


class ImportCheckpoint(Base):
    """How far an import came: the digest of the beginning of its file, all of which is stored."""

    __tablename__ = "import_checkpoint"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    digest: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime] = mapped_column(UTCTimestamp)


class Event(Base):
    """A business event. `key` is bytelog's own and counts arrivals; `id` is the caller's."""

    __tablename__ = "event"
    __table_args__ = (
        Index("event_by_date", "project_id", "date"),
        Index("event_by_trace", "project_id", "trace_id", "date"),
        # A key is never given twice, or a reader who waits for higher keys would miss events.
        {"sqlite_autoincrement": True},
    )

    key: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(255))
    trace_id: Mapped[str] = mapped_column(String(255))
    date: Mapped[datetime] = mapped_column(UTCTimestamp)
    data: Mapped[str] = mapped_column(Text)
