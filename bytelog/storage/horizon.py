"""The horizon of arrivals: the key up to which all events are decided, although commits overtake.

In PostgreSQL, a transaction gets its id and the keys of its events under a lock, which it releases
before it commits. So the ids of transactions and the keys of events have the same order, but a
commit may overtake another one: an event can be visible while an event with a lower key is still
being committed. A client that continues after the higher key would miss the lower one.

PostgreSQL stores with each row the id of the transaction that inserted it, as `xmin`, and each of
its snapshots has the id before which all transactions have ended, also on a replica. An event of
such a transaction is decided: all transactions that got lower keys have lower ids, and have ended
too. So nothing can appear at or below its key any more. The horizon is the highest decided key.

Rows keep 32 bits of an id of 64. A row whose id equals that of a running transaction in these bits
is taken for a row that is not decided: the horizon may be too low for a moment, never too high. The
same applies to events that were moved into a new partition, which gives them a later id.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
)

from .models import Event

current_snapshot = cast(func.pg_current_snapshot(), Text)
"""The snapshot of the statement, as `Snapshot.parse` reads it."""

newest = (
    select(Event.key, literal_column("event.xmin::text", Text).label("transaction"))
    .order_by(Event.key.desc())
    .limit(1)
    .subquery()
)
"""The key of the last event, and the id of its transaction."""

_ID_RANGE = 1 << 32
_ID_MASK = literal_column(str(_ID_RANGE - 1), BigInteger)

_id = literal_column("event.xmin::text::bigint", BigInteger)
_distance = (_id - bindparam("oldest", type_=BigInteger)).op("&")(_ID_MASK)

decided_key = (
    select(Event.key)
    .where(
        Event.key <= bindparam("last", type_=BigInteger),
        _distance >= bindparam("width", type_=BigInteger),
    )
    .order_by(Event.key.desc())
    .limit(1)
)
"""The highest decided key up to a key, for `Snapshot.bounds`."""

was_visible: ColumnElement[bool] = or_(
    Event.key <= bindparam("decided", type_=BigInteger),
    literal_column("event.xmin::text", Text)
    != func.all(func.string_to_array(bindparam("running", type_=Text), ",")),
)
"""Whether an event up to the last key of a snapshot was visible in it, whatever commits later."""


class Snapshot(NamedTuple):
    """The ids of the oldest running and of the next transaction, and of all that are running."""

    oldest: int
    next: int
    running: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Return the snapshot for PostgreSQL's text, such as `10:20:10,14`."""
        oldest, following, running = text.split(":")
        ids = tuple(map(int, running.split(","))) if running else ()
        return cls(int(oldest), int(following), ids)

    @property
    def bounds(self) -> dict[str, Any]:
        """Return the parameters of `decided_key`."""
        return {"oldest": self.oldest, "width": self.next - self.oldest}

    def is_decided(self, transaction: int) -> bool:
        """Return whether a visible row is decided, by the id that it has as `xmin`."""
        return (transaction - self.oldest) % _ID_RANGE >= self.next - self.oldest

    def format_running(self) -> str:
        """Return the ids of the running transactions as rows have them, for `was_visible`."""
        return ",".join(str(number % _ID_RANGE) for number in self.running)
