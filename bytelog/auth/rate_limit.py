"""The rate limits: of each key, if BYTELOG_RATE_LIMIT is set, and of wrong keys, always."""

from __future__ import annotations

import math
import re
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, cast

from flask import Flask, current_app
from werkzeug.exceptions import TooManyRequests

from ..config import SetupError

if TYPE_CHECKING:
    from limits import RateLimitItem

WRONG_KEYS_PER_SECOND = 100
"""Wrong keys of one address in a second that get 401: a person makes few mistakes, and a program
with an old key must not fill the log."""

_RATE = re.compile(
    r"([1-9]\d{0,8}) *(?:/|per) *(?:([1-9]\d{0,8}) *)?(?:second|minute|hour|day|month|year)s?",
    re.ASCII | re.IGNORECASE,
)


class RateLimit:
    """Numbers of requests in sliding windows of time, for each holder; raises SetupError."""

    def __init__(self, text: str) -> None:
        from limits.storage import MemoryStorage
        from limits.strategies import SlidingWindowCounterRateLimiter

        self._limits = [_parse_rate(rate.strip()) for rate in re.split("[;,]", text)]
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, holder: object) -> None:
        """Count a request of a key's holder; raises TooManyRequests over a limit."""
        # A request that one limit refuses does not count against the others.
        if len(self._limits) > 1:
            for limit in self._limits:
                if not self._limiter.test(limit, str(holder)):
                    raise self._create_error(limit, holder)
        for limit in self._limits:
            if not self._limiter.hit(limit, str(holder)):
                raise self._create_error(limit, holder)

    def _create_error(self, limit: RateLimitItem, holder: object) -> TooManyRequests:
        reset_time = self._limiter.get_window_stats(limit, str(holder)).reset_time
        return TooManyRequests(
            f"The rate limit of the API key is {limit}; try again later.",
            retry_after=max(1, math.ceil(reset_time - time.time())),
        )


class WindowCounts:
    """Numbers in the current window of some seconds, by name.

    Counts are kept for one window, so that memory stays small whatever strangers send.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._window = 0
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> int:
        """Count one more of a name; returns its number in the window, from 1 on."""
        window = int(time.monotonic() // self._seconds)
        with self._lock:
            if window != self._window:
                self._window = window
                self._counts.clear()
            self._counts[name] += 1
            return self._counts[name]


def init_app(app: Flask) -> None:
    """Give the application its rate limits; raises SetupError if the setting is not a rate."""
    app.extensions["bytelog.wrong_keys"] = WindowCounts(1)
    text = app.config["BYTELOG_RATE_LIMIT"]
    app.extensions["bytelog.rate_limit"] = RateLimit(text) if text else None


def count(holder: object) -> None:
    """Count a request of a key's holder; raises TooManyRequests over the limit."""
    limit = cast("RateLimit | None", current_app.extensions["bytelog.rate_limit"])
    if limit:
        limit.count(holder)


def count_wrong_key(address: str) -> None:
    """Count a wrong key from an address; raises TooManyRequests above the limit."""
    counts = cast("WindowCounts", current_app.extensions["bytelog.wrong_keys"])
    if counts.add(address) > WRONG_KEYS_PER_SECOND:
        raise TooManyRequests(
            f"More than {WRONG_KEYS_PER_SECOND} requests in a second came from this address "
            "with a wrong API key; check the key.",
            retry_after=1,
        )


def _parse_rate(text: str) -> RateLimitItem:
    from limits import parse

    if not _RATE.fullmatch(text):
        raise SetupError(
            f"BYTELOG_RATE_LIMIT is not a rate: {text!r}. Write it like `100 per minute`, or"
            " like `100 per minute; 5 per second` for several."
        )
    return parse(text)
