"""Groups: batches that are stored in one transaction, without what is stored already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from sqlalchemy import Connection

from ..config import MAX_BODY_BYTES
from . import epochs
from .backend import Backend, Row
from .deduplication import Deduplication, IsVisible
from .errors import StorageError
from .idempotency import IdempotencyKeyReused, IdempotencyKeys, IdempotencyToken
from .message_ids import MessageIds


class PendingWrite:
    """A batch of events that waits for its commit; then `error` says whether that failed."""

    __slots__ = ("error", "is_done", "is_small", "is_visible", "message_keys", "rows", "token")

    def __init__(
        self,
        rows: list[Row],
        token: IdempotencyToken | None,
        message_keys: Sequence[str | None],
        is_visible: IsVisible | None,
    ) -> None:
        self.rows = rows
        self.token = token
        self.message_keys = message_keys
        self.is_visible = is_visible
        self.is_done = False
        self.error: StorageError | IdempotencyKeyReused | None = None
        self.is_small = sum(len(data) for *_, data in rows) < MAX_BODY_BYTES


Group = list[PendingWrite]
_Part = tuple[IsVisible | None, list[Row]]


class GroupStorage:
    """Stores groups over the writing connection, whose first event begins an epoch."""

    def __init__(self, backend: Backend, dedupe_days: int | None) -> None:
        self._backend = backend
        self._deduplication = Deduplication(backend, dedupe_days) if dedupe_days else None
        self._idempotency_keys = IdempotencyKeys(backend)
        self._message_ids = MessageIds(backend, self._idempotency_keys)
        self._has_epoch = False

    def store(self, connection: Connection, group: Group) -> int:
        """Store a group in a transaction of its own; returns how many events were new."""
        if not self._has_epoch:
            with self._backend.transaction(connection):
                epochs.begin(self._backend, connection)
            self._has_epoch = True
        keys = sum((write.token is not None) + len(write.message_keys) for write in group)
        if keys or self._deduplication:
            return self._store_new(connection, group, keys)
        rows = [row for write in group for row in write.rows]
        self._backend.store(connection, rows)
        return len(rows)

    def insert(self, connection: Connection, rows: list[Row]) -> int:
        """Insert events within a transaction; returns how many were new."""
        if not self._has_epoch:
            epochs.begin(self._backend, connection)
            self._has_epoch = True
        return self._insert_new(connection, [(None, rows)])

    def end_epoch(self) -> None:
        """Begin an epoch with the next event: the connection, or its transaction, has failed."""
        self._has_epoch = False

    def _store_new(self, connection: Connection, group: Group, keys: int) -> int:
        backend = self._backend
        # Only an exclusive transaction sees all events that are stored already.
        is_exclusive = self._deduplication is not None
        begin = backend.transaction if is_exclusive else backend.concurrent_transaction
        with begin(connection):
            if keys:
                self._idempotency_keys.delete_expired(connection, keys)
            new = [write for write in group if not self._is_repeated(connection, write)]
            # Usually one part: batches that are compared with all events.
            parts = (
                (is_visible, self._select_all_new(connection, part))
                for is_visible, part in groupby(new, attrgetter("is_visible"))
            )
            return self._insert_new(connection, parts)

    def _insert_new(self, connection: Connection, parts: Iterable[_Part]) -> int:
        number = 0
        for is_visible, rows in parts:
            if self._deduplication:
                rows = self._deduplication.remove_repeated(connection, rows, is_visible)
            self._backend.insert(connection, rows)
            number += len(rows)
        if not number:
            # A commit that a crash or an administrator interrupted may be visible before a standby
            # has it. Its retry must not be acknowledged before that.
            self._backend.confirm_earlier(connection)
        return number

    def _select_all_new(self, connection: Connection, group: Iterable[PendingWrite]) -> list[Row]:
        return [row for write in group for row in self._select_new(connection, write)]

    def _is_repeated(self, connection: Connection, write: PendingWrite) -> bool:
        try:
            return write.token is not None and not self._idempotency_keys.claim(
                connection, write.token
            )
        except IdempotencyKeyReused as error:
            write.error = error
            return True

    def _select_new(self, connection: Connection, write: PendingWrite) -> list[Row]:
        """Return the events whose message is not stored; of equal messages, the first."""
        keys = {key for key in write.message_keys if key}
        if not keys:
            return write.rows
        new = self._message_ids.add(connection, write.rows[0][0], keys)
        rows = []
        for row, key in zip(write.rows, write.message_keys, strict=True):
            if key is None or key in new:
                rows.append(row)
                new.discard(key or "")
        return rows
