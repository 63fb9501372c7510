from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from support.server import wait_for

from bytelog.server.dispatcher import WAKE_REQUESTS, ReadDispatcher, StreamDispatcher


class Connection:
    """A connection with a request that runs a function."""

    def __init__(self, handle: Callable[[], object]) -> None:
        self._handle = handle
        self.thread = 0
        self.sends_at_once = False

    def send_at_once(self) -> None:
        self.sends_at_once = True

    def service(self) -> None:
        self.thread = threading.get_ident()
        self._handle()


@pytest.fixture
def wakes() -> list[int]:
    return []


@pytest.fixture
def dispatcher(wakes: list[int]) -> ReadDispatcher:
    new = ReadDispatcher(3, 1, lambda: wakes.append(len(new.queue)))
    return new


def queue(dispatcher: ReadDispatcher | StreamDispatcher, handle: Callable[[], object]) -> Any:
    connection: Any = Connection(handle)
    dispatcher.add_task(connection)
    return connection


def test_one_thread_serves_all_queued_requests(
    dispatcher: ReadDispatcher, wakes: list[int]
) -> None:
    gate = threading.Event()
    connections = [queue(dispatcher, gate.wait) for _ in range(WAKE_REQUESTS + 2)]
    gate.set()
    wait_for(lambda: len(wakes) == 2)
    assert len({connection.thread for connection in connections}) == 1
    # The first responses are sent before the last requests are served.
    assert wakes == [2, 0]


def test_a_request_that_takes_long_lets_the_next_be_served(dispatcher: ReadDispatcher) -> None:
    gate = threading.Event()

    def read_long() -> None:
        dispatcher.leave()
        assert not dispatcher.is_leading()
        gate.wait()

    first, second = queue(dispatcher, read_long), queue(dispatcher, dispatcher.is_leading)
    wait_for(lambda: second.thread)
    assert first.thread != second.thread
    gate.set()


def test_a_request_that_turns_out_to_take_long_is_relieved(dispatcher: ReadDispatcher) -> None:
    gate = threading.Event()
    first, second = queue(dispatcher, gate.wait), queue(dispatcher, dispatcher.is_leading)
    wait_for(lambda: not dispatcher.relieve())
    wait_for(lambda: second.thread)
    assert first.thread != second.thread
    gate.set()


def test_the_thread_that_was_idle_last_serves_the_next_request(dispatcher: ReadDispatcher) -> None:
    threads = set()
    for _ in range(6):
        connection = queue(dispatcher, dispatcher.leave)
        wait_for(lambda: len(dispatcher._idle) == 3)  # noqa: SLF001
        threads.add(connection.thread)
    assert len(threads) <= 2


def test_a_thread_for_streams_starts_when_none_is_idle_up_to_the_limit() -> None:
    dispatcher, gate = StreamDispatcher(2), threading.Event()
    first = queue(dispatcher, int)
    wait_for(lambda: first.thread and not dispatcher.active_count)
    assert len(dispatcher.threads) == 1
    streams = [queue(dispatcher, gate.wait) for _ in range(3)]
    wait_for(lambda: len(dispatcher.threads) == 2 and len(dispatcher.queue) == 1)
    assert all(stream.sends_at_once for stream in streams)
    gate.set()
    wait_for(lambda: all(stream.thread for stream in streams))
