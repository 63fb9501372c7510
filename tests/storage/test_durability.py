from __future__ import annotations

import json
import random
import signal
import threading
import time
import urllib.error
from http.client import HTTPException

import pytest
from support.api import CLICK, EVENTS
from support.effort import LONG
from support.server import Server

pytestmark = pytest.mark.slow

WRITERS, ROUNDS = 4, 100 if LONG else 5


def write_until_killed(server: Server, writer: int, round_: int, acknowledged: list[str]) -> None:
    for number in range(100_000):
        trace_id = f"{round_}-{writer}-{number}"
        try:
            body = json.dumps({**CLICK, "trace_id": trace_id}).encode()
            if server.request(EVENTS, body).status == 201:
                acknowledged.append(trace_id)
        except (urllib.error.URLError, ConnectionError, HTTPException):
            return


@pytest.mark.long
def test_no_acknowledged_event_is_lost_when_the_server_is_killed(server: Server) -> None:
    acknowledged: list[str] = []
    for round_ in range(ROUNDS):
        writers = [
            threading.Thread(target=write_until_killed, args=(server, writer, round_, acknowledged))
            for writer in range(WRITERS)
        ]
        for thread in writers:
            thread.start()
        time.sleep(random.uniform(0.1, 0.5))
        server.stop(signal.SIGKILL)
        for thread in writers:
            thread.join()
        server.start()
    stored = [event["trace_id"] for event in json.loads(server.request(EVENTS).body)["events"]]
    assert len(acknowledged) > ROUNDS * WRITERS
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    # Each writer has at most one event that was stored without a response.
    assert len(stored) <= len(acknowledged) + ROUNDS * WRITERS
