"""API keys: making, finding, listing and revoking them.

A key is `byl_`, 30 random Base62 characters and a CRC32 of those in six more, the layout of
GitHub's tokens, so that secret scanners can tell a leaked one from noise. Only its SHA-256 digest
is stored.
"""

from __future__ import annotations

import hmac
import secrets
import string
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Executable, Row, insert, select, update

from .. import timestamps
from ..storage.backend import StorageError
from ..storage.database import db, fetch, read_engine
from ..storage.models import ApiKey, Project
from ..storage.writer import current_writer
from . import projects

PREFIX = "byl_"
SCOPES = ("read", "write")

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARACTERS = 30  # 178 bits
_CHECK_CHARACTERS = 6


class UnknownKey(LookupError):
    """No active key, or more than one, answers to that name; the message says which."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request may do: in one project, with one or both scopes, counted for its holder."""

    holder: int | tuple[str, str]
    project_id: int
    scopes: frozenset[str]


def create(
    name: str, project: str, scopes: Sequence[str] = SCOPES, expires: datetime | None = None
) -> str:
    """Make a key and return it; it cannot be had again. The project comes into being with it."""
    random = "".join(secrets.choice(_BASE62) for _ in range(_RANDOM_CHARACTERS))
    key = PREFIX + random + check_characters(random)
    with current_writer().transaction() as connection:
        connection.execute(
            insert(ApiKey),
            {
                "project_id": projects.ensure(connection, project),
                "name": name,
                "digest": digest(key),
                "scopes": " ".join(sorted(set(scopes))),
                "created": timestamps.now(),
                "expires": expires,
            },
        )
    return key


def find(key: str) -> Grant | None:
    """Return what a key opens, None if it is unknown, revoked or expired."""
    wanted = digest(key)
    statement = select(*ApiKey.__table__.columns).where(
        ApiKey.digest == wanted, ApiKey.revoked.is_(None)
    )
    row = next(iter(_fetch_anywhere(statement)), None)
    if row is None or not hmac.compare_digest(row.digest, wanted):
        return None
    if row.expires and row.expires <= timestamps.now():
        return None
    return Grant(row.id, row.project_id, frozenset(row.scopes.split()))


def _fetch_anywhere(statement: Executable) -> Sequence[Row[Any]]:
    try:
        return fetch(db.engine, statement)
    except StorageError:
        # Readers go on at a replica while there is no primary.
        if read_engine() is db.engine:
            raise
        return fetch(read_engine(), statement)


def list_all() -> Sequence[Row[Any]]:
    """Return every key ever made, with its project's name, the oldest first."""
    columns = (*ApiKey.__table__.columns, Project.name.label("project"))
    return fetch(db.engine, select(*columns).join(Project).order_by(ApiKey.id))


def revoke(name_or_id: str) -> str:
    """End an active key, named by its name or its id; returns its name, raises UnknownKey."""
    active = [key for key in list_all() if key.revoked is None]
    matches = [key for key in active if str(key.id) == name_or_id]
    matches = matches or [key for key in active if key.name == name_or_id]
    if not matches:
        raise UnknownKey(f"no active key {name_or_id!r}; `bytelog keys list` shows them all.")
    if len(matches) > 1:
        ids = ", ".join(str(key.id) for key in matches)
        raise UnknownKey(f"{len(matches)} active keys {name_or_id!r}; name one by its id: {ids}.")
    with current_writer().transaction() as connection:
        ended = update(ApiKey).where(ApiKey.id == matches[0].id)
        connection.execute(ended.values(revoked=timestamps.now()))
    return str(matches[0].name)


def state(key: Row[Any]) -> str:
    """Return the state of a key that `list_all` returned."""
    if key.revoked:
        return f"revoked {timestamps.format_utc(key.revoked)}"
    if not key.expires:
        return "active"
    verb = "expired" if key.expires <= timestamps.now() else "expires"
    return f"{verb} {timestamps.format_utc(key.expires)}"


def digest(key: str) -> str:
    """Return the SHA-256 of a key in hexadecimal digits."""
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def check_characters(random: str) -> str:
    """Return the CRC32 of a key's random part, in Base62."""
    number, characters = zlib.crc32(random.encode()), ""
    for _ in range(_CHECK_CHARACTERS):
        number, remainder = divmod(number, len(_BASE62))
        characters = _BASE62[remainder] + characters
    return characters
