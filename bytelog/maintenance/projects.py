"""Listing, renaming and deleting projects while servers use them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select, tuple_, update

from .. import timestamps
from ..auth import projects
from ..events.keep_rules import current_rules
from ..storage.database import backend_of, db, fetch
from ..storage.deletion import Position, delete_events
from ..storage.keyset import date
from ..storage.models import (
    DEFAULT_PROJECT_ID,
    ApiKey,
    Base,
    Event,
    Follower,
    IdempotencyKey,
    Project,
    SetAsideEvent,
)
from ..storage.steps import run_in_steps
from ..storage.writer import current_writer
from .expiry import Scope, find_expired, prune

REVOCATION_SECONDS = 1
"""How long running servers may accept a revoked key."""

STEP_KEYS = 100
"""Idempotency keys deleted between two checks of the clock."""

_TABLES = [
    table
    for table in Base.metadata.sorted_tables
    if "project_id" in table.columns and table.name != Event.__tablename__
]
_END = datetime.max.replace(tzinfo=UTC)


class UnchangeableProject(Exception):
    """A project cannot be renamed or deleted; the message says why and what to do."""


class ProjectSummary(NamedTuple):
    """A project, and the numbers of its events and active keys."""

    name: str
    events: int
    keys: int


def list_all() -> list[ProjectSummary]:
    """Return all projects by name; raises StorageError."""
    count_events = select(Event.project_id, func.count(Event.key)).group_by(Event.project_id)
    is_active = ApiKey.revoked.is_(None) & (
        ApiKey.expires.is_(None) | (ApiKey.expires > timestamps.now())
    )
    count_keys = select(ApiKey.project_id, func.count()).where(is_active)
    events = {row[0]: row[1] for row in fetch(db.engine, count_events)}
    keys = {row[0]: row[1] for row in fetch(db.engine, count_keys.group_by(ApiKey.project_id))}
    rows = fetch(db.engine, select(Project.id, Project.name).order_by(Project.name))
    return [ProjectSummary(row.name, events.get(row.id, 0), keys.get(row.id, 0)) for row in rows]


def rename(old: str, new: str) -> None:
    """Rename a project; raises UnknownProject, UnchangeableProject and StorageError."""
    project_id = _find_changeable(old, "renamed")
    rules = current_rules()
    if rules and old in rules.projects and new not in rules.projects:
        raise UnchangeableProject(
            f"BYTELOG_KEEP has rules for {old} and none for {new}. Add the same rules for {new}, "
            "restart the servers, and rename the project then."
        )
    with current_writer().transaction() as connection:
        if connection.execute(select(Project.id).where(Project.name == new)).first():
            raise UnchangeableProject(f"there is a project {new!r} already. Choose another name.")
        # The rules for the new name have never been applied.
        values = {"name": new, "applied_rules": None}
        connection.execute(update(Project).where(Project.id == project_id).values(values))


def delete_project(name: str) -> Iterator[int]:
    """Delete a project with its events and keys, and yield how many events each step deleted.

    Raises UnknownProject, UnchangeableProject and StorageError. It can be repeated after an error.
    """
    project_id = _find_changeable(name, "deleted")
    with current_writer().transaction() as connection:
        of_project = (ApiKey.project_id == project_id, ApiKey.revoked.is_(None))
        connection.execute(update(ApiKey).where(*of_project).values(revoked=timestamps.now()))
    time.sleep(REVOCATION_SECONDS)
    yield from prune([find_expired(Scope(project_id, name), _END)])
    for _ in run_in_steps(lambda: partial(_delete_tokens, project_id)):
        pass
    with current_writer().transaction() as connection:
        yield _delete_rest(connection, project_id)


def check_deletable(name: str) -> None:
    """Raise UnknownProject or UnchangeableProject unless the project can be deleted."""
    _find_changeable(name, "deleted")


def _find_changeable(name: str, change: str) -> int:
    project_id = projects.find(name)
    if project_id == DEFAULT_PROJECT_ID:
        raise UnchangeableProject(
            f"the project {name!r} cannot be {change}: commands use it by default. "
            f"To delete its events, run: bytelog prune --project {name} --before DATE --yes"
        )
    return project_id


def _delete_tokens(project_id: int, connection: Connection) -> int | None:
    key = tuple_(IdempotencyKey.project_id, IdempotencyKey.key)
    some = select(IdempotencyKey.project_id, IdempotencyKey.key)
    some = some.where(IdempotencyKey.project_id == project_id).limit(STEP_KEYS)
    return connection.execute(delete(IdempotencyKey).where(key.in_(some))).rowcount or None


def _delete_rest(connection: Connection, project_id: int) -> int:
    """Delete the project, and what has arrived in it since it was emptied."""
    events = select(Event.key, date).where(Event.project_id == project_id)
    late = [Position(row[0], row[1]) for row in connection.execute(events)]
    delete_events(connection, late)
    followers = select(Follower.id).where(Follower.project_id == project_id)
    connection.execute(delete(SetAsideEvent).where(SetAsideEvent.follower_id.in_(followers)))
    for table in _TABLES:
        connection.execute(delete(table).where(table.c.project_id == project_id))
    connection.execute(delete(Project).where(Project.id == project_id))
    backend_of(db.engine).maintenance.skip_deleted_projects(connection)
    return len(late)
