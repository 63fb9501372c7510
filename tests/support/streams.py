"""A client of event streams."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple

from support.api import EVENTS
from support.server import Server

ACCEPT = "text/event-stream"


class Block(NamedTuple):
    """What a client has received at an empty line: the last id, and an event if there is one."""

    id: str
    event: dict[str, Any] | None


@contextmanager
def open_stream(server: Server, query: str = "", **headers: str) -> Iterator[HTTPResponse]:
    """Yield the response, from which `read_blocks` reads."""
    with closing(HTTPConnection(server.url.removeprefix("http://"), timeout=20)) as peer:
        sent = {"Authorization": f"Bearer {server.key}", "Accept": ACCEPT}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        peer.request("GET", EVENTS + query, headers=sent)
        yield peer.getresponse()


def read_blocks(lines: Iterable[bytes]) -> Iterator[Block]:
    """Yield blocks as `EventSource` interprets them, until the stream ends."""
    last_id, data = "", ""
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "id":
            last_id = value
        elif name == "data":
            data = value
        elif not name and line == b"\n":
            yield Block(last_id, json.loads(data) if data else None)
            data = ""
        else:
            assert name in ("retry", ":"), line


def read_events(lines: Iterable[bytes], number: int) -> list[Block]:
    """Return the next blocks with events."""
    blocks = (block for block in read_blocks(lines) if block.event)
    return [next(blocks) for _ in range(number)]
