"""The commit path: how an event gets from a request to the disk.

SQLite has one writer at a time and a commit costs an fsync, so requests share both:

1. One connection writes. Only the holder of `_turn` uses it. The connections of readers are
   `query_only`, so no thread of bytelog ever waits in SQLite's busy loop for another; only
   another program can make it wait, for BUSY_SECONDS, and then the request fails with StorageBusy.
2. A request puts its row into `_queue` *before* it waits for its turn. Whoever has the turn takes
   all that is queued and commits it together. So once a request has its turn, its row has either
   been committed, or failed, with somebody else's group, or is still queued and goes with its own.
3. `append` returns only after the COMMIT that holds the row has returned, and COMMIT returns after
   the fsync (`synchronous=FULL`). Everything a client is told follows from that return.
4. A group is one INSERT statement: it is stored whole or not at all, and rows keep the order in
   which they were queued, so a higher key always means a later arrival.

Threads that sleep until somebody else has committed are what makes sharing slow in Python: waking
one costs more than the insert. So a thread may also run several requests by turns: each runs in a
`Gathered` greenlet, and `pause`, between the queueing and the turn, goes on with the next request.
When all have paused, the first that is resumed commits for all of them. Where nothing gathers
requests, `pause` does nothing, and threads wait for their turn in the usual way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import cast

from flask import Flask, current_app
from greenlet import getcurrent, greenlet
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from .config import GROUP_EVENTS
from .db import DatabaseFile, StorageError, db, immediate, translated, writable

Row = tuple[int, int, str, str, str, str]
"""project_id, id, name, trace_id, date, data"""


class Gathered(greenlet):
    """A request that shares its thread with others, and lets them go on while it waits."""


class _Entry:
    __slots__ = ("done", "error", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.done = False
        self.error: StorageError | None = None


class Writer:
    """The one way into the database; safe to use from any number of threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._file = DatabaseFile(engine)
        self._queue: deque[_Entry] = deque()
        self._turn = threading.Lock()

    def append(self, row: Row) -> None:
        """Store an event; returns when it is on the disk, raises StorageError when it is not."""
        entry = _Entry(row)
        self._queue.append(entry)
        pause()
        with self._turn:
            while not entry.done:
                self._commit_group()
        if entry.error:
            raise entry.error

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give the writing connection for a transaction of its own; raises StorageError."""
        with self._turn:
            try:
                with immediate(self._connection):
                    yield self._connection
            except DBAPIError as error:
                raise translated(error) from error

    def close(self) -> None:
        """Close the connection once the last commit is through; the writer is of no use then."""
        with self._turn:
            self._connection.detach()
            self._connection.close()

    @cached_property
    def _connection(self) -> Connection:
        # Opened at the first write, so that a server may fork after it has made the application.
        return writable(self._engine)

    def _commit_group(self) -> None:
        group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_EVENTS))]
        error = self._insert([entry.row for entry in group])
        for entry in group:
            entry.error = error
            entry.done = True

    def _insert(self, rows: list[Row]) -> StorageError | None:
        values = tuple(value for row in rows for value in row)
        # Whatever goes wrong, each row of the group gets an answer: nobody else has it any more.
        try:
            self._file.check()
            self._connection.exec_driver_sql(_insert_statement(len(rows)), values)
        except DBAPIError as error:
            return translated(error)
        except StorageError as error:
            return error
        except Exception as error:
            return StorageError(str(error))
        return None


def pause() -> None:
    """Let the other requests of this thread go on first, where requests are gathered."""
    current = getcurrent()
    if isinstance(current, Gathered):
        cast("greenlet", current.parent).switch()


def init_app(app: Flask) -> None:
    """Give the application its writer."""
    with app.app_context():
        app.extensions["bytelog.writer"] = Writer(db.engine)


def current_writer() -> Writer:
    """Return the writer of the current application."""
    return cast("Writer", current_app.extensions["bytelog.writer"])


@lru_cache(GROUP_EVENTS)
def _insert_statement(rows: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO event (project_id, id, name, trace_id, date, data) VALUES {values}"  # noqa: S608
