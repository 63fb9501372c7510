"""The secret that hides the keys of events in cursors.

Keys count the events of all projects. A client that could read the key in a cursor, or try which
keys are valid, would see how much other projects record. So a cursor contains its key encrypted,
with random bits: two cursors of one position differ. Only keys that were assigned before the secret
existed are also accepted as they are, because clients may have saved their cursors.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import blake2s

from sqlalchemy import Connection, Engine, insert, select

from .backend import Backend
from .database import fetch
from .models import CursorSecret

SALT_BITS = 16
"""Random bits of a token; the other 48 hold the key."""

_HALF_BITS = 32
_ROUNDS = range(4)


def create(backend: Backend, connection: Connection) -> None:
    """Store a secret in a database that has none, within a transaction."""
    last = backend.last_assigned_key(connection)
    connection.execute(
        insert(CursorSecret).values(id=1, value=secrets.token_hex(16), last_plain_key=last)
    )


@dataclass(frozen=True, slots=True)
class KeyCipher:
    """Encrypts keys as tokens of 64 bits: a Feistel network, whose rounds hash with the secret.

    Four rounds make it a pseudorandom permutation (Luby and Rackoff, 1988).
    """

    secret: bytes
    last_plain_key: int

    def encrypt(self, key: int) -> int:
        """Return a token for a key, another one each time."""
        block = key << SALT_BITS | secrets.randbits(SALT_BITS)
        left, right = divmod(block, 1 << _HALF_BITS)
        for number in _ROUNDS:
            left, right = right, left ^ self._hash(right, number)
        return left << _HALF_BITS | right

    def decrypt(self, token: int) -> int:
        """Return the key of a token."""
        left, right = divmod(token, 1 << _HALF_BITS)
        for number in reversed(_ROUNDS):
            left, right = right ^ self._hash(left, number), left
        return (left << _HALF_BITS | right) >> SALT_BITS

    def identify(self, text: str) -> str:
        """Return an identifier that is always the same for a text, and does not reveal it."""
        return blake2s(text.encode(), key=self.secret, digest_size=16).hexdigest()

    def _hash(self, half: int, number: int) -> int:
        digest = blake2s(half.to_bytes(4), key=self.secret, salt=bytes([number]), digest_size=4)
        return int.from_bytes(digest.digest())


def read_cipher(engine: Engine) -> KeyCipher:
    """Return the cipher with the secret of a database; raises StorageError."""
    columns = select(CursorSecret.value, CursorSecret.last_plain_key)
    ((value, last_plain_key),) = fetch(engine, columns)
    return KeyCipher(bytes.fromhex(value), last_plain_key)
