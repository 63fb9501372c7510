"""Events that another event should have followed in their trace within a time.

The events are taken in order of arrival, and each is held until its time is over: so one cursor is
the whole state. An event is held for longer if one with a later date arrived before it.

A trace is reported once: with its first event, by arrival, that no target has followed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from .. import timestamps
from ..api.cursors import identify_event
from ..events import store
from ..maintenance.snapshots import run_interruptibly
from ..queries.formats import LINES
from ..queries.selection import Selection, equal
from ..storage.keyset import Order

_TICK = timedelta(milliseconds=1)
"""The precision of dates."""


class _Event(msgspec.Struct):
    trace_id: str
    date: datetime


_decode_event = msgspec.json.Decoder(_Event).decode


@dataclass(frozen=True, slots=True)
class Expectation:
    """That each event of a selection is followed by one named `target` within some seconds."""

    selection: Selection
    target: str
    seconds: int

    def is_overdue(self, identifier: str, line: bytes, wait: Callable[[float], None]) -> bool:
        """Return whether the trace of an event is overdue, and the event is the one to report.

        Calls `wait` with the seconds until that can be known. Raises StorageError.
        """
        event = _decode_event(line)
        within = timedelta(seconds=self.seconds)
        left = event.date + within - timestamps.now()
        # A clock that is ahead must not hold the follower up.
        wait(min(left, within).total_seconds())
        return run_interruptibly(lambda: self._is_first_overdue(identifier, event))

    def _is_first_overdue(self, identifier: str, event: _Event) -> bool:
        """Return whether no target follows an event, nor any event of its trace before it."""
        target = self._find_last_target(event.trace_id)
        if target and target >= event.date:
            return False
        start = self.selection.start
        if target:
            start = max(target + _TICK, start or target)
        waiting = replace(
            self.selection,
            filters=(*self.selection.filters, equal("trace_id", event.trace_id)),
            order=Order.ARRIVAL,
            start=start,
            limit=1,
        )
        first = store.select(waiting, LINES).next
        return first is not None and identify_event(first) == identifier

    def _find_last_target(self, trace_id: str) -> datetime | None:
        """Return the date of the last target in a trace, None if there is none."""
        targets = Selection(
            self.selection.project_id,
            filters=(equal("trace_id", trace_id), equal("name", self.target)),
            order=Order.NEWEST,
            limit=1,
        )
        lines = LINES.postprocess(b"".join(store.select(targets, LINES).pages))
        return _decode_event(lines).date if lines else None
