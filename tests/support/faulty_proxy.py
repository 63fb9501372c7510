"""A proxy before a real server that does what such a server cannot be made to do."""

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
    """Gives the first requests the answers that are named, and passes all others on."""

    daemon_threads = True

    def __init__(self, server: Server, answers: list[dict[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server = server
        self.answers = iter(answers)
        self.requests: list[Request] = []
        self.stopping = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that have gone."""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        key = self.headers["Idempotency-Key"]
        self.server.requests.append(Request(self.command, key, body, time.monotonic()))
        answer = next(self.server.answers, PASSED)
        match answer["status"]:
            case "silent":
                self.server.stopping.wait()
            case int(status):
                content = answer.get("body", "").encode()
                headers = {name: value for name, value in answer.items() if name.istitle()}
                self._answer(status, headers, content, len(content))
            case fate:
                self._pass_on(body, fate)

    do_POST = do_GET  # noqa: N815

    def _pass_on(self, body: bytes, fate: str) -> None:
        request = urllib.request.Request(
            self.server.server.url + self.path, body or None, dict(self.headers)
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            content, length = answer.read(), int(answer.headers["Content-Length"])
        if fate == "lost":
            return
        kept = content[: len(content) // 2] if fate == "cut" else content
        headers = {name: answer.headers[name] for name in ("Content-Type", "Link")}
        self._answer(answer.status, headers, kept, length)

    def _answer(self, status: int, headers: dict[str, Any], content: bytes, length: int) -> None:
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
        """Keep quiet."""


@contextmanager
def proxy(server: Server, answers: list[dict[str, Any]]) -> Iterator[Proxy]:
    with Proxy(server, answers) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield made
        finally:
            made.stopping.set()
            made.shutdown()
            thread.join()
