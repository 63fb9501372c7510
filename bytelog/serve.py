"""`bytelog serve`: Waitress, errors in the API's shape, and an orderly stop."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import time
from collections.abc import Iterable
from http import HTTPStatus
from threading import BoundedSemaphore
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
from flask import Flask, Response
from greenlet import getcurrent
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from werkzeug.exceptions import BadRequest, HTTPException, default_exceptions
from werkzeug.test import create_environ

from . import db, errors, keys
from .config import (
    CONNECTIONS,
    KEEP_ALIVE_SECONDS,
    MAX_HEADER_BYTES,
    MAX_UPLOAD_BYTES,
    SEND_BUFFER_BYTES,
    SPARE_THREADS,
    STALLED_SECONDS,
    STOP_SECONDS,
)
from .lanes import Lanes
from .writer import Gathered, current_writer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger("bytelog")


class JSONErrorTask(ErrorTask):
    """What Waitress refuses by itself is told in the API's shape too."""

    def execute(self) -> None:
        """Write the answer and close the connection."""
        refused = self.request.error
        error = default_exceptions.get(refused.code, BadRequest)(refused.body)
        if refused.code == HTTPStatus.NOT_IMPLEMENTED:
            error = BadRequest(
                "The body's transfer encoding is not known; send it chunked or whole."
            )
        response = self._answer(error)
        self.status = response.status
        self.response_headers += response.headers.items()
        self.set_close_on_finish()
        self.content_length = response.content_length
        self.write(response.data)

    def _answer(self, error: HTTPException) -> Response:
        app: Flask = self.channel.server.service
        headers = [(name.replace("_", "-"), it) for name, it in self.request.headers.items()]
        with app.request_context(create_environ(headers=headers)):
            return app.process_response(errors.answer(error))


class Channel(HTTPChannel):
    """A connection."""

    error_task_class = JSONErrorTask

    def is_busy(self) -> bool:
        """Tell whether a request is being received, answered or sent."""
        return bool(self.requests or self.request or self.total_outbufs_len)

    def send_continue(self) -> None:
        """Ask for the body, unless the request is refused already."""
        if self.request.error:
            self.request.expect_continue = False
        else:
            super().send_continue()

    def _flush_outbufs_below_high_watermark(self) -> None:
        # Waits for the reader, which one of several requests in a thread must not; its answer is
        # small enough to be kept.
        if not isinstance(getcurrent(), Gathered):
            super()._flush_outbufs_below_high_watermark()


class Listener(TcpWSGIServer):
    """The listening socket and the loop that reads from its connections."""

    channel_class = Channel
    service: Flask

    def pull_trigger(self) -> None:
        """Wake the loop; for gathered requests their lane does it once, when all are answered."""
        if not isinstance(getcurrent(), Gathered):
            super().pull_trigger()

    def maintenance(self, now: float) -> None:
        """Let connections go that are idle, or whose reader takes nothing of its answer."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            if channel.total_outbufs_len and channel.last_activity < now - STALLED_SECONDS:
                channel.will_close = True


class Server:
    """A server that listens; raises OSError when the address cannot be had."""

    def __init__(self, app: Flask, host: str, port: int, threads: int) -> None:
        self._app = app
        self._stopping = False
        self._sockets: dict[int, Any] = {}
        app.extensions["bytelog.places"] = BoundedSemaphore(threads)
        listener = _listen(host, port)
        self.url = _url(host, listener.getsockname()[1])
        self._listener = Listener(
            app,
            map=self._sockets,
            dispatcher=Lanes(threads + SPARE_THREADS, lambda: self._listener.pull_trigger()),
            _sock=listener,
            bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
            sockets=[listener],
            ident="bytelog",
            connection_limit=CONNECTIONS,
            channel_timeout=KEEP_ALIVE_SECONDS,
            max_request_header_size=MAX_HEADER_BYTES,
            max_request_body_size=MAX_UPLOAD_BYTES,
            outbuf_high_watermark=SEND_BUFFER_BYTES,
        )
        self._listener.service = app

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C, then finish the requests in hand."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        _greet(self._app, self.url)
        # What the start left behind stays: without it a full garbage collection is short.
        gc.freeze()
        while not self._stopping:
            self._turn(seconds=1)
        log.info("stopping: finishing the requests in hand")
        self._listener.del_channel()
        self._listener.socket.close()
        deadline = time.monotonic() + STOP_SECONDS
        while self._is_busy() and time.monotonic() < deadline:
            self._turn(seconds=0.1)
        # The last connection to close empties the write-ahead log into the database.
        db.close_pool(db.db.engine)
        current_writer().close()
        log.info("stopped")

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._sockets, count=1)

    def _is_busy(self) -> bool:
        return any(channel.is_busy() for channel in self._listener.active_channels.values())

    def _stop(self, _: int, __: FrameType | None) -> None:
        for again in (signal.SIGTERM, signal.SIGINT):  # the second time ends the process at once
            signal.signal(again, signal.SIG_DFL)
        self._stopping = True
        self._listener.pull_trigger()


class AccessLog:
    """WSGI middleware that logs one line a request; never a header, where the keys are."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        began = time.perf_counter()

        def start(status: str, *rest: Any) -> Any:
            path = quote(environ["PATH_INFO"], encoding="latin-1")
            milliseconds = (time.perf_counter() - began) * 1000
            method, client = environ["REQUEST_METHOD"], environ.get("REMOTE_ADDR", "-")
            log.info("%s %s %s %s %.1f ms", client, method, path, status[:3], milliseconds)
            return start_response(status, *rest)

        return self._app(environ, start)


def set_up_logging() -> None:
    """Log to standard error, one line a message."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Waitress warns of every request that waits for a thread, however shortly.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            f"cannot listen on {host}, port {port}: {reason}. Choose another --host or --port."
        ) from error


def _greet(app: Flask, url: str) -> None:
    click.echo(f"bytelog listens on {url}\nDatabase: {db.path(db.db.engine)}")
    if app.config["BYTELOG_API_KEY"] or keys.listed():
        return
    key = keys.create("first", "default")
    events = f"{url}/api/v1/events -H 'Authorization: Bearer {key}'"
    body = '{"id": 1, "name": "click", "trace_id": "03775690", "data": {"clicked_on": "sign up"}}'
    click.echo(
        f"\nYour first API key, shown only this once:\n\n  {key}\n\n"
        f"Send an event, then read it back:\n\n"
        f"  curl -i {events} -H 'Content-Type: application/json' -d '{body}'\n"
        f"  curl {events}\n"
    )


def _url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
