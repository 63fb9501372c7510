"""The rate limit of each key: BYTELOG_RATE_LIMIT; there is none unless it is set."""

from __future__ import annotations

import math
import time
from typing import cast

from flask import Flask, current_app
from werkzeug.exceptions import TooManyRequests

from ..config import SetupError


class RateLimit:
    """A number of requests in a sliding window of time, for each holder; raises SetupError."""

    def __init__(self, text: str) -> None:
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import SlidingWindowCounterRateLimiter

        try:
            self._limit = parse(text)
        except ValueError as error:
            raise SetupError(
                f"BYTELOG_RATE_LIMIT is not a rate: {text!r}. Write it like `100 per minute`."
            ) from error
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, holder: object) -> None:
        """Count a request of a key's holder; raises TooManyRequests over the limit."""
        if self._limiter.hit(self._limit, str(holder)):
            return
        reset_time = self._limiter.get_window_stats(self._limit, str(holder)).reset_time
        raise TooManyRequests(
            f"The rate limit of the API key is {self._limit}; try again later.",
            retry_after=max(1, math.ceil(reset_time - time.time())),
        )


def init_app(app: Flask) -> None:
    """Give the application its rate limit; raises SetupError if the setting is not a rate."""
    text = app.config["BYTELOG_RATE_LIMIT"]
    app.extensions["bytelog.rate_limit"] = RateLimit(text) if text else None


def count(holder: object) -> None:
    """Count a request of a key's holder; raises TooManyRequests over the limit."""
    limit = cast("RateLimit | None", current_app.extensions["bytelog.rate_limit"])
    if limit:
        limit.count(holder)
