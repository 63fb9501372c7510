"""Clients that post while a command runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.api import CLICK, EVENTS
from support.server import Server

TODAY = 10_000_000  # ids from here on are of events that came in while a command ran


@contextmanager
def posting(server: Server) -> Iterator[list[int]]:
    """Post one event after the other, and see that each is acknowledged; gives the ids so far."""
    acknowledged: list[int] = []
    refused: list[object] = []
    stopping = threading.Event()

    def post() -> None:
        while not stopping.is_set():
            number = TODAY + len(acknowledged) + len(refused)
            event = {**CLICK, "id": number, "trace_id": f"{number % 97}"}
            del event["date"]
            try:
                answer = server.request(EVENTS, json.dumps(event).encode())
                (acknowledged if answer.status == 201 else refused).append(number)
            except OSError as error:
                refused.append(error)

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield acknowledged
    finally:
        stopping.set()
        thread.join()
    assert refused == []
    assert acknowledged
