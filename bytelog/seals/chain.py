"""The hashes of a seal, as `docs/sealing.md` defines them. All of them are SHA-256.

The first byte of what is hashed says what it is, so no hash of one kind is also one of another.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

SALT_BYTES = 16

NO_ERASURES = bytes(32)
"""What the first seal's digest of erased events continues from."""

_LEAF, _LINK, _BEGINNING, _ERASURES = b"\0", b"\1", b"\2", b"\3"


def encode(fields: Iterable[bytes]) -> bytes:
    """Return texts as netstrings, such as `5:click,`: no two lists have the same encoding."""
    return b"".join([b"%d:%b," % (len(field), field) for field in fields])


def hash_leaf(salt: bytes, event: bytes) -> bytes:
    """Return the hash of an encoded event."""
    return sha256(_LEAF + salt + event).digest()


def begin(log: str) -> bytes:
    """Return the value of a log's chain before its first event."""
    return sha256(_BEGINNING + log.encode()).digest()


def extend(chain: bytes, key: int, leaf: bytes) -> bytes:
    """Return the value of a chain after an event."""
    return sha256(_LINK + chain + _pack(key) + leaf).digest()


def shorten(chain: bytes) -> int:
    """Return the beginning of a value of the chain, as the leaf of its last event stores it."""
    return int.from_bytes(chain[:8], signed=True)


def cover(erasures: bytes, keys: Iterable[int]) -> tuple[int, bytes]:
    """Return the number of events erased between two seals, and the digest of the second seal.

    `erasures` is the digest of the first seal, and `keys` are those of the events in their order.
    """
    number, digest = 0, sha256(_ERASURES + erasures)
    for key in keys:
        number += 1
        digest.update(_pack(key))
    return number, digest.digest()


def _pack(key: int) -> bytes:
    return key.to_bytes(8, signed=True)
