"""Idempotency keys: they are looked up and stored in the transaction of their events."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select

from .. import timestamps
from ..config import IDEMPOTENCY_HOURS
from .backend import Backend
from .models import IdempotencyKey

_expired = IdempotencyKey.created <= bindparam("before")
_forget = delete(IdempotencyKey).where(_expired)
_find = select(IdempotencyKey.fingerprint).where(
    IdempotencyKey.project_id == bindparam("project_id"), IdempotencyKey.key == bindparam("key")
)
_store = insert(IdempotencyKey)


class IdempotencyToken(NamedTuple):
    """What identifies a repeated request: its project and key, and a digest of its body."""

    project_id: int
    key: str
    fingerprint: str


class RequestInProgress(Exception):
    """A request with the same Idempotency-Key has not been answered yet."""


class IdempotencyKeyReused(Exception):
    """The Idempotency-Key was used before, with another body."""


class IdempotencyKeys:
    """The keys of requests that were stored in the last IDEMPOTENCY_HOURS."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def forget_expired(self, connection: Connection) -> None:
        """Delete the keys that are too old for a retry."""
        before = timestamps.now() - timedelta(hours=IDEMPOTENCY_HOURS)
        self._backend.execute(connection, _forget, {"before": timestamps.format_utc(before)})

    def contains(self, connection: Connection, token: IdempotencyToken) -> bool:
        """Return whether a request is stored; raises IdempotencyKeyReused for another body."""
        values = {"project_id": token.project_id, "key": token.key}
        fingerprint = self._backend.execute(connection, _find, values).scalar()
        if fingerprint not in (None, token.fingerprint):
            raise IdempotencyKeyReused
        return fingerprint is not None

    def add(self, connection: Connection, token: IdempotencyToken) -> None:
        """Store the key of a request."""
        created = timestamps.format_utc(timestamps.now())
        self._backend.execute(connection, _store, {**token._asdict(), "created": created})
