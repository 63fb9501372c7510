"""Comparing the events and leaves of a database with a seal, whose signature is verified.

Events and leaves are read side by side in the order of keys. The first one that does not follow
from the seal ends the comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain as join

from sqlalchemy import Connection, Integer, bindparam, cast, func, inspect, select

from ..config import MIN_ID
from ..storage.models import ROW_COLUMNS, SealedLog, SealLeaf
from . import chain
from .document import Seal
from .pages import Leaf, StoredEvent, cover_erased, fetch_over, read_events, read_leaves

SHOWN_CHARACTERS = 80
"""Characters of a name or trace id in a message: what was altered may have any length."""

_SHOWN_FIELDS = ("id", "name", "trace_id")

_log = select(SealedLog.name, func.coalesce(cast(SealedLog.seals, Integer), 0).label("seals"))
_count = select(func.count()).select_from(SealLeaf).where(SealLeaf.key <= bindparam("last"))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The number of erased events, and the first contradiction to the seal, "" if there is none."""

    erased_before: int
    erased_since: int
    contradiction: str


class _Contradiction(Exception):
    """Something does not follow from the seal; the message names it."""


def compare(connection: Connection, seal: Seal) -> Comparison:
    """Compare a database with a seal, over a connection that sees one state of it.

    Raises StorageError.
    """
    comparing, contradiction = _Comparing(connection, seal), ""
    try:
        comparing.run()
    except _Contradiction as error:
        contradiction = str(error)
    return Comparison(comparing.erased_before, comparing.erased_since, contradiction)


