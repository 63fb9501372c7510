"""The ids of messages, which are looked up and stored in the transaction of their events.

A client that repeats a request repeats the ids of its messages, possibly among new ones. So each
message is stored once, whatever it arrives with. The ids are in the table of idempotency keys and
expire with them. Their keys contain a tab, which no header `Idempotency-Key` can contain.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Integer, String, Text, bindparam, insert, select, true

from .. import timestamps
from .backend import Backend
from .idempotency import IdempotencyKeys
from .models import IdempotencyKey
from .types import UTCTimestamp

DIGEST_DIGITS = 32
"""Hexadecimal digits of the digest of an id: enough that no two ids have the same."""


def key_of(source: str, message_id: str) -> str:
    """Return the key of a message: ids of different sources have different keys."""
    return f"{source}\t{sha256(message_id.encode()).hexdigest()[:DIGEST_DIGITS]}"


class MessageIds:
    """The keys of messages that were stored before the idempotency keys expired."""

    def __init__(self, backend: Backend, idempotency_keys: IdempotencyKeys) -> None:
        self._backend = backend
        self._idempotency_keys = idempotency_keys
        keys = backend.select_texts(bindparam("keys", type_=Text)).subquery()
        project_id = bindparam("project_id", type_=Integer)
        self._find = select(IdempotencyKey.key, IdempotencyKeys.is_expired).where(
            IdempotencyKey.project_id == project_id, IdempotencyKey.key.in_(select(keys.c.value))
        )
        fingerprint = bindparam("fingerprint", type_=String)
        created = bindparam("created", type_=UTCTimestamp)
        self._store = insert(IdempotencyKey).from_select(
            ["project_id", "key", "fingerprint", "created"],
            select(project_id, keys.c.value, fingerprint, created)
            .where(true())
            .order_by(keys.c.value)
            .suffix_with("ON CONFLICT DO NOTHING RETURNING key"),
        )

    def add(self, connection: Connection, project_id: int, keys: Collection[str]) -> set[str]:
        """Store those keys that are not stored, and return them; after `delete_expired`."""
        values = {"project_id": project_id, "keys": json.dumps([*keys])}
        bounds = self._idempotency_keys.bounds
        found: Any = self._backend.execute(connection, self._find, {**bounds, **values})
        stored = dict(found.all())
        for key in [key for key, is_expired in stored.items() if is_expired]:
            self._idempotency_keys.delete(connection, project_id, key)
        new = {key for key in keys if stored.get(key, True)}
        if new:
            created = timestamps.format_utc(timestamps.now())
            values |= {"keys": json.dumps([*new]), "fingerprint": "", "created": created}
            # Another process may have stored some in the meantime.
            rows: Any = self._backend.execute(connection, self._store, values)
            new = {key for (key,) in rows}
        return new
