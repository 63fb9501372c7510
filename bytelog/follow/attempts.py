"""When a delivery that failed is repeated, and when an event is given up."""

from __future__ import annotations

import random
import time

from .target import Undelivered

FIRST_DELAY_SECONDS = 1.0
"""Delay after the first failure. It doubles with each failure."""

MAX_DELAY_SECONDS = 60.0
"""Longest delay, unless the receiver asks for a longer one."""

REFUSED_SECONDS = 300.0
"""How long an event that the receiver refuses is repeated: a faulty deployment is soon undone."""


class Attempts:
    """The attempts to deliver one message."""

    def __init__(self) -> None:
        self._delay = FIRST_DELAY_SECONDS
        self._refused_since: float | None = None

    def next_delay(self, failure: Undelivered) -> float | None:
        """Return the seconds until the next attempt, None if the event is given up."""
        # Without the random part, all followers would return to a receiver at the same moment.
        delay = max(random.uniform(self._delay / 2, self._delay), failure.seconds)  # noqa: S311
        self._delay = min(2 * self._delay, MAX_DELAY_SECONDS)
        if not failure.is_refused:
            self._refused_since = None
            return delay
        now = time.monotonic()
        self._refused_since = self._refused_since or now
        left = self._refused_since + REFUSED_SECONDS - now
        return min(delay, left) if left > 0 else None
