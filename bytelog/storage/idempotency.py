"""Idempotency keys, which are looked up and stored in the transaction of their events."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    tuple_,
)

from .. import timestamps
from ..config import IDEMPOTENCY_HOURS
from .backend import Backend
from .models import IdempotencyKey, Project

FORGET_KEYS = 2
"""Expired keys deleted for each new one: more than are stored, and few enough for a commit."""

CHECK_SECONDS = 60
"""How often it is determined which keys have expired."""

_LIFETIME = timedelta(hours=IDEMPOTENCY_HOURS)

_primary_key = tuple_(IdempotencyKey.project_id, IdempotencyKey.key)
_is_expired = (IdempotencyKey.created >= bindparam("after")) & (
    IdempotencyKey.created <= bindparam("before")
)
_oldest = (
    select(IdempotencyKey.project_id, IdempotencyKey.key)
    .where(_is_expired)
    .order_by(IdempotencyKey.created)
    .limit(bindparam("rows", type_=Integer))
    .offset(literal_column("0"))  # SQLAlchemy would add a parameter for SQLite.
    .with_for_update(skip_locked=True)  # Ignored by SQLite. Another process may delete them too.
)
_forget = delete(IdempotencyKey).where(_primary_key.in_(_oldest))
_this = (
    IdempotencyKey.project_id == bindparam("project_id"),
    IdempotencyKey.key == bindparam("key"),
)
_find = select(IdempotencyKey.fingerprint, _is_expired).where(*_this)
_forget_this = delete(IdempotencyKey).where(*_this)
_first_created = select(func.min(IdempotencyKey.created)).where(
    IdempotencyKey.created >= bindparam("after"), IdempotencyKey.created < bindparam("before")
)
_values = [bindparam(column.name, type_=column.type) for column in IdempotencyKey.__table__.columns]
# A request in progress may have the id of a project that has been deleted.
_has_project = exists().where(Project.id == bindparam("project_id", type_=Integer))
_store = insert(IdempotencyKey).from_select(
    [*IdempotencyKey.__table__.columns],
    select(*_values).where(_has_project).suffix_with("ON CONFLICT DO NOTHING"),
)


class IdempotencyToken(NamedTuple):
    """The project and key of a request, and a digest of its body; together they identify it."""

    project_id: int
    key: str
    fingerprint: str


class RequestInProgress(Exception):
    """A request with the same Idempotency-Key is still in progress."""


class IdempotencyKeyReused(Exception):
    """The Idempotency-Key was used before, with another body."""


class IdempotencyKeys:
    """The keys of requests that were stored in the last IDEMPOTENCY_HOURS.

    A clock that is far ahead must not expire a key: a retry would be stored twice. So a key expires
    only if the time since then has certainly passed: this process has run for that long, or keys
    were stored in every IDEMPOTENCY_HOURS from then until now.

    `bounds` are the values in `is_expired`: the moments between which the expired keys were stored.
    """

    is_expired = _is_expired

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._start, self._start_seconds = timestamps.now(), time.monotonic()
        self._checked: datetime | None = None
        self.bounds: dict[str, str] = {}

    def delete_expired(self, connection: Connection, new_keys: int) -> None:
        """Delete the oldest of the keys that are too old for a retry, some for each new key."""
        self._update_bounds(connection)
        rows = {"rows": FORGET_KEYS * new_keys}
        self._backend.execute(connection, _forget, {**self.bounds, **rows})

    def claim(self, connection: Connection, token: IdempotencyToken) -> bool:
        """Store the key of a request; returns False if the request is stored already.

        Waits for a transaction of another process that has stored the same key and is committing.
        Raises IdempotencyKeyReused if the body of the stored request differs.
        """
        if self._contains(connection, token):
            return False
        values = {**token._asdict(), "created": timestamps.format_utc(timestamps.now())}
        is_stored = self._backend.execute(connection, _store, values).rowcount
        # If nothing was stored, another process was faster, or the project has been deleted.
        return bool(is_stored) or not self._contains(connection, token)

    def delete(self, connection: Connection, project_id: int, key: str) -> None:
        """Delete a key."""
        self._backend.execute(connection, _forget_this, {"project_id": project_id, "key": key})

    def _contains(self, connection: Connection, token: IdempotencyToken) -> bool:
        values = {"project_id": token.project_id, "key": token.key}
        found = self._backend.execute(connection, _find, {**self.bounds, **values})
        row: Any = found.first()
        if row is None:
            return False
        fingerprint, is_expired = row
        if is_expired:
            self.delete(connection, token.project_id, token.key)
            return False
        if fingerprint != token.fingerprint:
            raise IdempotencyKeyReused
        return True

    def _update_bounds(self, connection: Connection) -> None:
        """Determine between which moments the expired keys were stored."""
        now = timestamps.now()
        if self._checked and self._checked <= now < self._checked + timedelta(0, CHECK_SECONDS):
            return
        run_time = timedelta(seconds=time.monotonic() - self._start_seconds)
        if run_time >= _LIFETIME:
            after = datetime.min.replace(tzinfo=UTC)
            before = min(now, self._start + run_time) - _LIFETIME
        else:
            after, before = _find_gap(connection, now), now - _LIFETIME
        bounds = {"after": after, "before": before}
        self.bounds = {name: timestamps.format_utc(moment) for name, moment in bounds.items()}
        self._checked = now


def _find_gap(connection: Connection, now: datetime) -> datetime:
    """Return the moment from which on keys were stored in every IDEMPOTENCY_HOURS until now."""
    start = now
    while True:
        values = {"after": start - _LIFETIME, "before": start}
        earlier: datetime | None = connection.execute(_first_created, values).scalar()
        if earlier is None:
            return start
        start = earlier
