"""API keys: creating, finding, listing and revoking them.

A key is `byl_`, 30 random Base62 characters, and the CRC32 of those in six more. Secret scanners
recognize a leaked key by this layout, which is that of GitHub's tokens. Only the SHA-256 digest of
a key is stored.
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

from sqlalchemy import Row, insert, select, update

from .. import timestamps
from ..storage.database import db, fetch, fetch_or_fall_back, read_engine
from ..storage.models import ApiKey, Project
from ..storage.writer import current_writer
from . import last_use, projects

PREFIX = "byl_"
SCOPES = ("read", "write", "delete")
DEFAULT_SCOPES = ("read", "write")

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARACTERS = 30  # 178 bits
_CHECKSUM_CHARACTERS = 6


class UnknownKey(LookupError):
    """No active key has that name or id, or several have that name; the message says which."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The access of a request: a project and scopes; the rate limit counts by `holder`.

    `bound` is a text that limits the access to some events of the project. The API reads it; if it
    is empty, there is no limit.
    """

    holder: int | tuple[str, str]
    project_id: int
    scopes: frozenset[str]
    bound: str = ""


def grant_all(project_id: int) -> Grant:
    """Return the whole access to a project, which the operator and the embedding program have."""
    return Grant(0, project_id, frozenset(SCOPES))


def create(
    name: str,
    project: str,
    scopes: Sequence[str] = DEFAULT_SCOPES,
    expires: datetime | None = None,
    bound: str = "",
) -> str:
    """Create a key, and its project if it is new; return the key, which cannot be read later."""
    random = "".join(secrets.choice(_BASE62) for _ in range(_RANDOM_CHARACTERS))
    key = PREFIX + random + compute_checksum(random)
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
                "bound": bound,
            },
        )
    return key


def name_holder(grant: Grant) -> str:
    """Return the name of a key, or of the user of a host's grant; raises StorageError."""
    if isinstance(grant.holder, tuple):
        return grant.holder[1]
    rows = fetch(read_engine(), select(ApiKey.name).where(ApiKey.id == grant.holder))
    return str(rows[0].name) if rows else "BYTELOG_API_KEY"


def find(key: str) -> Grant | None:
    """Return the grant of a key, or None if the key is unknown, revoked or expired.

    Notes that the key was used today.
    """
    key_digest = digest(key)
    statement = (
        select(*ApiKey.__table__.columns)
        .join(Project)
        .where(ApiKey.digest == key_digest, ApiKey.revoked.is_(None))
    )
    row = next(iter(fetch_or_fall_back(statement)), None)
    if row is None or not hmac.compare_digest(row.digest, key_digest):
        return None
    if row.expires and row.expires <= timestamps.now():
        return None
    last_use.note(row.id, row.last_used)
    return Grant(row.id, row.project_id, frozenset(row.scopes.split()), row.bound)


def list_all() -> Sequence[Row[Any]]:
    """Return every key, revoked ones included, with its project's name, the oldest first."""
    columns = (*ApiKey.__table__.columns, Project.name.label("project"))
    return fetch(db.engine, select(*columns).join(Project).order_by(ApiKey.id))


def revoke(name_or_id: str) -> str:
    """Revoke the active key with a name or id; returns its name, raises UnknownKey."""
    active = [key for key in list_all() if key.revoked is None]
    matches = [key for key in active if str(key.id) == name_or_id]
    matches = matches or [key for key in active if key.name == name_or_id]
    if not matches:
        raise UnknownKey(f"no active key {name_or_id!r}; `bytelog keys list` lists all keys.")
    if len(matches) > 1:
        ids = ", ".join(str(key.id) for key in matches)
        raise UnknownKey(f"{len(matches)} active keys {name_or_id!r}; use the id of one: {ids}.")
    with current_writer().transaction() as connection:
        statement = update(ApiKey).where(ApiKey.id == matches[0].id)
        connection.execute(statement.values(revoked=timestamps.now()))
    return str(matches[0].name)


def describe_state(key: Row[Any]) -> str:
    """Return the state of a key from `list_all`, with the time of its end if it has one."""
    if key.revoked:
        return f"revoked {timestamps.format_utc(key.revoked)}"
    if not key.expires:
        return "active"
    verb = "expired" if key.expires <= timestamps.now() else "expires"
    return f"{verb} {timestamps.format_utc(key.expires)}"


def digest(key: str) -> str:
    """Return the SHA-256 digest of a key in hexadecimal."""
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def compute_checksum(random: str) -> str:
    """Return the CRC32 of a key's random part, in Base62."""
    number, characters = zlib.crc32(random.encode()), ""
    for _ in range(_CHECKSUM_CHARACTERS):
        number, remainder = divmod(number, len(_BASE62))
        characters = _BASE62[remainder] + characters
    return characters
