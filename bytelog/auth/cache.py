"""A cache of what the database says about keys and projects, which saves most requests a query."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from .refusals import MustWait

CACHE_SECONDS = 0.5
"""How long an entry is trusted without asking the database: revocation takes effect within a
second."""

CACHE_ENTRIES = 1000
"""Entries of a cache; when there are more, it starts empty again."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """A cache of what a function returns for an argument. None is not cached."""

    def __init__(self, look_up: Callable[[K], V | None]) -> None:
        self._look_up = look_up
        self._entries: dict[K, tuple[V | None, float]] = {}

    def find(self, argument: K, may_wait: bool = True) -> V | None:
        """Return what the function returns for an argument.

        Raises MustWait if the database has to be asked and the caller may not wait.
        """
        value, trusted_until = self._entries.get(argument, (None, 0.0))
        if time.monotonic() < trusted_until:
            return value
        if not may_wait:
            raise MustWait
        value = self._look_up(argument)
        self._entries.pop(argument, None)
        if value is not None:
            if len(self._entries) >= CACHE_ENTRIES:
                self._entries.clear()
            self._entries[argument] = (value, time.monotonic() + CACHE_SECONDS)
        return value
