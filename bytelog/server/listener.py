"""The listening socket: it accepts connections, and closes those that take too long."""

from __future__ import annotations

import time

from flask import Flask
from greenlet import getcurrent
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from ..config import SEND_BUFFER_BYTES
from ..storage.batched_requests import BatchedRequest
from .bodies import Quota
from .channel import Channel
from .dispatcher import ReadDispatcher

ACCEPTS_PER_LOOP = 50
"""Connections accepted before the open ones are served again."""


class Listener(TcpWSGIServer):
    """The listening socket and the loop that reads from its connections."""

    channel_class = Channel
    service: Flask
    connection_limit: int
    quota: Quota
    unknown_quota: Quota
    readers: ReadDispatcher
    head_dispatcher: ThreadedTaskDispatcher
    _next_check = 0.0

    def add_task(self, task: Channel) -> None:
        """Queue a connection's next request, or pause it until earlier responses are sent."""
        # Waitress calls this with `requests_lock`. The loop may empty the buffer at any moment, so
        # pause before reading its size: then the loop sees the pause, and waits for the lock.
        task.is_paused = True
        if task.total_outbufs_len <= SEND_BUFFER_BYTES:
            task.is_paused = False
            super().add_task(task)

    def pull_trigger(self) -> None:
        """Wake the loop; for short requests, their dispatcher wakes it once for several."""
        if not (isinstance(getcurrent(), BatchedRequest) or self.readers.is_leading()):
            super().pull_trigger()

    def handle_accept(self) -> None:
        """Accept pending connections; over the limit, close those that have waited longest."""
        for _ in range(ACCEPTS_PER_LOOP):
            count = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == count:
                break
        surplus = len(self.active_channels) - self.connection_limit
        if surplus > 0:
            waiting = [channel for channel in self.active_channels.values() if channel.is_waiting()]
            for channel in sorted(waiting, key=lambda channel: channel.waiting_since)[:surplus]:
                channel.abort()

    def maintenance(self, now: float) -> None:
        """Do nothing: Waitress calls this by a clock that may be set."""

    def check_connections(self) -> None:
        """Abort the connections that have timed out; check the headers of bodies that are late."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + self.adj.cleanup_interval
        for channel in list(self.active_channels.values()):
            if channel.has_timed_out(now):
                channel.abort()
            else:
                channel.check_head()
