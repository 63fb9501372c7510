"""Reading events and leaves in the order of keys, in pages that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    LargeBinary,
    bindparam,
    cast,
    func,
    select,
)

from ..config import PAGE_BYTES
from ..storage.exact import ByteLength, ExactDate, ExactText
from ..storage.models import ROW_COLUMNS, Event, SealLeaf
from . import chain

PAGE_EVENTS = 500
"""Events read at once, unless their data is long: a few milliseconds of work."""

ERASED_KEYS = 10_000
"""Keys of erased events read at once."""

Fetch = Callable[[Executable, dict[str, Any]], Sequence[Any]]
"""Returns the rows of a statement with parameters."""

_table = Event.__table__.c
_texts = [
    ExactDate(_table[name]) if name == "date" else ExactText(_table[name]) for name in ROW_COLUMNS
]
_from_first = (Event.key >= bindparam("first"), Event.key <= bindparam("last"))
_sizes = (
    select(Event.key, ByteLength(Event.data))
    .where(*_from_first)
    .order_by(Event.key)
    .limit(PAGE_EVENTS)
)
_events = select(Event.key, *_texts).where(*_from_first).order_by(Event.key)
# SQLite stores values of other types, too, and NULL if the schema was altered.
_numbers = [cast(column, BigInteger) for column in (SealLeaf.link, SealLeaf.erased_after)]
_bytes = [cast(SealLeaf.salt, LargeBinary), func.coalesce(cast(SealLeaf.hash, LargeBinary), b"")]
_leaves = (
    select(SealLeaf.key, *_numbers, *_bytes)
    .where(SealLeaf.key >= bindparam("first"), SealLeaf.key <= bindparam("last"))
    .order_by(SealLeaf.key)
    .limit(PAGE_EVENTS)
)
_erased = (
    select(SealLeaf.key)
    .where(SealLeaf.erased_after == bindparam("seal"), SealLeaf.key > bindparam("key"))
    .order_by(SealLeaf.key)
    .limit(ERASED_KEYS)
)


class StoredEvent(NamedTuple):
    """An event: its key, and the text of each of `ROW_COLUMNS`."""

    key: int
    fields: tuple[bytes, ...]

    def encode(self, key: int | None = None) -> bytes:
        """Return what a leaf hashes; `key` replaces the event's own."""
        return chain.encode((b"%d" % (self.key if key is None else key), *self.fields))


class Leaf(NamedTuple):
    """A row of `SealLeaf`."""

    key: int
    link: int
    erased_after: int | None
    salt: bytes | None
    hash: bytes


def fetch_over(connection: Connection) -> Fetch:
    """Return a function that reads over a connection."""
    return lambda statement, values: connection.execute(statement, values).all()


def read_events(fetch: Fetch, first: int, last: int) -> Iterator[list[StoredEvent]]:
    """Yield the events with keys from `first` to `last`, in pages."""
    while sizes := fetch(_sizes, {"first": first, "last": last}):
        end = _find_end(sizes)
        rows = fetch(_events, {"first": first, "last": end})
        yield [StoredEvent(key, tuple(fields)) for key, *fields in rows]
        first = end + 1


def read_leaves(fetch: Fetch, first: int, last: int) -> Iterator[Leaf]:
    """Yield the leaves with keys from `first` to `last`."""
    while rows := fetch(_leaves, {"first": first, "last": last}):
        yield from (Leaf(*row) for row in rows)
        first = rows[-1].key + 1


def cover_erased(fetch: Fetch, seals: Iterable[int], erasures: bytes) -> tuple[int, bytes]:
    """Return the number of events erased after some seals, and the digest that covers them.

    `seals` are consecutive numbers, and `erasures` is the digest of the first one.
    """
    total = 0
    for seal in seals:
        number, erasures = chain.cover(erasures, _read_erased(fetch, seal))
        total += number
    return total, erasures


def _read_erased(fetch: Fetch, seal: int) -> Iterator[int]:
    """Yield the keys of the events that were erased between a seal and the next one."""
    key = 0
    while rows := fetch(_erased, {"seal": seal, "key": key}):
        yield from (row.key for row in rows)
        key = rows[-1].key


def _find_end(sizes: Sequence[Any]) -> int:
    """Return the key of the event that fills a page."""
    total = 0
    for key, size in sizes:
        total += size
        if total > PAGE_BYTES:
            return int(key)
    return int(sizes[-1].key)
