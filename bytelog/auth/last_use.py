"""The day on which each key was last used, noted apart from the requests.

A lookup of a key, which the cache limits, tells whether its day is noted. If not, a thread of its
own writes it: no request waits for the lock of writers, or fails because the disk is full.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from datetime import date
from typing import cast

from flask import Flask, current_app
from sqlalchemy import or_, update

from .. import timestamps
from ..storage.errors import StorageError
from ..storage.models import ApiKey
from ..storage.writer import current_writer

RETRY_SECONDS = 60
"""How long a key waits for the next attempt, if its day could not be written."""

log = logging.getLogger("bytelog")


class LastUses:
    """The keys whose day is to be noted, and the thread that notes them."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._next_attempt: dict[int, float] = {}
        self._waiting: set[int] = set()
        self._thread: threading.Thread | None = None

    def note(self, key_id: int) -> None:
        """Let the thread note that a key was used today."""
        with self._lock:
            if time.monotonic() < self._next_attempt.get(key_id, 0):
                return
            self._next_attempt[key_id] = time.monotonic() + RETRY_SECONDS
            self._waiting.add(key_id)
            # Started when it is needed: no thread crosses a fork.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="last-use", daemon=True)
                with suppress(RuntimeError):  # The process has too many threads.
                    self._thread.start()

    def _run(self) -> None:
        while keys := self._take():
            try:
                with self._app.app_context():
                    _write(keys, timestamps.now().date())
            except StorageError as error:
                log.debug("the last use of keys was not noted: %s", error)

    def _take(self) -> set[int]:
        with self._lock:
            keys, self._waiting = self._waiting, set()
            if not keys:
                self._thread = None
            return keys


def init_app(app: Flask) -> None:
    """Let the application note the last use of keys."""
    app.extensions["bytelog.last_uses"] = LastUses(app)


def note(key_id: int, last_used: date | None) -> None:
    """Note that a key was used today, unless that is known; returns at once."""
    if last_used != timestamps.now().date():
        cast("LastUses", current_app.extensions["bytelog.last_uses"]).note(key_id)


def _write(keys: set[int], day: date) -> None:
    writer = current_writer()
    if writer.commits.is_stopping:
        return
    is_earlier = or_(ApiKey.last_used.is_(None), ApiKey.last_used < day)
    with writer.transaction() as connection:
        statement = update(ApiKey).where(ApiKey.id.in_(keys), is_earlier)
        connection.execute(statement.values(last_used=day))
