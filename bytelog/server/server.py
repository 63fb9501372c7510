"""The server behind `bytelog serve`: it starts, runs the loop, and stops in order."""

from __future__ import annotations

import gc
import logging
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
from flask import Flask
from waitress.task import ThreadedTaskDispatcher

from ..api.reader_slots import slots_of
from ..auth import keys
from ..config import (
    CONNECTIONS,
    MAX_HEADER_BYTES,
    SEND_BUFFER_BYTES,
    STOP_SECONDS,
    STREAMS,
    SetupError,
)
from ..maintenance import retention
from ..storage.database import backend_of, close_readers, db
from ..storage.writer import current_writer
from .bodies import SHARED_BODY_BYTES, UNKNOWN_BODY_BYTES, Quota
from .dispatcher import BUSY_SECONDS, ReadDispatcher, RequestDispatcher, StreamDispatcher
from .listener import Listener
from .loop import Loop

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEAD_THREADS = 2
"""Threads that check keys before bodies are received, if the database or a hook must be asked."""

SHORT_REQUEST_THREADS = 2
"""Threads beside those of long listings, so that a short request never waits for one."""

SERVER_LEADERS = 4
"""Threads that serve short requests if each waits for a database server. Otherwise one does."""

RESERVED_FILE_DESCRIPTORS = 300
"""Open files beside those of connections: the database's, and those of connections that come and
go."""

SAME_SIGNAL_SECONDS = 0.5
"""How long a second signal to stop counts as the first: nobody presses Ctrl-C twice that fast."""


SWITCH_SECONDS = 0.0005
"""How long a thread that decodes a large body may keep others from running; Python's default of
five milliseconds would delay every commit by several times that."""

log = logging.getLogger("bytelog")


