"""Comparing the API keys of two databases: no key may give access to what it did not before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select

from ...storage.database import db, fetch
from ...storage.models import ApiKey
from .digests import ContentDiffers

_keys = select(ApiKey.id, ApiKey.project_id, ApiKey.digest, ApiKey.name, ApiKey.revoked)


def check_all(target: Engine) -> None:
    """Raise ContentDiffers unless all keys in the target are copies."""
    own_keys = {(row.id, row.digest): row for row in fetch(db.engine, _keys)}
    for row in fetch(target, _keys):
        own = own_keys.get((row.id, row.digest))
        if own is None:
            raise ContentDiffers(
                f"it has an API key of its own, {row.name!r}. Choose an empty database."
            )
        _check_revocation(own, row)


def check_project(target: Engine, own_id: int, target_id: int | None) -> None:
    """Raise ContentDiffers unless the keys of the project in the target are copies."""
    of_project = _keys.where(ApiKey.project_id == own_id)
    own_keys = {row.digest: row for row in fetch(db.engine, of_project)}
    for row in fetch(target, _keys):
        own = own_keys.get(row.digest)
        if row.project_id != target_id:
            if own:
                raise ContentDiffers(f"the API key {own.name!r} is one of another project there.")
        elif own is None:
            raise ContentDiffers(
                f"its project has an API key of its own, {row.name!r}. Choose another database."
            )
        else:
            _check_revocation(own, row)


def _check_revocation(own: Any, copy: Any) -> None:
    if copy.revoked and not own.revoked:
        raise ContentDiffers(
            f"the API key {copy.name!r} is revoked there alone. Revoke it here too."
        )
