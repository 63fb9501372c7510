"""Copying what belongs to a project besides its events: keys, imports, applied rules, epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, bindparam, insert, select, update

from ...storage.database import db, fetch
from ...storage.maintenance import Maintenance
from ...storage.models import ApiKey, Epoch, IdempotencyKey, ImportCheckpoint, MovedEpoch, Project

TOKENS = 5000
"""Idempotency keys copied in one transaction."""

_tokens = (
    select(IdempotencyKey.__table__)
    .where(
        IdempotencyKey.project_id == bindparam("project_id"), IdempotencyKey.key > bindparam("key")
    )
    .order_by(IdempotencyKey.key)
    .limit(TOKENS)
)


def copy_rows(
    connection: Connection, maintenance: Maintenance, own_id: int, target_id: int
) -> None:
    """Copy the applied rules, keys, imports and epochs of a project, within a transaction."""
    ((rules,),) = fetch(db.engine, select(Project.applied_rules).where(Project.id == own_id))
    of_target = update(Project).where(Project.id == target_id)
    connection.execute(of_target.values(applied_rules=rules))
    _copy_keys(connection, own_id, target_id)
    _copy_checkpoints(connection, own_id, target_id)
    epochs = fetch(db.engine, select(Epoch.first_key, Epoch.name))
    if epochs:
        rows = [{**row._asdict(), "project_id": target_id} for row in epochs]
        maintenance.upsert(connection, cast("Table", MovedEpoch.__table__), rows)


def has_same_epochs(target: Engine, target_id: int, last_key: int) -> bool:
    """Return whether the epochs up to a key are those that were copied; raises StorageError."""
    moved = select(MovedEpoch.first_key, MovedEpoch.name).where(MovedEpoch.project_id == target_id)
    copied = fetch(target, moved.where(MovedEpoch.first_key <= last_key))
    own = select(Epoch.first_key, Epoch.name).where(Epoch.first_key <= last_key)
    return set(copied) == set(fetch(db.engine, own))


def read_tokens(own_id: int, target_id: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the idempotency keys of a project as rows of the target; raises StorageError."""
    key = ""
    while rows := fetch(db.engine, _tokens, {"project_id": own_id, "key": key}):
        yield [{**row._asdict(), "project_id": target_id} for row in rows]
        key = rows[-1].key


def _copy_keys(connection: Connection, own_id: int, target_id: int) -> None:
    copied = set(connection.execute(select(ApiKey.digest)).scalars())
    for row in fetch(db.engine, _of_project(ApiKey, own_id).order_by(ApiKey.id)):
        values = {**row._asdict(), "project_id": target_id}
        del values["id"]  # The target has keys with ids of its own.
        if row.digest in copied:
            connection.execute(update(ApiKey).where(ApiKey.digest == row.digest).values(values))
        else:
            connection.execute(insert(ApiKey), values)


def _copy_checkpoints(connection: Connection, own_id: int, target_id: int) -> None:
    statement = _of_project(ImportCheckpoint, target_id)
    copied = {(row.digest, row.bytes) for row in connection.execute(statement)}
    for row in fetch(db.engine, _of_project(ImportCheckpoint, own_id)):
        if (row.digest, row.bytes) not in copied:
            values = {**row._asdict(), "project_id": target_id}
            del values["id"]
            connection.execute(insert(ImportCheckpoint), values)


def _of_project(model: Any, project_id: int) -> Any:
    return select(model.__table__).where(model.project_id == project_id)
