"""Sealing: hashing the events that are not sealed yet, while others write.

Events are read and hashed without a lock. Storing the hashes takes short transactions with pauses
in between, as deleting old events does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, func, insert, select, update

from .. import timestamps
from ..storage.database import db, fetch
from ..storage.models import Event, SealedLog, SealLeaf
from ..storage.steps import PAUSE_FACTOR, Pause
from ..storage.writer import current_writer
from . import chain
from .document import FORMAT, Seal
from .pages import StoredEvent, cover_erased, read_events
from .signing import Signer

_log = select(SealedLog.__table__)
_count = select(func.count()).select_from(Event).where(Event.key > bindparam("key"))
_existing = select(Event.key).where(Event.key >= bindparam("first"), Event.key <= bindparam("last"))


def count_unsealed() -> int:
    """Return the number of events that are not sealed yet; raises StorageError."""
    ((events,),) = fetch(db.engine, _count, {"key": _read_position()})
    return int(events)


def store_leaves(pause: Pause = time.sleep) -> Iterator[int]:
    """Store the leaves of the events that have none; yields their number in each transaction.

    Events that arrive meanwhile have higher keys, and are left to the next seal. Raises
    StorageError.
    """
    last = current_writer().last_assigned_key()
    for page in read_events(_fetch, _read_position() + 1, last):
        leaves = [_hash(event) for event in page]
        with current_writer().transaction() as connection:
            began = time.monotonic()
            stored = _store(connection, leaves)
        yield stored
        pause(PAUSE_FACTOR * (time.monotonic() - began))


def make_seal(signer: Signer) -> Seal:
    """Return a seal of all events that have leaves; raises StorageError."""
    with current_writer().transaction() as connection:
        log = _open_log(connection)
        connection.execute(update(SealedLog).values(seals=log.seals + 1))
    # Events that are erased from now on have the mark of this seal, and belong to the next one.
    number = log.seals + 1
    newly, erasures = cover_erased(_fetch, range(log.covered, number), log.erasures)
    erased = log.erased + newly
    values = {"covered": number, "erased": erased, "erasures": erasures}
    with current_writer().transaction() as connection:
        connection.execute(update(SealedLog).where(SealedLog.covered < number).values(values))
    return signer.sign(
        Seal(
            format=FORMAT,
            log=log.name,
            number=number,
            time=timestamps.format_utc(timestamps.now()),
            events=log.events,
            last_key=log.last_key,
            head=log.head.hex(),
            erased=erased,
            erasures=erasures.hex(),
            public_key=signer.public_key,
        )
    )


def _fetch(statement: Executable, values: dict[str, Any]) -> Sequence[Any]:
    return fetch(db.engine, statement, values)


def _read_position() -> int:
    return max((row.last_key for row in fetch(db.engine, _log)), default=0)


def _hash(event: StoredEvent) -> tuple[int, bytes, bytes]:
    salt = secrets.token_bytes(chain.SALT_BYTES)
    return event.key, salt, chain.hash_leaf(salt, event.encode())


def _store(connection: Connection, leaves: Sequence[tuple[int, bytes, bytes]]) -> int:
    """Store leaves in a transaction, except those of events that are sealed or deleted by now."""
    log = _open_log(connection)
    position, head, rows = log.last_key, log.head, []
    bounds = {"first": leaves[0][0], "last": leaves[-1][0]}
    existing = set(connection.execute(_existing, bounds).scalars())
    for key, salt, digest in leaves:
        if key > position and key in existing:
            position, head = key, chain.extend(head, key, digest)
            link = chain.shorten(head)
            rows.append({"key": key, "link": link, "salt": salt, "hash": digest})
    if rows:
        connection.execute(insert(SealLeaf), rows)
        values = {"last_key": position, "head": head, "events": log.events + len(rows)}
        connection.execute(update(SealedLog).values(values))
    return len(rows)


def _open_log(connection: Connection) -> Any:
    """Return the row of the sealed log, created in a transaction by the first seal."""
    if row := connection.execute(_log).first():
        return row
    name = secrets.token_hex(16)
    beginning = {"last_key": 0, "events": 0, "head": chain.begin(name)}
    nothing = {"seals": 0, "covered": 0, "erased": 0, "erasures": chain.NO_ERASURES}
    connection.execute(insert(SealedLog).values(id=1, name=name, **beginning, **nothing))
    return connection.execute(_log).one()
