"""Requests whose bodies are prepared before the measurement."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from bytelog.storage.backend import Row

from . import database, wrk
from .figures import Run


class Sender:
    """Sends the same events to each service, `size` of them in a body."""

    def __init__(
        self, run: Run, url: str, body: Callable[[list[Row]], str], size: int, clients: int
    ) -> None:
        self._url = url
        self._size = size
        self._clients = clients
        self._bodies = run.folder / f"{body.__name__}.jsonl"
        self.requests = 0
        rows = database.generate_rows(run.events)
        with self._bodies.open("w") as file:
            while part := list(islice(rows, size)):
                file.write(body(part) + "\n")

    def send(self, seconds: int) -> float:
        """Send for a number of seconds; returns the number of stored events per second."""
        load = wrk.send(self._url, self._bodies, self.requests, self._clients, seconds)
        wrk.check([load])
        self.requests += load.requests
        return load.rate * self._size
