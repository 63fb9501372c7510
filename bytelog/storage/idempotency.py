"""Idempotency keys, which are looked up and stored in the transaction of their events."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select

from .. import timestamps
from ..config import IDEMPOTENCY_HOURS
from .backend import Backend
from .models import IdempotencyKey

_delete_expired = delete(IdempotencyKey).where(IdempotencyKey.created <= bindparam("before"))
_find = select(IdempotencyKey.fingerprint).where(
    IdempotencyKey.project_id == bindparam("project_id"), IdempotencyKey.key == bindparam("key")
)
_store = insert(IdempotencyKey)


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
    """The keys of requests that were stored in the last IDEMPOTENCY_HOURS."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def delete_expired(self, connection: Connection) -> None:
        """Delete the keys that are too old for a retry."""
        before = timestamps.now() - timedelta(hours=IDEMPOTENCY_HOURS)
        values = {"before": timestamps.format_utc(before)}
        self._backend.execute(connection, _delete_expired, values)

    def contains(self, connection: Connection, token: IdempotencyToken) -> bool:
        """Return whether a request is stored; raises IdempotencyKeyReused if its body differs."""
        values = {"project_id": token.project_id, "key": token.key}
        fingerprint = self._backend.execute(connection, _find, values).scalar()
        if fingerprint not in (None, token.fingerprint):
            raise IdempotencyKeyReused
        return fingerprint is not None

    def add(self, connection: Connection, token: IdempotencyToken) -> None:
        """Store the key of a request."""
        created = timestamps.format_utc(timestamps.now())
        self._backend.execute(connection, _store, {**token._asdict(), "created": created})
