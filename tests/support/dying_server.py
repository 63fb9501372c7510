"""A server that dies between the commit and the response."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
from http.client import HTTPException

import pytest

from support.api import EVENTS
from support.server import Server, wait_for

_DIES_BEFORE_THE_RESPONSE = """
import os, signal
from bytelog import __main__
from bytelog.events import store
record = store.record
def record_and_die(*arguments):
    record(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
store.record = record_and_die
__main__.main()
"""


def post_to_dying_server(server: Server, body: bytes, key: str) -> None:
    """Stop a server, post to one in its place that dies before it responds, and start it again."""
    server.stop()
    port = server.url.rpartition(":")[2]
    with subprocess.Popen(
        [sys.executable, "-c", _DIES_BEFORE_THE_RESPONSE, "serve", "--port", port],
        env=os.environ | server.environment,
        stdout=subprocess.DEVNULL,
    ) as dying:
        wait_for(lambda: server.request("/healthz").status == 200)
        with pytest.raises((urllib.error.URLError, ConnectionError, HTTPException)):
            server.request(EVENTS, body, Idempotency_Key=key)
        assert dying.wait(10) == -9
    server.start()
