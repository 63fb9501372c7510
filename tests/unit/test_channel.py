from __future__ import annotations

import socket
import threading
from types import SimpleNamespace
from typing import Any

from waitress.adjustments import Adjustments

from bytelog.config import SEND_BUFFER_BYTES
from bytelog.server.channel import Channel
from bytelog.server.listener import Listener


class DrainedChannel(Channel):
    """A connection whose buffer the loop empties while a worker thread reads its size."""

    def __init__(self, server: Listener) -> None:
        self.server = server
        self.requests = ["request"]
        self.requests_lock = threading.Lock()
        self.adj = SimpleNamespace(send_bytes=1)
        self.loop = threading.Thread(target=self.handle_write)

    @property
    def total_outbufs_len(self) -> int:
        if self.loop.ident:
            return 0
        self.loop.start()
        self.loop.join(0.1)
        return SEND_BUFFER_BYTES + 1


def test_a_broken_connection_can_be_closed_by_its_client_and_by_the_server() -> None:
    server, client = socket.socketpair()
    listener: Any = SimpleNamespace(active_channels={})
    with server, client:
        channel = Channel(listener, server, ("", 0), Adjustments(), map={})
        channel.is_broken = True
        # Sending fails and closes the connection; then the loop does what the request wanted.
        channel.handle_close()
        channel.handle_close()
        # The thread of the request asks at any time.
        assert channel.check_client_disconnected()
    assert listener.active_channels == {}


def test_a_request_is_resumed_if_the_buffer_empties_while_it_is_being_paused() -> None:
    queue: list[Any] = []
    listener = Listener.__new__(Listener)
    listener.task_dispatcher = SimpleNamespace(add_task=queue.append)
    channel = DrainedChannel(listener)
    with channel.requests_lock:
        listener.add_task(channel)
    channel.loop.join()
    assert queue == [channel]
    assert not channel.is_paused
