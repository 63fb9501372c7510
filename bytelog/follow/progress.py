"""The position of a follower in the database.

It is saved at most once a second, because the server cannot commit events during that commit. After
a crash, the events since the last save are delivered again.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from .. import timestamps
from ..api.cursors import format_cursor, parse_cursor
from ..queries.selection import Cursor
from ..storage.database import backend_of, db
from ..storage.errors import StorageError
from ..storage.keyset import Order
from ..storage.models import Follower, SetAsideEvent
from ..storage.writer import current_writer
from .target import Message, Stopped

SAVE_SECONDS = 1.0
"""Least time between two saves after a delivery."""

IDLE_SAVE_SECONDS = 10.0
"""Least time between two saves while the events that arrive do not match."""

CLAIM_SECONDS = 2.0
"""How long a start waits for the process of the same name, which may be about to end."""

log = logging.getLogger(__name__)

_of_name = select(Follower.id, Follower.cursor)


class Progress:
    """The position of one follower; only one process has it."""

    def __init__(self, project_id: int, name: str, parameters: Mapping[str, list[str]]) -> None:
        self._name = name
        self._key = {"project_id": project_id, "name": name}
        self._parameters = json.dumps(parameters)
        self._id = 0
        self._cursors: set[str] = set()
        self._noted: Cursor | None = None
        self._unsaved: Cursor | None = None
        self._values: dict[str, Any] = {}
        self._saved_at = 0.0

    def claim(self, beginning: Cursor) -> Cursor:
        """Return the position that is saved, or `beginning` under a new name, which is saved.

        Raises Stopped if another process has the name, CursorGone and StorageError.
        """
        self._lock()
        writer = current_writer()
        with writer.exclusive_connection() as connection:
            # What a power cut loses is delivered again.
            backend_of(db.engine).defer_syncs(connection)
        with writer.transaction() as connection:
            row = connection.execute(_of_name.filter_by(**self._key)).first()
            if row is None:
                row = self._create(connection, format_cursor(beginning))
            self._id, text = row
            change = update(Follower).where(Follower.id == self._id)
            connection.execute(change.values(parameters=self._parameters))
        self._cursors, self._noted = {text}, parse_cursor(text, Order.ARRIVAL)
        return self._noted

    def advance(self, cursor: Cursor, *, is_delivered: bool) -> None:
        """Note a position, and save it if that is due; raises Stopped."""
        if is_delivered or cursor != self._noted:
            self._unsaved = self._noted = cursor
        if is_delivered:
            self._values["delivered"] = timestamps.now()
        self.save_if_due()

    def save_if_due(self) -> None:
        """Save the position unless it was saved a moment ago; raises Stopped."""
        seconds = SAVE_SECONDS if self._values else IDLE_SAVE_SECONDS
        if time.monotonic() - self._saved_at >= seconds:
            self.save()

    def save(self) -> None:
        """Save the position; if that fails, the next save does. Raises Stopped."""
        if self._unsaved is None:
            return
        self._saved_at = time.monotonic()
        try:
            with current_writer().transaction() as connection:
                text = self._move(connection, self._unsaved)
        except StorageError as error:
            log.warning("the position of %s cannot be saved: %s", self._name, error)
            return
        self._settle(text)

    def set_aside(self, message: Message, before: Cursor, after: Cursor, reason: str) -> None:
        """Store that an event was refused, with the position after it.

        Raises StorageError and Stopped.
        """
        refused = {
            "follower_id": self._id,
            "message": message.id,
            "cursor": format_cursor(before),
            "parameters": self._parameters,
            "reason": reason,
            "created": timestamps.now(),
        }
        with current_writer().transaction() as connection:
            connection.execute(insert(SetAsideEvent).values(refused))
            text = self._move(connection, after)
        self._settle(text)

    def _lock(self) -> None:
        backend, name = backend_of(db.engine), json.dumps(self._key)
        deadline = time.monotonic() + CLAIM_SECONDS
        while not backend.try_lock(name):
            if time.monotonic() > deadline:
                raise Stopped(
                    f"another process follows as {self._name}. Stop it, or choose another name "
                    "with --as."
                )
            time.sleep(0.05)

    def _create(self, connection: Connection, cursor: str) -> Any:
        values = {**self._key, "parameters": self._parameters, "cursor": cursor}
        connection.execute(insert(Follower).values(**values, updated=timestamps.now()))
        return connection.execute(_of_name.filter_by(**self._key)).one()

    def _move(self, connection: Connection, cursor: Cursor) -> str:
        """Move the row to a position within a transaction; returns the text of its cursor.

        The row must have a cursor that this process wrote. It has another if the lock was lost,
        with a connection to PostgreSQL, and another process has taken the name since.
        """
        text = format_cursor(cursor)
        is_own = (Follower.id == self._id, Follower.cursor.in_(self._cursors))
        # If the connection breaks, it is unknown whether the commit took place.
        self._cursors.add(text)
        values = {"cursor": text, "updated": timestamps.now(), **self._values}
        if connection.execute(update(Follower).where(*is_own).values(values)).rowcount == 0:
            raise Stopped(f"{self._name} was removed, or another process follows as {self._name}.")
        return text

    def _settle(self, text: str) -> None:
        self._cursors, self._unsaved, self._values = {text}, None, {}
        self._saved_at = time.monotonic()
