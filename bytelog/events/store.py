"""Recording and reading events: the one path to the table of events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Engine

from .. import timestamps
from ..config import POLL_SECONDS
from ..queries import listing, paths, summary
from ..queries.formats import Format
from ..queries.listing import Listing
from ..queries.paths import Paths
from ..queries.selection import Bucket, Order, Selection
from ..queries.summary import Summary
from ..storage.backend import Row
from ..storage.database import db, read_engine
from ..storage.writer import IdempotencyToken, current_writer
from .schemas import EventFields


def record(
    project_id: int, events: Sequence[EventFields], token: IdempotencyToken | None = None
) -> None:
    """Store events, all or none; returns when they are on the disk, raises StorageError if not.

    With `token` a repetition returns without storing; raises RequestInProgress and
    IdempotencyKeyReused.
    """
    current_writer().append([to_row(project_id, event) for event in events], token)


def to_row(project_id: int, event: EventFields) -> Row:
    """Return an event as the table keeps it."""
    date = timestamps.format_utc(event["date"])
    return (project_id, event["id"], event["name"], event["trace_id"], date, event["data"])


def select(selection: Selection, format_: Format) -> Listing:
    """List the events that were selected; raises StorageError."""
    return listing.read(_choose_reader(selection), selection, format_)


def is_long(selection: Selection, format_: Format) -> bool:
    """Tell whether a listing has more than a page, without counting it; raises StorageError."""
    return listing.is_long(read_engine(), selection, format_)


def count_lag() -> int:
    """Return how many events a replica has yet to hear of; raises StorageError."""
    return listing.last_key(db.engine) - listing.last_key(read_engine())


def _choose_reader(selection: Selection) -> Engine:
    # A replica that is not as far as the cursor would send its reader back to what it has had.
    replica = read_engine()
    if replica is db.engine or selection.order is not Order.ARRIVAL or not selection.cursor:
        return replica
    return replica if listing.last_key(replica) >= selection.cursor.key else db.engine


def count(selection: Selection, bucket: Bucket) -> Summary:
    """Count the events that were selected, by name and bucket; raises StorageError.

    Raises ValidationError for more than MAX_GROUPS counts.
    """
    return summary.count(read_engine(), selection, bucket)


def count_paths(selection: Selection) -> Paths:
    """Count which of the selected events follow each other in their traces; raises StorageError.

    Raises ValidationError for more than MAX_GROUPS pairs of names.
    """
    return paths.count(read_engine(), selection)


def wait_for(selection: Selection, format_: Format, is_gone: Callable[[], bool]) -> Listing:
    """List the events that were selected as soon as there is one, or after `wait` seconds.

    A client that `is_gone` waits no longer. Raises StorageError.
    """
    writer, deadline = current_writer(), time.monotonic() + selection.wait
    while True:
        groups = writer.commit_count()
        found = select(selection, format_)
        seconds = deadline - time.monotonic()
        if found.count or seconds <= 0 or writer.is_stopping or is_gone():
            return found
        if found.next:  # What has been looked at need not be looked at again.
            selection = replace(selection, cursor=found.next)
        writer.wait_for_commit(groups, min(seconds, POLL_SECONDS))


def is_empty() -> bool:
    """Tell whether no project has an event; raises StorageError."""
    return listing.last_key(db.engine) == 0


def ping() -> None:
    """Ask the database for an event; raises StorageError when it does not answer."""
    listing.last_key(db.engine)
