"""Leaves: the salted hashes of sealed events, which remain when events are deleted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, update

from .models import SealedLog, SealLeaf

_seals = select(SealedLog.seals).scalar_subquery()
_forget = (
    update(SealLeaf)
    .where(
        SealLeaf.key.in_(bindparam("keys", expanding=True)),
        # An older mark is covered by seals, and stays.
        SealLeaf.salt.is_not(None),
    )
    .values(salt=None, erased_after=_seals)
)
_is_sealed = select(SealedLog.id).limit(1)


def forget_leaves(connection: Connection, keys: Sequence[int]) -> None:
    """Mark events as erased, in the transaction that deletes them.

    Without its salt, nobody can find out by trying whether a hash belongs to a certain event.
    """
    connection.execute(_forget, {"keys": keys})


def is_sealed(connection: Connection) -> bool:
    """Return whether any event was ever sealed, so that erased events leave marks."""
    return connection.execute(_is_sealed).first() is not None
