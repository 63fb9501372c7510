"""Reading from the database, with a deadline, for as long as the client waits."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sqlalchemy import Engine

from .backend import ReadConnection
from .database import backend_of
from .errors import ReadInterrupted
from .query import Query

CHECK_SECONDS = 0.25
"""How often running statements are checked: a client that has gone frees its thread soon."""

NO_VALUES: Mapping[str, Any] = MappingProxyType({})


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How long a statement may run, in seconds, and whether its client has gone."""

    seconds: float
    is_gone: Callable[[], bool] = _never


NO_LIMITS = ReadLimits(math.inf)
"""For a caller that is not a client, such as another part of the same program."""


class Reader:
    """Reads rows over connections of one engine, within limits."""

    def __init__(self, engine: Engine, limits: ReadLimits = NO_LIMITS) -> None:
        self.engine = engine
        self.backend = backend_of(engine)
        self._limits = limits

    def fetch(self, query: Query, values: Mapping[str, Any] = NO_VALUES) -> list[Sequence[Any]]:
        """Return all rows of a query.

        Raises StorageError, and ReadInterrupted when the limits are exceeded.
        """
        with self.open(query, values) as rows:
            return list(rows)

    @contextmanager
    def open(
        self, query: Query, values: Mapping[str, Any], *, is_large: bool = False
    ) -> Iterator[Iterator[Sequence[Any]]]:
        """Yield the rows of a query, which the block may read in part; raises as `fetch` does.

        With `is_large`, only a few rows are in memory at a time, on both databases.
        """
        with (
            self.backend.errors(),
            self.backend.open_reader(is_large=is_large) as connection,
            _watchdog.watch(connection, self._limits),
            # Until it is closed, the next statement of the connection would see the same snapshot.
            closing(connection.execute(query.text, query.bind(values))) as rows,
        ):
            yield map(query.convert, rows)


@dataclass(slots=True)
class _Statement:
    connection: ReadConnection
    deadline: float
    is_gone: Callable[[], bool]
    is_interrupted: bool = False

    def is_due(self) -> bool:
        return time.monotonic() > self.deadline or self.is_gone()


class _Watchdog:
    """A thread that interrupts statements that exceed their limits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statements: dict[int, _Statement] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, connection: ReadConnection, limits: ReadLimits) -> Iterator[None]:
        """Interrupt what runs in the block when the limits are exceeded."""
        if limits is NO_LIMITS:
            yield
            return
        statement = _Statement(connection, time.monotonic() + limits.seconds, limits.is_gone)
        with self._lock:
            self._statements[id(statement)] = statement
            self._start()
        try:
            yield
        except Exception as error:
            if statement.is_interrupted:
                raise ReadInterrupted(f"ended after {limits.seconds:g} seconds") from error
            raise
        finally:
            with self._lock:
                del self._statements[id(statement)]

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="read-limits", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            with self._lock:
                statements = list(self._statements.values())
            for statement in statements:
                if statement.is_due():
                    self._interrupt(statement)

    def _interrupt(self, statement: _Statement) -> None:
        # Within the lock, in which a statement that has just finished is not watched any more: its
        # connection may run a statement of another request by now.
        with self._lock:
            if id(statement) in self._statements:
                statement.is_interrupted = True
                statement.connection.interrupt()


_watchdog = _Watchdog()
