"""A receiver of webhooks in a thread, which verifies them and responds as a test says."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from standardwebhooks import Webhook

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


class Received(NamedTuple):
    id: str
    timestamp: int
    message: dict[str, Any]

    @property
    def event(self) -> int:
        event_id: int = self.message["data"]["id"]
        return event_id


Answer = tuple[int, Mapping[str, str], bytes]
"""The status, headers and body of a response."""


def accept(_: Received) -> Answer:
    return 204, {}, b""


class Receiver:
    """The messages received so far; `respond` returns the response to each."""

    def __init__(
        self, respond: Callable[[Received], Answer] = accept, tls: ssl.SSLContext | None = None
    ) -> None:
        self.received: list[Received] = []
        self.respond = respond
        self.lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(handler) -> None:  # noqa: N805
                self.handle(handler)

            def log_message(handler, *_: object) -> None:  # noqa: N805
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/events?from=bytelog"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        assert handler.path == "/events?from=bytelog"
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        message = Webhook(SECRET).verify(body, dict(handler.headers))
        timestamp = int(handler.headers["webhook-timestamp"])
        received = Received(handler.headers["webhook-id"], timestamp, message)
        with self.lock:
            self.received.append(received)
        status, headers, content = self.respond(received)
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    @property
    def events(self) -> list[int]:
        return [received.event for received in self.received]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
