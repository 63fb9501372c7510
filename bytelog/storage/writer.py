"""The commit path: how an event gets from a request to the disk.

SQLite has one writer at a time and a commit costs an fsync, so requests share both:

1. One connection writes. Only the holder of `_lock` uses it, and only while it holds the lock
   beside the file, which bytelog's commands take too: SQLite's busy loop sleeps ever longer, and
   before 3.51.3 two connections that write or checkpoint at once can damage the file. The
   connections of readers are `query_only`. Only another program can make a commit wait in SQLite,
   for BUSY_SECONDS, and then the request fails with StorageBusy. In PostgreSQL the lock is an
   advisory one, which each transaction takes first and holds until its commit is done.
2. A request puts its row into `_queue` *before* it waits for the lock. Whoever has the lock takes
   all that is queued and commits it together. So once a request has the lock, its row has either
   been committed, or failed, with somebody else's group, or is still queued and goes with its own.
3. `append` returns only after the COMMIT that holds the row has returned, and COMMIT returns after
   the fsync (`synchronous=FULL`). Everything a client is told follows from that return. When the
   connection breaks before it, nobody knows what became of the rows, and the requests fail.
4. A group is one transaction: it is stored whole or not at all, and so is each batch in it. Rows
   keep the order in which they were queued, so a higher key always means a later arrival.
5. A request that carries an Idempotency-Key has it looked up, and noted, in the transaction of its
   event. While it is under way its key is in `_in_flight`, so a group holds a key once at most.

Threads that sleep until somebody else has committed are what makes sharing slow in Python: waking
one costs more than the insert. So a thread may also run several requests by turns: each runs in a
`BatchedRequest` greenlet, and `yield_to_batch`, between queueing and locking, goes on with the next
request. When all have yielded, the first that is resumed commits for all of them. Outside a
`BatchedRequest` `yield_to_batch` does nothing, and threads wait for the lock in the usual way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple, cast

from flask import Flask, current_app
from greenlet import getcurrent, greenlet
from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import DBAPIError

from .. import timestamps
from ..config import GROUP_EVENTS, IDEMPOTENCY_HOURS, MAX_BODY_BYTES
from .backend import Row, StorageError
from .database import backend_of, db, storage_errors, translated


class IdempotencyToken(NamedTuple):
    """What makes a repeated request known: its project and key, and a digest of its body."""

    project_id: int
    key: str
    fingerprint: str


class RequestInProgress(Exception):
    """A request with the same Idempotency-Key has not been answered yet."""


class IdempotencyKeyReused(Exception):
    """The Idempotency-Key came before, with another body."""


class BatchedRequest(greenlet):
    """A request that shares its thread with others, and lets them go on while it waits."""


class _PendingWrite:
    __slots__ = ("done", "error", "rows", "token")

    def __init__(self, rows: list[Row], token: IdempotencyToken | None) -> None:
        self.rows = rows
        self.token = token
        self.done = False
        self.error: StorageError | IdempotencyKeyReused | None = None

    def is_small(self) -> bool:
        # Many large batches that wait for each other's commit would be in memory together.
        return sum(len(data) for *_, data in self.rows) < MAX_BODY_BYTES


class Writer:
    """The one way into the database; safe to use from any number of threads."""

    def __init__(self, engine: Engine) -> None:
        self._backend = backend_of(engine)
        self._queue: deque[_PendingWrite] = deque()
        self._lock = threading.Lock()
        self._committed = threading.Condition()
        self._commit_count = 0
        self.is_stopping = False
        # Hears how many events each commit has stored.
        self.on_commit: Callable[[int], object] = _ignore
        self._in_flight: dict[tuple[int, str], _PendingWrite] = {}

    def append(self, rows: list[Row], token: IdempotencyToken | None = None) -> None:
        """Store events, all or none; returns when they are on the disk, raises StorageError if not.

        With `token` a repetition returns without storing; raises RequestInProgress and
        IdempotencyKeyReused.
        """
        entry = _PendingWrite(rows, token)
        with self._mark_in_flight(entry) if token else nullcontext():
            self._queue.append(entry)
            if entry.is_small():
                yield_to_batch()
            with self._lock:
                while not entry.done:
                    self._commit_group()
        if entry.error:
            raise entry.error

    def commit_count(self) -> int:
        """Return how many groups of events have been committed."""
        return self._commit_count

    def wait_for_commit(self, commit_count: int, seconds: float) -> None:
        """Return when another group has been committed, or after some seconds at the latest."""
        with self._committed:
            self._committed.wait_for(
                lambda: self._commit_count != commit_count or self.is_stopping, seconds
            )

    def stop(self) -> None:
        """Let those go on who wait for more."""
        with self._committed:
            self.is_stopping = True
            self._committed.notify_all()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give the writing connection for a transaction of its own; raises StorageError."""
        with self.exclusive_connection() as connection, self._backend.transaction(connection):
            yield connection

    @contextmanager
    def exclusive_connection(self) -> Iterator[Connection]:
        """Give the writing connection for what no transaction can hold; raises StorageError."""
        with (
            self._lock,
            storage_errors(),
            self._discard_if_broken(),
            self._backend.write_lock(self._connection),
        ):
            yield self._connection

    def close(self) -> None:
        """Close the connection once the last commit is through; the writer is of no use then."""
        with self._lock, suppress(DBAPIError):  # A server that is away keeps nothing open.
            self._connection.detach()
            self._connection.close()
        self._backend.close()

    @cached_property
    def _connection(self) -> Connection:
        # Opened at the first write, so that a server may fork after it has made the application.
        return self._backend.open_writer()

    @contextmanager
    def _mark_in_flight(self, entry: _PendingWrite) -> Iterator[None]:
        place = cast("IdempotencyToken", entry.token)[:2]
        if self._in_flight.setdefault(place, entry) is not entry:
            raise RequestInProgress
        try:
            yield
        finally:
            del self._in_flight[place]

    def _commit_group(self) -> None:
        group = self._take_group()
        error = self._try_commit(group)
        for entry in group:
            entry.error = error or entry.error
            entry.done = True
        with self._committed:
            self._commit_count += 1
            self._committed.notify_all()

    def _take_group(self) -> list[_PendingWrite]:
        group, events = [], 0
        while self._queue and events < GROUP_EVENTS:
            group.append(self._queue.popleft())
            events += len(group[-1].rows)
        return group

    def _try_commit(self, group: list[_PendingWrite]) -> StorageError | None:
        # Whatever goes wrong, each row of the group gets an answer: nobody else has it any more.
        try:
            with self._discard_if_broken(), self._backend.write_lock(self._connection):
                self._commit(group)
        except DBAPIError as error:
            return translated(error)
        except StorageError as error:
            return error
        except Exception as error:
            return StorageError(str(error))
        return None

    def _commit(self, group: list[_PendingWrite]) -> None:
        rows = _rows(group)
        if any(entry.token for entry in group):
            with self._backend.transaction(self._connection):
                rows = self._store(group)
        else:
            self._backend.store(self._connection, rows)
        self.on_commit(len(rows))

    def _store(self, group: list[_PendingWrite]) -> list[Row]:
        self._forget_expired()
        fresh = [entry for entry in group if not self._is_repeated(entry)]
        rows = _rows(fresh)
        insert(self._connection, rows)
        now = timestamps.format_utc(timestamps.now())
        for token in [entry.token for entry in fresh if entry.token]:
            self._execute(
                "INSERT INTO idempotency_key (project_id, key, fingerprint, created)"
                " VALUES (?, ?, ?, ?)",
                (*token, now),
            )
        return rows

    def _forget_expired(self) -> None:
        expired = timestamps.now() - timedelta(hours=IDEMPOTENCY_HOURS)
        self._execute(
            "DELETE FROM idempotency_key WHERE created <= ?", (timestamps.format_utc(expired),)
        )

    def _is_repeated(self, entry: _PendingWrite) -> bool:
        if entry.token is None:
            return False
        found = self._execute(
            "SELECT fingerprint FROM idempotency_key WHERE project_id = ? AND key = ?",
            entry.token[:2],
        ).scalar()
        if found not in (None, entry.token.fingerprint):
            entry.error = IdempotencyKeyReused()
        return found is not None

    def _execute(self, sql: str, values: tuple[object, ...]) -> CursorResult[Any]:
        return self._backend.execute(self._connection, sql, values)

    @contextmanager
    def _discard_if_broken(self) -> Iterator[None]:
        """Give up a connection that broke in the block, so that the next group opens another."""
        try:
            yield
        except DBAPIError as error:
            connection = vars(self).get("_connection")
            if connection and not self._backend.is_usable_after(connection, error):
                del self._connection
                connection.invalidate()
                connection.close()
            raise


def insert(connection: Connection, rows: list[Row]) -> None:
    """Add events to a transaction of the writing connection."""
    backend_of(connection.engine).insert(connection, rows)


def yield_to_batch() -> None:
    """Let the other requests of this thread go on first, where requests are gathered."""
    current = getcurrent()
    if isinstance(current, BatchedRequest):
        cast("greenlet", current.parent).switch()


def init_app(app: Flask) -> None:
    """Give the application its writer."""
    with app.app_context():
        app.extensions["bytelog.writer"] = Writer(db.engine)


def current_writer() -> Writer:
    """Return the writer of the current application."""
    return cast("Writer", current_app.extensions["bytelog.writer"])


def _ignore(_: int) -> None:
    pass


def _rows(group: list[_PendingWrite]) -> list[Row]:
    return [row for entry in group for row in entry.rows]
