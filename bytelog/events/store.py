"""Recording and reading events: the only path from the API to the table of events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Engine

from ..queries import (
    arrivals,
    funnel,
    grouping,
    listing,
    names,
    path_changes,
    paths,
    summary,
    traces,
)
from ..queries.arrivals import Arrivals
from ..queries.buckets import Buckets
from ..queries.formats import Format
from ..queries.funnel import FunnelCounts
from ..queries.grouping import Grouping, Groups
from ..queries.listing import Listing
from ..queries.matching import matches
from ..queries.names import Names
from ..queries.path_changes import Changes
from ..queries.paths import Paths, Scope
from ..queries.selection import CursorGone, Filter, Selection
from ..queries.summary import Summary
from ..queries.trace_selection import Funnel, TraceSelection
from ..queries.traces import TracePage
from ..storage import message_ids
from ..storage.database import backend_of, db, read_engine
from ..storage.deduplication import IsVisible
from ..storage.idempotency import IdempotencyToken
from ..storage.keyset import Order
from ..storage.reader import NO_LIMITS, Reader, ReadLimits
from ..storage.writer import current_writer
from .schemas import EventFields

T = TypeVar("T")

POLL_SECONDS = 0.5
"""How often a waiting request checks for events that another process has stored."""


def record(
    project_id: int,
    events: Sequence[EventFields],
    token: IdempotencyToken | None = None,
    bound: Sequence[Filter] = (),
) -> None:
    """Store events, all or none; returns when they are on the disk.

    Stores nothing if the token is already stored. All events match `bound`, and are repetitions
    only of events that match it. Raises StorageError if nothing was stored, RequestInProgress and
    IdempotencyKeyReused.
    """
    rows = [(project_id, *event) for event in events]
    current_writer().append(rows, token, is_visible=_find_visible(bound))


def record_messages(
    project_id: int,
    source: str,
    messages: Sequence[tuple[str | None, EventFields]],
    bound: Sequence[Filter] = (),
) -> None:
    """Store the events of messages whose ids are not known; returns when they are on the disk.

    A message is its id in the source, None without one, and its event. `bound` is that of `record`.
    Raises StorageError if nothing was stored.
    """
    keys = [message_id and message_ids.key_of(source, message_id) for message_id, _ in messages]
    rows = [(project_id, *event) for _, event in messages]
    current_writer().append(rows, message_keys=keys, is_visible=_find_visible(bound))


def select(selection: Selection, format_: Format, limits: ReadLimits = NO_LIMITS) -> Listing:
    """List the selected events; raises StorageError and CursorGone."""
    return _read(selection, limits, lambda reader: listing.read(reader, selection, format_))


def read_arrivals(selection: Selection, limits: ReadLimits) -> Arrivals:
    """Read the first selected events that arrived after the cursor, or without a cursor none.

    Raises StorageError and CursorGone.
    """
    return _read(selection, limits, lambda reader: arrivals.read(reader, selection))


def is_long(selection: Selection, format_: Format, limits: ReadLimits) -> bool:
    """Return whether a listing exceeds a page, without counting it all; raises StorageError."""
    return listing.is_long(Reader(read_engine(), limits), selection, format_)


def count_lag() -> int:
    """Return the number of events that the replica has not received; raises StorageError."""
    lag = listing.last_key(Reader(db.engine)) - listing.last_key(Reader(read_engine()))
    return max(lag, 0)  # The replica may still have the last event after it was deleted.


def read_horizon_age() -> float:
    """Return how many seconds ago the transaction began that the latest arrivals wait for.

    NaN if bytelog may not see it, 0 if there is no transaction. Raises StorageError.
    """
    with backend_of(db.engine).errors(), db.engine.connect() as connection:
        oldest = backend_of(db.engine).maintenance.find_oldest_transaction(connection)
    if oldest is None:
        return 0
    return math.nan if oldest.seconds is None else oldest.seconds


def count(selection: Selection, buckets: Buckets, limits: ReadLimits) -> Summary:
    """Count the selected events by name and bucket.

    Raises StorageError, and TooManyGroups for more than MAX_GROUPS counts.
    """
    return summary.count(Reader(read_engine(), limits), selection, buckets)


def count_groups(selection: Selection, by: Grouping, limits: ReadLimits) -> Groups:
    """Count the selected events in groups.

    Raises StorageError, and TooManyGroups for more than MAX_GROUPS groups.
    """
    return grouping.count_groups(Reader(read_engine(), limits), selection, by)


def list_names(selection: Selection, limits: ReadLimits) -> Names:
    """Return the names of the selected events, and the members of the newest of these events.

    Raises StorageError, and TooManyGroups for more than MAX_GROUPS names.
    """
    return names.list_names(Reader(read_engine(), limits), selection)


def count_paths(selection: Selection, scope: Scope, limits: ReadLimits) -> Paths:
    """Count how often each name follows another in the selected traces or events.

    Raises StorageError, and TooManyGroups for more than MAX_GROUPS pairs of names.
    """
    return paths.count(Reader(read_engine(), limits), selection, scope)


def compare_paths(
    selection: Selection, against: Selection, scope: Scope, limits: ReadLimits
) -> Changes:
    """Compare what follows what in two selections; raises StorageError and TooManyGroups."""
    counts = count_paths(selection, scope, limits), count_paths(against, scope, limits)
    return path_changes.compare(*counts)


def list_traces(selection: TraceSelection, limit: int, limits: ReadLimits) -> TracePage:
    """List the selected traces, the newest first; raises StorageError."""
    return traces.read(Reader(read_engine(), limits), selection, limit)


def count_funnel(selection: Selection, steps: Funnel, limits: ReadLimits) -> FunnelCounts:
    """Count how many of the selected traces reach each step; raises StorageError."""
    return funnel.count(Reader(read_engine(), limits), selection, steps)


def wait_for(selection: Selection, format_: Format, limits: ReadLimits) -> Listing:
    """List the selected events as soon as there is one, or after `wait` seconds.

    Returns earlier if the client has gone, or the server stops. Raises StorageError.
    """
    commits, deadline = current_writer().commits, time.monotonic() + selection.wait
    while True:
        commit_count = commits.count
        events = select(selection, format_, limits)
        seconds = deadline - time.monotonic()
        if events.count or seconds <= 0 or commits.is_stopping or limits.is_gone():
            return events
        if events.next:  # Do not examine the same events again.
            selection = replace(selection, cursor=events.next)
        commits.wait(commit_count, min(seconds, POLL_SECONDS))


def is_empty() -> bool:
    """Return whether no project has an event; raises StorageError."""
    return listing.last_key(Reader(db.engine)) == 0


def ping() -> None:
    """Raise StorageError if events cannot be read or cannot be stored."""
    listing.last_key(Reader(db.engine))
    current_writer().check()


def _find_visible(bound: Sequence[Filter]) -> IsVisible | None:
    """Return which stored events may be repeated, by their data; None for all.

    The other fields of a bound need no check: repeated events have equal ones.
    """
    filters = [filter_ for filter_ in bound if filter_.path[0] == "data"]
    return (lambda data: matches({"data": data}, filters)) if filters else None


def _read(selection: Selection, limits: ReadLimits, read: Callable[[Reader], T]) -> T:
    engine = _choose_engine(selection)
    try:
        return read(Reader(engine, limits))
    except CursorGone:
        if engine is db.engine:
            raise
        # A replica that has not received the event of the cursor does not know its epoch.
        return read(Reader(db.engine, limits))


def _choose_engine(selection: Selection) -> Engine:
    # A replica that has not received the event of the cursor would return an earlier cursor, and
    # later repeat events.
    replica = read_engine()
    if replica is db.engine or selection.order is not Order.ARRIVAL or not selection.cursor:
        return replica
    return replica if listing.last_key(Reader(replica)) >= selection.cursor.key else db.engine
