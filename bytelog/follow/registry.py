"""The followers that the database knows, how far they are behind, and what they set aside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select

from ..api.cursors import identify_event, parse_cursor
from ..api.parameters import InvalidParameters, TracedParameters, load_selection
from ..auth.keys import grant_all
from ..config import MAX_LIMIT
from ..events import store
from ..queries.formats import LINES
from ..queries.selection import CursorGone, Selection
from ..storage.database import db, fetch
from ..storage.errors import StorageError
from ..storage.keyset import Order
from ..storage.models import Follower, Project, SetAsideEvent
from ..storage.reader import NO_LIMITS, ReadLimits
from ..storage.writer import current_writer

PARAMETERS = TracedParameters()
"""The parameters of a follower: its filters."""

_count_set_aside = (
    select(func.count()).where(SetAsideEvent.follower_id == Follower.id).scalar_subquery()
)
_followers = (
    select(
        *Follower.__table__.columns,
        Project.name.label("project"),
        _count_set_aside.label("set_aside"),
    )
    .join(Project)
    .order_by(Project.name, Follower.name)
)


class UnknownFollower(LookupError):
    """The project has no follower of that name; the message says what to do."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """An event that was set aside: when and why, its message, and itself unless it is deleted."""

    created: datetime
    reason: str
    message: str
    event: bytes | None


def list_all(limit: int | None = None) -> Sequence[Row[Any]]:
    """Return the followers with their projects' names and how many events each has set aside."""
    return fetch(db.engine, _followers.limit(limit))


def count_behind(follower: Row[Any], limits: ReadLimits = NO_LIMITS) -> int | None:
    """Return how many events a follower has still to deliver, MAX_LIMIT for that many or more.

    Returns None if they cannot be counted within the limits.
    """
    try:
        selection = _select(follower, follower.project_id, MAX_LIMIT)
        return store.select(selection, LINES, limits).count
    except (CursorGone, InvalidParameters, StorageError):
        return None


def list_set_aside(project_id: int, name: str) -> list[SetAside]:
    """Return the events that a follower set aside, the oldest first; raises UnknownFollower."""
    follower_id = _find(project_id, name)
    of_follower = SetAsideEvent.follower_id == follower_id
    columns = SetAsideEvent.__table__.columns
    rows = fetch(db.engine, select(*columns).where(of_follower).order_by(SetAsideEvent.id))
    return [
        SetAside(row.created, row.reason, row.message, _read_event(row, project_id)) for row in rows
    ]


def remove(project_id: int, name: str) -> None:
    """Remove a follower and what it set aside; raises UnknownFollower.

    If it runs, it stops when it next saves its position.
    """
    follower_id = _find(project_id, name)
    with current_writer().transaction() as connection:
        of_follower = SetAsideEvent.follower_id == follower_id
        connection.execute(delete(SetAsideEvent).where(of_follower))
        connection.execute(delete(Follower).where(Follower.id == follower_id))


def _find(project_id: int, name: str) -> int:
    rows = fetch(db.engine, select(Follower.id).filter_by(project_id=project_id, name=name))
    if not rows:
        raise UnknownFollower(
            f"no follower {name!r} in this project; `bytelog followers list` lists all of them."
        )
    return int(rows[0].id)


def _select(row: Row[Any], project_id: int, limit: int) -> Selection:
    selection = load_selection(PARAMETERS, json.loads(row.parameters), grant_all(project_id))
    cursor = parse_cursor(row.cursor, Order.ARRIVAL)
    return replace(selection, order=Order.ARRIVAL, cursor=cursor, limit=limit)


def _read_event(row: Row[Any], project_id: int) -> bytes | None:
    """Return the event after the cursor, unless it is another: that of the message is deleted."""
    try:
        listing = store.select(_select(row, project_id, 1), LINES)
    except (CursorGone, InvalidParameters):
        return None
    prefix = f"msg_{identify_event(listing.next)}" if listing.next else ""
    if not prefix or not row.message.startswith(prefix):
        return None
    return LINES.postprocess(b"".join(listing.pages)).strip() or None