class Server:
    """A listening server; raises OSError if it cannot listen on the address."""

    def __init__(self, app: Flask, host: str, port: int, threads: int, prefix: str = "") -> None:
        self._app = app
        self._stop_time = 0.0
        self._loop = Loop()
        slots_of(app).set_limit(threads, STREAMS)
        listening = _listen(host, port)
        self.url = _format_url(host, listening.getsockname()[1])
        self._pages_url = app.config["BYTELOG_URL"] or self.url + prefix
        with app.app_context():
            leaders = SERVER_LEADERS if backend_of(db.engine).is_server else 1
        threads = slots_of(app).capacity + SHORT_REQUEST_THREADS
        self._readers = ReadDispatcher(threads, leaders, self._wake_loop)
        slots_of(app).on_take = self._readers.leave
        streams = StreamDispatcher(slots_of(app).stream_capacity + SHORT_REQUEST_THREADS)
        dispatcher = RequestDispatcher(self._readers, streams, self._wake_loop, prefix)
        self._listener = self._create_listener(listening, dispatcher, prefix)

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C, then finish the requests in progress."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle_signal)
        _print_greeting(self._app, self.url, self._pages_url.rstrip("/"))
        # Startup objects live as long as the process; a full garbage collection need not scan them.
        gc.freeze()
        sys.setswitchinterval(SWITCH_SECONDS)
        with retention.run_in_background(self._app):
            while not self._stop_time:
                self._run_loop(seconds=1)
        log.info("stopping: finishing the requests in progress")
        current_writer().commits.stop_waiting()
        self._listener.del_channel()
        self._listener.socket.close()
        deadline = time.monotonic() + STOP_SECONDS
        while self._is_busy() and time.monotonic() < deadline:
            self._run_loop(seconds=0.1)
        # Closing the last connection moves the write-ahead log into the database file.
        close_readers()
        current_writer().close()
        log.info("stopped")

    def _create_listener(
        self, listening: socket.socket, dispatcher: RequestDispatcher, prefix: str
    ) -> Listener:
        connection_limit = _raise_connection_limit()
        batch_bytes = self._app.config["BYTELOG_BATCH_BYTES"]
        listener = Listener(
            self._app,
            map=self._loop,
            dispatcher=dispatcher,
            _sock=listening,
            bind_socket=False,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            sockets=[listening],
            ident="bytelog",
            url_prefix=prefix,
            connection_limit=connection_limit + RESERVED_FILE_DESCRIPTORS // 2,
            cleanup_interval=1,
            max_request_header_size=MAX_HEADER_BYTES,
            # Waitress refuses a body of this size.
            max_request_body_size=batch_bytes + 1,
            outbuf_high_watermark=SEND_BUFFER_BYTES,
            # A buffer below the watermark gets at most as much again.
            outbuf_overflow=2 * SEND_BUFFER_BYTES,
        )
        listener.service = self._app
        listener.connection_limit = connection_limit
        listener.readers = self._readers
        listener.quota = Quota(max(SHARED_BODY_BYTES, batch_bytes))
        listener.unknown_quota = Quota(UNKNOWN_BODY_BYTES)
        listener.head_dispatcher = ThreadedTaskDispatcher()
        listener.head_dispatcher.set_thread_count(HEAD_THREADS)
        return listener

    def _wake_loop(self) -> None:
        self._listener.trigger.pull_trigger()

    def _run_loop(self, seconds: float) -> None:
        self._loop.run_once(BUSY_SECONDS if self._readers.relieve() else seconds)
        self._listener.check_connections()

    def _is_busy(self) -> bool:
        return any(channel.is_busy() for channel in self._listener.active_channels.values())

    def _handle_signal(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        # Ctrl-C reaches both processes of the executable, and the outer one forwards it: this
        # process gets the signal twice.
        if self._stop_time and now > self._stop_time + SAME_SIGNAL_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._stop_time = self._stop_time or now
        self._listener.pull_trigger()


class AccessLog:
    """WSGI middleware that logs one line per request, and no headers, because they hold keys."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        start = time.perf_counter()

        def log_and_start(status: str, *rest: Any) -> Any:
            path = quote(environ["PATH_INFO"], safe="/*", encoding="latin-1")
            milliseconds = (time.perf_counter() - start) * 1000
            method, client = environ["REQUEST_METHOD"], environ.get("REMOTE_ADDR", "-")
            log.info("%s %s %s %s %.1f ms", client, method, path, status[:3], milliseconds)
            return start_response(status, *rest)

        return self._app(environ, log_and_start)


def set_up_logging() -> None:
    """Log to standard error, one line per message."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Waitress warns about every request that waits for a thread, however briefly.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Every address of the machine includes those of IPv4, which some systems leave out.
        is_dual = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, dualstack_ipv6=is_dual)
    except OSError as error:
        # Python repeats the address after the reason.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise OSError(
            f"cannot listen on {host}, port {port}: {reason}. Choose another --host or --port, "
            "or BYTELOG_HOST or BYTELOG_PORT."
        ) from error


def _print_greeting(app: Flask, url: str, pages_url: str) -> None:
    click.echo(f"bytelog listens on {url}\nDatabase: {backend_of(db.engine).location()}")
    if app.config["BYTELOG_EXPLORER"]:
        click.echo(f"Explorer: {pages_url}/")
    click.echo(f"Documentation: {pages_url}/docs")
    if app.config["BYTELOG_API_KEY"] or keys.list_all():
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


def _raise_connection_limit() -> int:
    # A connection may need a second file, for a long body or response. Linux allows a process
    # 1,024 files unless it asks for more.
    soft_limit, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * CONNECTIONS + RESERVED_FILE_DESCRIPTORS
    if soft_limit < needed:
        soft_limit = needed if hard_limit == resource.RLIM_INFINITY else min(needed, hard_limit)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft_limit, hard_limit))
    limit = min(CONNECTIONS, (soft_limit - RESERVED_FILE_DESCRIPTORS) // 2)
    if limit < 1:
        raise SetupError(
            f"this process may open {soft_limit} files, and bytelog needs at least "
            f"{RESERVED_FILE_DESCRIPTORS + 2}. Raise the limit, for example with `ulimit -n 5000`."
        )
    return limit


def _format_url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
