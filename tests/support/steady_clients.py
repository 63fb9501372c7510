"""Clients that record and follow events until they are stopped, whatever fails meanwhile."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Thread

from support.api import CLICK, EVENTS
from support.server import Server

PAUSE_SECONDS = 0.1


class Recorder(Thread):
    """A client that records numbered events, and repeats each until it is acknowledged."""

    def __init__(self, server: Server, numbers: Iterator[int]) -> None:
        super().__init__()
        self.acknowledged: list[tuple[float, int]] = []
        self.statuses: set[str] = set()
        self._server = server
        self._numbers = numbers
        self._done = Event()

    def run(self) -> None:
        for number in self._numbers:
            while not self._record(number):
                if self._done.wait(PAUSE_SECONDS):
                    return
            if self._done.wait(PAUSE_SECONDS):
                return

    def _record(self, number: int) -> bool:
        body = json.dumps({**CLICK, "id": number}).encode()
        response = self._server.request(EVENTS, body, Idempotency_Key=str(number))
        self.statuses.add(f"{response.status} {response.headers['Retry-After']}")
        if response.status == 201:
            self.acknowledged.append((time.monotonic(), number))
        return response.status == 201

    def stop(self) -> list[int]:
        self._done.set()
        self.join()
        return [number for _, number in self.acknowledged]


class Follower(Thread):
    """A client that follows arrivals, with a cursor."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.numbers: list[int] = []
        self._server = server
        self._done = Event()

    def run(self) -> None:
        path = f"{EVENTS}?order=arrival&limit=1000"
        while True:
            is_last = self._done.is_set()
            self._done.wait(PAUSE_SECONDS)
            with suppress(http.client.IncompleteRead):  # The leader died while it was read.
                response = self._server.request(path)
                if response.status == 503 and not is_last:
                    continue
                events = json.loads(response.body)["events"]
                self.numbers += [event["id"] for event in events]
                path = EVENTS + re.findall(r'<([^>]*)>; rel="next"', response.headers["Link"])[0]
                if is_last and not events:
                    return

    def stop(self) -> list[int]:
        self._done.set()
        self.join()
        return self.numbers
