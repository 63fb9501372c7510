"""Reading what seals need for a copy of the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from sqlalchemy import Engine, Table, bindparam, func, select, tuple_

from ..storage.database import fetch
from ..storage.models import SealedLog, SealLeaf

TRANSFER_LEAVES = 5000
"""Leaves read at once."""

_log = select(SealedLog.__table__)
_highest_key = select(func.coalesce(func.max(SealLeaf.key), 0))
_new = (
    select(SealLeaf.__table__)
    .where(SealLeaf.key > bindparam("key"))
    .order_by(SealLeaf.key)
    .limit(TRANSFER_LEAVES)
)
_mark = tuple_(SealLeaf.erased_after, SealLeaf.key)
_erased = (
    select(SealLeaf.__table__)
    .where(_mark > tuple_(bindparam("seal"), bindparam("key")))
    .order_by(SealLeaf.erased_after, SealLeaf.key)
    .limit(TRANSFER_LEAVES)
)

Rows = list[dict[str, Any]]


class Part(NamedTuple):
    """Rows of a table that the copy lacks, or has in an older state."""

    table: Table
    rows: Rows


def count_leaves(source: Engine) -> int:
    """Return the number of sealed events; raises StorageError."""
    return sum(row.events for row in fetch(source, _log))


def is_ahead(source: Engine, target: Engine) -> bool:
    """Return whether a copy was sealed for itself; raises StorageError."""
    own, copied = fetch(source, _log), fetch(target, _log)
    if not copied:
        return False
    progress = [(row.last_key, row.seals) for row in (*own, *copied)]
    return not own or own[0].name != copied[0].name or progress[0] < progress[1]


def read_missing(source: Engine, target: Engine) -> Iterator[Part]:
    """Yield what a copy lacks, the log last: it must know the seals that the leaves name.

    Events are erased at any time, so all leaves of erased events are read again.
    """
    leaves = cast("Table", SealLeaf.__table__)
    ((key,),) = fetch(target, _highest_key)
    while rows := _read(source, _new, key=key):
        yield Part(leaves, rows)
        key = rows[-1]["key"]
    seal, key = -1, 0
    while rows := _read(source, _erased, seal=seal, key=key):
        yield Part(leaves, rows)
        seal, key = rows[-1]["erased_after"], rows[-1]["key"]
    if rows := _read(source, _log):
        yield Part(cast("Table", SealedLog.__table__), rows)


def _read(source: Engine, statement: Any, **values: int) -> Rows:
    return [row._asdict() for row in fetch(source, statement, values)]
