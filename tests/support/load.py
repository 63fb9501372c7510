"""Clients that post while a command runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.api import CLICK, EVENTS
from support.server import Server

TODAY = 10_000_000  # the first id of events posted while a command runs


@contextmanager
def posting(server: Server) -> Iterator[list[int]]:
    """Post single events, and check that each is acknowledged; yields the list of their ids."""
    acknowledged: list[int] = []
    refused: list[object] = []
    stopping = threading.Event()

    def post() -> None:
        while not stopping.is_set():
            number = TODAY + len(acknowledged) + len(refused)
            event = {**CLICK, "id": number, "trace_id": f"{number % 97}"}
            del event["date"]
            try:
                response = server.request(EVENTS, json.dumps(event).encode())
                (acknowledged if response.status == 201 else refused).append(number)
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
