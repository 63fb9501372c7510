"""A proxy in front of a real server that simulates failures."""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from support.server import Server

PASSED = {"status": "passed"}


class Request(NamedTuple):
    method: str
    key: str | None
    body: bytes
    moment: float


class Proxy(ThreadingHTTPServer):
    """A proxy that sends given responses to the first requests and forwards all others."""

    daemon_threads = True

    def __init__(self, server: Server, responses: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server = server
        self.responses = iter(responses)
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Log no errors of clients that have disconnected."""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        key = self.headers["Idempotency-Key"]
        self.server.requests.append(Request(self.command, key, body, time.monotonic()))
        response = next(self.server.responses, PASSED)
        match response["status"]:
            case "silent":
                self.server.stopping.wait()
            case int(status):
                content = response.get("body", "").encode()
                headers = {name: value for name, value in response.items() if name.istitle()}
                self._send_response(status, headers, content, len(content))
            case failure:
                self._forward(body, failure)

    do_POST = do_GET  # noqa: N815

    def _forward(self, body: bytes, failure: str) -> None:
        request = urllib.request.Request(
            self.server.server.url + self.path, body or None, dict(self.headers)
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            content, length = response.read(), int(response.headers["Content-Length"])
        if failure == "lost":
            return
        content_to_send = content[: len(content) // 2] if failure == "cut" else content
        headers = {name: response.headers[name] for name in ("Content-Type", "Link")}
        self._send_response(response.status, headers, content_to_send, length)

    def _send_response(
        self, status: int, headers: dict[str, Any], content: bytes, length: int
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def send_header(self, keyword: str, value: str) -> None:
        """Send a header; the value `in 3 s` becomes a date."""
        if wait := re.fullmatch(r"in (\d+) s", value):
            value = formatdate(time.time() + int(wait[1]), usegmt=True)
        super().send_header(keyword, value)

    def log_message(self, *_: object) -> None:
        """Log no requests."""


@contextmanager
def proxy(server: Server, responses: list[dict[str, Any]]) -> Iterator[Proxy]:
    with Proxy(server, responses) as proxy_server:
        thread = threading.Thread(target=proxy_server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield proxy_server
        finally:
            proxy_server.stopping.set()
            proxy_server.shutdown()
            thread.join()