class _Comparing:
    def __init__(self, connection: Connection, seal: Seal) -> None:
        self._connection = connection
        self._fetch = fetch_over(connection)
        self._seal = seal
        self._chain = chain.begin(seal.log)
        self._position = 0
        self.erased_before = self.erased_since = 0

    def run(self) -> None:
        """Compare everything; raises _Contradiction."""
        last = self._seal.last_key
        self._newest = self._read_newest_seal()
        self._leaves = self._connection.execute(_count, {"last": last}).scalar_one()
        events = join.from_iterable(read_events(self._fetch, MIN_ID, last))
        for event, leaf in _pair(events, read_leaves(self._fetch, MIN_ID, last)):
            if leaf:
                self._check_leaf(event, leaf)
            elif event:
                self._reject_event(event)
        self._check_end()
        self._check_erasures()

    def _read_newest_seal(self) -> int:
        """Return the number of the newest seal of the database, if the log is that of the seal."""
        has_log = inspect(self._connection).has_table(SealedLog.__tablename__)
        logs = self._fetch(_log, {}) if has_log else []
        if not logs:
            raise _Contradiction(
                "no event of this database was ever sealed. It is another log, or a backup that is "
                "older than the first seal, or its table sealed_log was emptied"
            )
        if logs[0].name != self._seal.log:
            raise _Contradiction("the seal belongs to another log")
        if logs[0].seals < self._seal.number:
            raise _Contradiction(
                f"the newest seal of this database is number {logs[0].seals}. It is a backup that "
                "is older than the seal, or its table sealed_log was altered"
            )
        return int(logs[0].seals)

    def _check_leaf(self, event: StoredEvent | None, leaf: Leaf) -> None:
        if not self._is_possible(leaf):
            raise _Contradiction(f"the leaf of the event with the key {leaf.key} was altered")
        if leaf.salt is None:
            self._count_erased(event, leaf)
        elif event is None:
            raise _Contradiction(f"the event with the key {leaf.key} was removed")
        elif chain.hash_leaf(leaf.salt, event.encode()) != leaf.hash:
            self._reject_content(event, leaf)
        following = self._follow(leaf)
        if following is None:
            self._reject_link(leaf)
        else:
            self._chain, self._position = following, leaf.key

    def _is_possible(self, leaf: Leaf) -> bool:
        if leaf.erased_after is not None:
            return leaf.salt is None and 0 <= leaf.erased_after <= self._newest
        # A longer salt could contain the beginning of what is hashed, and the event the rest.
        return leaf.salt is not None and len(leaf.salt) == chain.SALT_BYTES

    def _follow(self, leaf: Leaf) -> bytes | None:
        """Return the value of the chain after a leaf, None if the leaf does not belong there."""
        following = chain.extend(self._chain, leaf.key, leaf.hash)
        return following if chain.shorten(following) == leaf.link else None

    def _count_erased(self, event: StoredEvent | None, leaf: Leaf) -> None:
        if event:
            raise _Contradiction(f"{_name(event)} was inserted, or its leaf marked as erased")
        if (leaf.erased_after or 0) < self._seal.number:
            self.erased_before += 1
        else:
            self.erased_since += 1

    def _reject_event(self, event: StoredEvent) -> None:
        """Raise _Contradiction for an event without a leaf."""
        if self._leaves < self._seal.events:
            raise _Contradiction(f"the leaf of {_name(event)} was removed")
        self._reject_moved(event)
        raise _Contradiction(f"{_name(event)} was inserted")

    def _reject_content(self, event: StoredEvent, leaf: Leaf) -> None:
        """Raise _Contradiction for an event that its leaf does not belong to."""
        if self._follow(leaf) is None:
            raise _Contradiction(f"the leaf of {_name(event)} was altered")
        self._reject_moved(event)
        raise _Contradiction(f"{_name(event)} was altered")

    def _reject_moved(self, event: StoredEvent) -> None:
        """Raise _Contradiction if an event belongs to the leaf of another key."""
        for leaf in read_leaves(self._fetch, MIN_ID, self._seal.last_key):
            if leaf.salt and chain.hash_leaf(leaf.salt, event.encode(leaf.key)) == leaf.hash:
                raise _Contradiction(f"{_name(event)} was moved: its key was {leaf.key}")

    def _reject_link(self, leaf: Leaf) -> None:
        """Raise _Contradiction for a leaf that does not follow from those before it."""
        if self._leaves < self._seal.events:
            raise _Contradiction(
                f"an event between the keys {self._position} and {leaf.key} was removed together "
                "with its leaf"
            )
        action = "altered" if self._leaves == self._seal.events else "inserted"
        raise _Contradiction(
            f"the event with the key {leaf.key}, or the one before it, was {action} together with "
            "its leaf"
        )

    def _check_end(self) -> None:
        if self._leaves < self._seal.events:
            raise _Contradiction(
                f"{self._seal.events - self._leaves} events after the key {self._position} were "
                "removed together with their leaves, or an older backup was restored"
            )
        if self._chain.hex() != self._seal.head:
            raise _Contradiction(
                "events were altered together with the leaves of all later events. Find the newest "
                "earlier seal that agrees: the first such event is later"
            )

    def _check_erasures(self) -> None:
        seals = range(self._seal.number)
        erased, erasures = cover_erased(self._fetch, seals, chain.NO_ERASURES)
        sealed = self._seal.erased
        if erased < sealed:
            raise _Contradiction(
                f"{sealed - erased} events that were erased before the seal are back, or marked as "
                "erased later"
            )
        if erased > sealed:
            raise _Contradiction(
                f"{erased - sealed} events are marked as erased before the seal, and were not"
            )
        if erasures.hex() != self._seal.erasures:
            raise _Contradiction("other events are marked as erased than before the seal")


def _pair(
    events: Iterator[StoredEvent], leaves: Iterator[Leaf]
) -> Iterator[tuple[StoredEvent | None, Leaf | None]]:
    """Yield each event with the leaf of its key, and those that have no counterpart alone."""
    event, leaf = next(events, None), next(leaves, None)
    while event or leaf:
        if leaf is None or (event and event.key < leaf.key):
            yield event, None
            event = next(events, None)
        elif event is None or leaf.key < event.key:
            yield None, leaf
            leaf = next(leaves, None)
        else:
            yield event, leaf
            event, leaf = next(events, None), next(leaves, None)


def _name(event: StoredEvent) -> str:
    texts = dict(zip(ROW_COLUMNS, event.fields, strict=True))
    number, *names = (texts[name].decode(errors="replace") for name in _SHOWN_FIELDS)
    name, trace_id = (text[:SHOWN_CHARACTERS] for text in names)
    return f"the event with the key {event.key} (id {number}, name {name!r}, trace {trace_id!r})"
