"""The tables. A change here needs a migration beside it, in `migrations/versions/`."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .types import UTCTimestamp

DEFAULT_PROJECT_ID = 1
"""The key of the project `default`, which every database has."""


class Base(DeclarativeBase):
    """The base of every model."""


class Project(Base):
    """A set of events and keys that belongs to a team or an application."""

    __tablename__ = "project"
    # An id is never assigned twice: a request in progress may have that of a deleted project.
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    # The rules by which a server last deleted events: in JSON, the days to keep them, by name.
    applied_rules: Mapped[str | None] = mapped_column(Text)


class ApiKey(Base):
    """A key, stored as a digest, its scopes in its project, and the day of its last use in UTC.

    `bound` limits it to some events of the project; empty if there is no limit.
    """

    __tablename__ = "api_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(String(255))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(String(255))
    created: Mapped[datetime] = mapped_column(UTCTimestamp)
    expires: Mapped[datetime | None] = mapped_column(UTCTimestamp)
    revoked: Mapped[datetime | None] = mapped_column(UTCTimestamp)
    last_used: Mapped[date | None]
    bound: Mapped[str] = mapped_column(Text, server_default="")


class IdempotencyKey(Base):
    """The Idempotency-Key of a stored request and the digest of its body, to recognize a retry."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("idempotency_key_by_age", "created"),)

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(UTCTimestamp)


class ImportCheckpoint(Base):
    """The progress of an import: the length and digest of the part of its file that is stored."""

    __tablename__ = "import_checkpoint"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    digest: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    created: Mapped[datetime] = mapped_column(UTCTimestamp)


class Epoch(Base):
    """The events from a key on that were recorded without a restore in between."""

    __tablename__ = "epoch"

    first_key: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(8))


class ArrivalDay(Base):
    """The first key that an event got on a day in UTC, such as 2021-08-15, or later."""

    __tablename__ = "arrival_day"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    first_key: Mapped[int] = mapped_column(BigInteger)


class CursorSecret(Base):
    """The secret that encrypts the keys in cursors, and the last key that none has encrypted."""

    __tablename__ = "cursor_secret"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(String(32))
    last_plain_key: Mapped[int] = mapped_column(BigInteger)


class Follower(Base):
    """The position of a `bytelog follow` with a name, and its filters as parameters in JSON.

    `cursor` is the text of a cursor in order of arrival, `updated` when it was saved, and
    `delivered` when an event was last delivered.
    """

    __tablename__ = "follower"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(String(255))
    parameters: Mapped[str] = mapped_column(Text)
    cursor: Mapped[str] = mapped_column(String(255))
    updated: Mapped[datetime] = mapped_column(UTCTimestamp)
    delivered: Mapped[datetime | None] = mapped_column(UTCTimestamp)


class SetAsideEvent(Base):
    """An event that a receiver refused for good: its message, the cursor before it, the reason."""

    __tablename__ = "set_aside_event"
    __table_args__ = (Index("set_aside_event_by_follower", "follower_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    follower_id: Mapped[int] = mapped_column(ForeignKey("follower.id"))
    message: Mapped[str] = mapped_column(String(255))
    cursor: Mapped[str] = mapped_column(String(255))
    parameters: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(UTCTimestamp)


class MigrationNote(Base):
    """What `bytelog migrate` has copied here: the last key, and the digest of the events.

    `source` identifies the database that was copied. That database has a note too, with its own
    identity.
    """

    __tablename__ = "migration_note"

    source: Mapped[str] = mapped_column(String(32), primary_key=True)
    last_key: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))


class MovedProject(Base):
    """A project that `bytelog migrate --project` has copied here: from where, and how far.

    `last_key` is a key of the source, and `digest` that of the copied events. `secret` encrypts the
    keys in cursors of the source.
    """

    __tablename__ = "moved_project"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id"), primary_key=True, autoincrement=False
    )
    source: Mapped[str] = mapped_column(String(32))
    last_key: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    secret: Mapped[str] = mapped_column(String(32))


class MovedRange(Base):
    """Keys of the source whose events of a moved project have the same keys plus `shift` here."""

    __tablename__ = "moved_range"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id"), primary_key=True, autoincrement=False
    )
    first_key: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_key: Mapped[int] = mapped_column(BigInteger)
    shift: Mapped[int] = mapped_column(BigInteger)


class MovedEpoch(Base):
    """An epoch of the source of a moved project."""

    __tablename__ = "moved_epoch"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id"), primary_key=True, autoincrement=False
    )
    first_key: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(8))


class SealedLog(Base):
    """The one row of a database that was sealed: how far, and what the next seal continues from.

    `seals` is the number of the newest seal. `erasures` covers the erased events of the seals below
    `covered`; `erased` counts them.
    """

    __tablename__ = "sealed_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32))
    last_key: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(BigInteger)
    head: Mapped[bytes] = mapped_column(LargeBinary)
    seals: Mapped[int]
    covered: Mapped[int]
    erased: Mapped[int] = mapped_column(BigInteger)
    erasures: Mapped[bytes] = mapped_column(LargeBinary)


class SealLeaf(Base):
    """What remains of a sealed event when it is erased: its salted hash, without the salt.

    `link` is the beginning of the chain's value after it, to find where a chain breaks.
    `erased_after` is the number of the newest seal when the event was erased.
    """

    __tablename__ = "seal_leaf"
    __table_args__ = (
        Index(
            "seal_leaf_erased",
            "erased_after",
            "key",
            # The migrations, which create PostgreSQL's tables, have the same condition: here it
            # would load the dialect of PostgreSQL at every start.
            sqlite_where=text("erased_after IS NOT NULL"),
        ),
    )

    key: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    link: Mapped[int] = mapped_column(BigInteger)
    erased_after: Mapped[int | None]
    salt: Mapped[bytes | None] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class Event(Base):
    """A business event. bytelog assigns `key` in order of arrival; the caller chooses `id`."""

    __tablename__ = "event"
    __table_args__ = (
        Index("event_by_date", "project_id", "date"),
        Index("event_by_trace", "project_id", "trace_id", "date"),
        # A key is never assigned twice: a reader that waits for higher keys would miss events.
        {"sqlite_autoincrement": True},
    )

    key: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(255))
    trace_id: Mapped[str] = mapped_column(String(255))
    date: Mapped[datetime] = mapped_column(UTCTimestamp)
    data: Mapped[str] = mapped_column(Text)


COLUMNS = tuple(column.name for column in Event.__table__.columns)
"""The columns of an event, its key first."""

ROW_COLUMNS = COLUMNS[1:]
"""The columns that an INSERT sets: the project and the fields."""

FIELDS = ROW_COLUMNS[1:]
"""The fields of an event, in the order of the API. `NewEventSchema` has the same fields."""
