"""Digests of events, by which two copies are compared."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from ...storage.errors import StorageError
from ...storage.models import COLUMNS, Event
from ...storage.sql import DateAsText

MIGRATE_EVENTS = 5000
"""Events copied in one transaction, or compared at once."""


columns = {
    name: DateAsText(Event.date) if name == "date" else Event.__table__.c[name] for name in COLUMNS
}
"""The columns of an event by name, with the same values in both databases: the date is text."""


class ContentDiffers(StorageError):
    """The target does not hold what the source holds; the message says where."""


def compute_digest(row: Any) -> bytes:
    """Return the digest of an event."""
    return sha256(repr(tuple(row)).encode()).digest()


def add_digests(rows: Iterable[Any]) -> int:
    """Return the sum of digests, which can be continued, and from which events can be taken."""
    return sum(int.from_bytes(compute_digest(row)) for row in rows)


def format_sum(total: int) -> str:
    """Return the text of a sum of digests, modulo 2^256."""
    return f"{total % 2**256:064x}"
