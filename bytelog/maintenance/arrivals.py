"""Events in the order of their arrival, for the commands that follow them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from ..config import MAX_ID, MAX_WAIT_SECONDS
from ..events import store
from ..queries.formats import LINES, Format
from ..queries.listing import Listing
from ..queries.selection import Cursor, Selection
from ..storage.keyset import Order
from ..storage.reader import ReadLimits
from .snapshots import run_interruptibly

BEGINNING = Cursor(0)
"""The position before all events."""


def find_end(selection: Selection) -> Cursor:
    """Return the position after all events; raises StorageError."""
    at_end = replace(selection, order=Order.ARRIVAL, cursor=Cursor(MAX_ID), limit=1)
    return store.select(at_end, LINES).next or BEGINNING


def follow(
    selection: Selection,
    format_: Format,
    position: Cursor,
    limits: ReadLimits,
    seconds: int = MAX_WAIT_SECONDS,
) -> Iterator[Listing]:
    """Yield listings of the events that arrive after a position, until the client has gone.

    A listing is empty if none has arrived within the seconds. Its cursor is the position after it.
    Raises StorageError, and CursorGone if the event of the position was lost.
    """
    selection = replace(selection, order=Order.ARRIVAL, wait=seconds)
    while not limits.is_gone():
        following = replace(selection, cursor=position)
        arrivals = run_interruptibly(partial(store.wait_for, following, format_, limits))
        yield arrivals
        position = arrivals.next or position
