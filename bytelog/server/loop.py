"""The loop that waits for the sockets of a server."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel


class Loop(dict[int, Any]):
    """Waitress's map of sockets by their file descriptors, which waits for those in it.

    Waitress's own loop asks every socket before each wait what it waits for. Here the system
    remembers that for connections that are idle, so thousands of them cost nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._poller, self._poll = _create_poller()
        self._events: dict[int, int] = {}
        # The sockets that may wait for something else by now.
        self._changing: dict[int, Any] = {}

    def __setitem__(self, descriptor: int, socket: Any) -> None:
        """Add a socket."""
        super().__setitem__(descriptor, socket)
        self._changing[descriptor] = socket

    def __delitem__(self, descriptor: int) -> None:
        """Remove a socket, before it is closed."""
        super().__delitem__(descriptor)
        self._changing.pop(descriptor, None)
        self._wait_for(descriptor, 0)

    def run_once(self, seconds: float) -> None:
        """Wait for events, at most for some seconds, and let the sockets handle them."""
        for descriptor, socket in list(self._changing.items()):
            self._update(descriptor, socket)
        sockets = [(self[descriptor], events) for descriptor, events in self._poll(seconds)]
        for socket, events in sockets:
            descriptor = socket._fileno  # noqa: SLF001
            # Another socket's event may have closed this one, and opened a new one.
            if self.get(descriptor) is socket:
                self._changing[descriptor] = socket
                wasyncore.readwrite(socket, events)

    def _update(self, descriptor: int, socket: Any) -> None:
        events = select.POLLIN * bool(socket.readable())
        if socket.writable() and not socket.accepting:
            events |= select.POLLOUT
        self._wait_for(descriptor, events)
        if events == select.POLLIN and _is_idle(socket):
            del self._changing[descriptor]

    def _wait_for(self, descriptor: int, events: int) -> None:
        before = self._events.get(descriptor, 0)
        if events == before:
            return
        if not events:
            self._poller.unregister(descriptor)
            del self._events[descriptor]
            return
        (self._poller.modify if before else self._poller.register)(descriptor, events)
        self._events[descriptor] = events


def _is_idle(socket: Any) -> bool:
    """Return whether nothing but data can make a socket wait for something else."""
    return isinstance(socket, HTTPChannel) and not (socket.requests or socket.request)


def _create_poller() -> tuple[Any, Callable[[float], list[tuple[int, int]]]]:
    """Return a poller, and a function that waits for some seconds and returns its events."""
    if hasattr(select, "epoll"):  # Linux, where its events have the values of those of poll.
        epoll = select.epoll()
        return epoll, epoll.poll
    poll = select.poll()
    return poll, lambda seconds: poll.poll(seconds * 1000)
