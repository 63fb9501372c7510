"""The end of what a listing reads: the events that were visible when it began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from ..storage.horizon import Snapshot
from ..storage.keyset import Order
from ..storage.reader import Reader
from .statements import KeyQueries, prepare_keys

_horizons: WeakKeyDictionary[Engine, tuple[object, int]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class End:
    """The key up to which a listing reads, and the epochs of the newest event and of the cursor.

    Up to `decided` nothing can appear any more. From there to `last`, the listing leaves out what
    is inserted by the `running` transactions, which may commit while it is read.
    """

    last: int
    decided: int
    running: str
    epochs: tuple[int | None, str | None, str | None]

    def bind(self, order: Order, up_to: int) -> dict[str, Any]:
        """Return the parameters of a listing; arrivals end where everything is decided."""
        last = self.decided if order is Order.ARRIVAL else self.last
        return {"last": min(last, up_to), "decided": self.decided, "running": self.running}


def find(reader: Reader, values: dict[str, Any]) -> End:
    """Return the end of all events, for the cursor in the values; raises StorageError."""
    queries = prepare_keys(type(reader.backend))
    ((last, transaction, text, *epochs),) = reader.fetch(queries.snapshot_end, values)
    first_key, newest, of_cursor = epochs
    if text is None or transaction is None:
        return End(last, last, "", (first_key, newest, of_cursor))
    snapshot = Snapshot.parse(text)
    decided = last
    if not snapshot.is_decided(int(transaction)):
        decided = _find_decided(reader, queries, last, snapshot, newest)
    # A replica does not tell which transactions are running, only from where on.
    last = last if snapshot.running else decided
    return End(last, decided, snapshot.format_running(), (first_key, newest, of_cursor))


def _find_decided(
    reader: Reader, queries: KeyQueries, last: int, snapshot: Snapshot, epoch: str | None
) -> int:
    """Return the highest decided key.

    While the oldest transaction runs, that key remains the same, and many events may follow it: it
    is searched for once. After a failover, which may take events back, there is another epoch.
    """
    occasion = snapshot.oldest, epoch
    known, key = _horizons.get(reader.engine, (None, 0))
    if known != occasion:
        rows = reader.fetch(queries.decided_key, {"last": last, **snapshot.bounds})
        key = rows[0][0] if rows else 0
        _horizons[reader.engine] = occasion, key
    return key
