"""Cursors of projects that were copied here with `bytelog migrate --project`.

Such a cursor names an epoch of the database that it is from, whose secret has encrypted its key.
The events have other keys here.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app
from sqlalchemy import select

from ..queries.selection import Cursor, CursorGone
from ..storage import epochs
from ..storage.cursor_secret import KeyCipher
from ..storage.database import fetch_or_fall_back
from ..storage.models import Epoch, MovedEpoch, MovedProject, MovedRange

MAX_KNOWN = 10_000
"""Epochs that are remembered as the database's own."""


@dataclass(frozen=True, slots=True)
class _Origin:
    secret: str
    last_key: int


def init_app(app: Flask) -> None:
    """Give the application a memory of the epochs that need no translation."""
    app.extensions["bytelog.own_epochs"] = set()


def translate(project_id: int, cursor: Cursor) -> Cursor:
    """Return a cursor of this database for one that may be from before the project moved here.

    Raises CursorGone for a position after the last copied event, and StorageError.
    """
    known: set[tuple[int, str]] = current_app.extensions["bytelog.own_epochs"]
    name = (project_id, cursor.epoch)
    if cursor.token is None or not cursor.epoch or name in known:
        return cursor
    origin = _find_origin(project_id, cursor.epoch)
    if origin:
        key = KeyCipher(bytes.fromhex(origin.secret), 0).decrypt(cursor.token)
        return _move(project_id, Cursor(key, cursor.date, cursor.epoch), origin)
    if len(known) < MAX_KNOWN and _is_own(cursor.epoch):
        known.add(name)
    return cursor


def _find_origin(project_id: int, epoch: str) -> _Origin | None:
    columns = select(MovedProject.secret, MovedProject.last_key)
    of_epoch = (MovedEpoch.project_id == project_id, MovedEpoch.name == epoch)
    joined = columns.join(MovedEpoch, MovedEpoch.project_id == MovedProject.project_id)
    rows = fetch_or_fall_back(joined.where(*of_epoch))
    return _Origin(*rows[0]) if rows else None


def _is_own(epoch: str) -> bool:
    return bool(fetch_or_fall_back(select(Epoch.name).where(Epoch.name == epoch)))


def _move(project_id: int, cursor: Cursor, origin: _Origin) -> Cursor:
    of_key = (MovedEpoch.project_id == project_id, MovedEpoch.first_key <= cursor.key)
    newest = select(MovedEpoch.name).where(*of_key).order_by(MovedEpoch.first_key.desc()).limit(1)
    names = [row.name for row in fetch_or_fall_back(newest)]
    if names != [cursor.epoch] or cursor.key > origin.last_key:
        raise CursorGone
    key = _find_key(project_id, cursor.key)
    name = select(epochs.name_of("key")).params(key=key)
    ((epoch,),) = fetch_or_fall_back(name)
    return Cursor(key, cursor.date, epoch or "")


def _find_key(project_id: int, key: int) -> int:
    """Return the key here of the position that a key was in the database that was copied."""
    before = (MovedRange.project_id == project_id, MovedRange.first_key <= key)
    columns = select(MovedRange.last_key, MovedRange.shift).where(*before)
    ranges = fetch_or_fall_back(columns.order_by(MovedRange.first_key.desc()).limit(1))
    return min(key, ranges[0].last_key) + ranges[0].shift if ranges else 0
