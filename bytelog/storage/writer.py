"""The commit path, which takes an event from a request to the disk.

SQLite has one writer at a time and a commit costs an fsync, so requests share both:

1. One connection writes. Only the holder of `_lock` uses it, and only while it also holds the lock
   file beside the database, which bytelog's commands take too: SQLite's own busy loop sleeps longer
   and longer, and before 3.51.3 two connections that write or checkpoint at once can damage the
   file. Connections of readers are `query_only`. Only another program can make a commit wait in
   SQLite, for BUSY_SECONDS; the request then fails with StorageBusy. In PostgreSQL there are
   advisory locks, which let the groups of several processes commit side by side.
2. A small request puts its rows into `_queue` *before* it waits for the lock. The holder of the
   lock takes all queued rows and commits them together. So when a request gets the lock, its rows
   have been committed with another group, or have failed with it, or are still queued and become
   part of its own group.
3. `append` returns only after the COMMIT of the rows has returned, and COMMIT returns after the
   fsync (`synchronous=FULL`). Every 201 depends on that return. If the connection breaks before it,
   it is unknown whether the rows were stored, and the requests fail.
4. A group is one transaction: it is stored completely or not at all, and so is each batch in it.
   Rows keep the order in which they were queued, so a higher key always means a later arrival,
   except for groups of several processes on PostgreSQL: see `horizon.py`.
5. The Idempotency-Key of a request is looked up and stored in the transaction of its events. While
   the request is in progress, its key is in `_in_flight`, so a group has each key at most once.
   With BYTELOG_DEDUPE_DAYS, events that are stored already are looked up there too.
   Messages that have ids of their own are looked up there too, and the known ones are left out.
   All of that is in `groups.py`.
6. A large batch is a group of its own, and does not wait in `_queue`: together, such batches would
   take too much memory, and requests that share its group would wait for all of it.

A thread may run several requests, which share a commit too: see `batched_requests.py`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import cast

from flask import Flask, current_app
from sqlalchemy import Connection, Engine, update
from sqlalchemy.exc import DBAPIError

from .backend import Row
from .batched_requests import yield_to_batch
from .commits import Commits
from .database import backend_of, db
from .deduplication import IsVisible
from .errors import StorageBusy, StorageError
from .groups import Group, GroupStorage, PendingWrite
from .idempotency import IdempotencyToken, RequestInProgress
from .models import DEFAULT_PROJECT_ID, Project

PROBE_SECONDS = 1
"""How often a health check may try whether a database that failed can be written again."""

LARGE_PAUSE = 1
"""How long a large batch waits after the one before, as a multiple of the time that it took, if
other requests had to wait for that. So they have half of the time for themselves."""

COMMIT_EVENTS = 500
"""Events from which on a group accepts no more requests: a longer commit would delay the others."""

_touch = update(Project).where(Project.id == DEFAULT_PROJECT_ID).values(name=Project.name)


class Writer:
    """The only way to write to the database; safe to use from any number of threads."""

    def __init__(self, engine: Engine, dedupe_days: int | None = None) -> None:
        self._backend = backend_of(engine)
        self._groups = GroupStorage(self._backend, dedupe_days)
        self._connection: Connection | None = None
        self._queue: deque[PendingWrite] = deque()
        self._lock = threading.Lock()
        self._large_lock = threading.Lock()
        self._next_large = 0.0
        self._in_flight: dict[tuple[int, str], PendingWrite] = {}
        self._failure: StorageError | None = None
        self._probe_due = 0.0
        self.commits = Commits()
        # Called after each commit with the number of events stored.
        self.on_commit: Callable[[int], object] = _ignore

    def append(
        self,
        rows: list[Row],
        token: IdempotencyToken | None = None,
        message_keys: Sequence[str | None] = (),
        is_visible: IsVisible | None = None,
    ) -> None:
        """Store events, all or none; returns when they are on the disk.

        Stores nothing if the token is already stored. `message_keys` has an item for each event, if
        it has any: an event whose key is already stored is left out. Deduplication compares only
        events with data that `is_visible` accepts, if it is given. All events are of one project.
        Raises StorageError if nothing was stored, RequestInProgress and IdempotencyKeyReused.
        """
        write = PendingWrite(rows, token, message_keys, is_visible)
        with self._mark_in_flight(write, token) if token else nullcontext():
            if write.is_small:
                self._queue.append(write)
                yield_to_batch()
                self._commit_small(write)
            else:
                self._commit_large(write)
        if write.error:
            raise write.error

    def check(self) -> None:
        """Raise StorageError if events cannot be stored at the moment.

        Costs nothing while commits succeed. After one has failed, this tries a commit of its own:
        a load balancer that sends no more events to a failing server must see it recover.
        """
        self._backend.check_writable()
        is_due = self._failure and time.monotonic() >= self._probe_due
        if is_due and self._lock.acquire(blocking=False):
            try:
                self._probe()
            finally:
                self._lock.release()
        if failure := self._failure:
            raise type(failure)(*failure.args)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run the block in a transaction of the writing connection; raises StorageError."""
        with self.exclusive_connection() as connection:
            try:
                with self._backend.transaction(connection):
                    yield connection
            except BaseException:
                self._groups.end_epoch()  # `insert` may have begun it in this transaction.
                raise

    def insert(self, connection: Connection, rows: list[Row]) -> int:
        """Insert events within `transaction`; returns how many were new."""
        return self._groups.insert(connection, rows)

    def last_assigned_key(self) -> int:
        """Return the last key that an event got; raises StorageError.

        All events up to that key can be read: a transaction waits for those of other writers, and
        PostgreSQL assigns keys before their events are visible.
        """
        with self.transaction() as connection:
            return self._backend.last_assigned_key(connection)

    @contextmanager
    def exclusive_connection(self) -> Iterator[Connection]:
        """Lock the writing connection for the block, without a transaction; raises StorageError."""
        with self._lock, self._backend.errors(), self._open_connection() as connection:
            yield connection

    def close(self) -> None:
        """Close the connection after the last commit; the writer cannot be used afterwards."""
        # An unreachable server keeps nothing open, nor does a file that was replaced.
        with self._lock, suppress(DBAPIError, StorageError):
            connection = self._connection or self._backend.open_writer()
            connection.detach()
            connection.close()
        self._backend.close()

    @contextmanager
    def _open_connection(self) -> Iterator[Connection]:
        # Opened at the first write, so that a server may create the application before it forks.
        connection = self._connection = self._connection or self._backend.open_writer()
        try:
            with self._backend.write_lock(connection):
                yield connection
        except DBAPIError as error:
            if not self._backend.is_usable_after(connection, error):
                self._discard(connection)
            raise

    def _discard(self, connection: Connection) -> None:
        self._connection = None
        self._groups.end_epoch()
        connection.invalidate()
        connection.close()

    @contextmanager
    def _mark_in_flight(self, write: PendingWrite, token: IdempotencyToken) -> Iterator[None]:
        key = token.project_id, token.key
        if self._in_flight.setdefault(key, write) is not write:
            raise RequestInProgress
        try:
            yield
        finally:
            del self._in_flight[key]

    def _commit_small(self, write: PendingWrite) -> None:
        # If another thread or request has committed it, a large batch may have the lock by now.
        while not write.is_done:
            with self._lock:
                if not write.is_done:
                    self._commit_group(self._take_group())

    def _commit_large(self, write: PendingWrite) -> None:
        with self._large_lock:
            time.sleep(max(0, self._next_large - time.monotonic()))
            with self._lock:
                start = time.monotonic()
                self._commit_group([write])
                end = time.monotonic()
                if self._queue:
                    self._next_large = end + LARGE_PAUSE * (end - start)

    def _commit_group(self, group: Group) -> None:
        error = self._attempt(
            lambda connection: self.on_commit(self._groups.store(connection, group))
        )
        for write in group:
            write.error = error or write.error
            write.is_done = True
        self.commits.add()

    def _take_group(self) -> Group:
        group, events = [], 0
        while self._queue and events < COMMIT_EVENTS:
            group.append(self._queue.popleft())
            events += len(group[-1].rows)
        return group

    def _attempt(self, write: Callable[[Connection], object]) -> StorageError | None:
        # Every error becomes a result: the group has left the queue, so no other code handles it.
        failure = None
        try:
            with self._backend.errors(), self._open_connection() as connection:
                write(connection)
        except StorageError as error:
            failure = error
        except Exception as error:
            failure = StorageError(str(error))
        # A database that is busy works; a health check must not wait for it.
        if not isinstance(failure, StorageBusy):
            self._failure = failure
        return failure

    def _probe(self) -> None:
        self._probe_due = time.monotonic() + PROBE_SECONDS
        self._attempt(self._commit_nothing)

    def _commit_nothing(self, connection: Connection) -> None:
        # First, because a small commit may fit where no larger one does.
        self._backend.check_room()
        with self._backend.transaction(connection):
            connection.execute(_touch)


def init_app(app: Flask) -> None:
    """Create the application's writer."""
    with app.app_context():
        app.extensions["bytelog.writer"] = Writer(db.engine, app.config["BYTELOG_DEDUPE_DAYS"])


def current_writer() -> Writer:
    """Return the writer of the current application."""
    return cast("Writer", current_app.extensions["bytelog.writer"])


def _ignore(_: int) -> None:
    pass
