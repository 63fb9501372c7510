"""Where a follower delivers events, and how a delivery fails."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

PAGE_EVENTS = 500
"""Events that are read at once for standard output: it takes them faster than one at a time."""


class Stopped(Exception):
    """The follower must not go on; the message says why and what to do."""


class Undelivered(Exception):
    """An attempt has failed; the message says why. `seconds` is the least delay before the next.

    `is_refused` if the receiver has rejected this event, so that repeating it may never succeed.
    """

    def __init__(self, reason: str, seconds: float = 0, *, is_refused: bool = False) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.is_refused = is_refused


@dataclass(frozen=True, slots=True)
class Message:
    """Lines of JSON, each an event, and the identifier of the last event."""

    id: str
    lines: bytes


class Target(Protocol):
    """What a follower delivers to: `limit` events in each message."""

    limit: int

    def deliver(self, message: Message) -> None:
        """Deliver a message; raises Undelivered and Stopped."""


class OutputTarget:
    """Standard output, through a function that writes texts."""

    limit = PAGE_EVENTS

    def __init__(self, write: Callable[[Iterable[bytes]], None]) -> None:
        self._write = write

    def deliver(self, message: Message) -> None:
        """Write the lines; raises BrokenPipeError."""
        self._write([message.lines])


class CommandTarget:
    """A shell command, which is run for each event."""

    limit = 1

    def __init__(self, command: str) -> None:
        self._command = command

    def deliver(self, message: Message) -> None:
        """Run the command with the event on its standard input; raises Undelivered."""
        status = subprocess.run(self._command, shell=True, input=message.lines).returncode  # noqa: S602
        if status:
            raise Undelivered(f"the command ended with status {status}")
