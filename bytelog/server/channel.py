"""Connections: Waitress's, with limits on what one client can do to the others."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from flask import Flask, Response
from greenlet import getcurrent
from waitress import utilities
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask
from werkzeug.exceptions import BadRequest, HTTPException, default_exceptions
from werkzeug.test import create_environ

from ..api import errors
from ..config import KEEP_ALIVE_SECONDS, SEND_BUFFER_BYTES
from ..storage.writer import BatchedRequest

ACCEPTS_PER_LOOP = 50
"""Connections accepted before the open ones are served again."""

MAX_CHUNK_LINE_BYTES = 1024
"""Bytes of the line with a chunk's size, and of a trailer: bytelog uses neither's extensions."""

STALLED_SECONDS = 60
"""How long a reader may take nothing of a response before its connection is closed."""


class Parser(HTTPRequestParser):
    """A request while it is being received."""

    error: Any
    completed: bool

    def received(self, data: bytes) -> int:
        """Parse data and return how many of its bytes belong to this request.

        Rejects a chunk size line or a trailer above MAX_CHUNK_LINE_BYTES: Waitress copies an
        unfinished one with every piece that arrives.
        """
        consumed: int = super().received(data)
        if self._count_framing_bytes() > MAX_CHUNK_LINE_BYTES and not self.error:
            self.error = utilities.BadRequest("A chunk's size, or the trailer, is too long.")
            self.completed = True
        return consumed

    def _count_framing_bytes(self) -> int:
        body = self.body_rcv
        is_chunked = isinstance(body, ChunkedReceiver)
        return len(body.control_line) + len(body.trailer) if is_chunked else 0


class JSONErrorTask(ErrorTask):
    """A request that Waitress rejects itself; the response has the format of the API's errors."""

    def execute(self) -> None:
        """Write the response and close the connection."""
        refusal = self.request.error
        error = default_exceptions.get(refusal.code, BadRequest)(refusal.body)
        if refusal.code == HTTPStatus.NOT_IMPLEMENTED:
            error = BadRequest(
                "The body's transfer encoding is not supported; use chunked, or Content-Length."
            )
        response = self._build_response(error)
        self.status = response.status
        self.response_headers += response.headers.items()
        self.set_close_on_finish()
        self.content_length = response.content_length
        self.write(response.data)

    def _build_response(self, error: HTTPException) -> Response:
        app: Flask = self.channel.server.service
        headers = [(name.replace("_", "-"), value) for name, value in self.request.headers.items()]
        # `*` matches no page of the application: the request's own path may not have been parsed.
        with app.request_context(create_environ("*", headers=headers)):
            return app.process_response(errors.error_response(error))


class Task(WSGITask):
    """A request that the application handles."""

    def execute(self) -> None:
        """Run the application; mark the connection as broken if the response ends too early."""
        try:
            super().execute()
        except Exception:
            self.channel.is_broken = self.wrote_header
            raise


class Channel(HTTPChannel):
    """A connection."""

    task_class = Task
    parser_class = Parser
    error_task_class = JSONErrorTask
    last_activity: float
    is_paused = False
    is_broken = False

    def is_busy(self) -> bool:
        """Return whether a request is being received or handled, or a response is being sent."""
        return bool(self.requests or self.request or self.total_outbufs_len)

    def is_waiting(self) -> bool:
        """Return whether the server waits for the client to send a request or its remainder."""
        return not self.requests and not self.total_outbufs_len

    def has_timed_out(self, now: float) -> bool:
        """Return whether the client took too long to send a request or to read a response."""
        if self.total_outbufs_len:
            return self.last_activity < now - STALLED_SECONDS
        return self.is_waiting() and self.last_activity < now - KEEP_ALIVE_SECONDS

    def abort(self) -> None:
        """Shut the connection down; unsent and unreceived data is lost."""
        # The loop notices the shutdown at once. It would not act on `will_close` while the socket
        # cannot be written to. Closing here would free the file descriptor, and a new connection
        # could get it, and events of the old one, within the same pass of the loop.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def handle_read(self) -> None:
        """Receive data; the time limit of a request starts with its first byte, not its latest."""
        request, last_activity = self.request, self.last_activity
        super().handle_read()
        if request and self.request is request:
            self.last_activity = last_activity

    def handle_write(self) -> None:
        """Send data, and resume a paused request when the buffer has room for its response."""
        super().handle_write()
        if self.is_paused:
            with self.requests_lock:
                if self.is_paused:
                    self.server.add_task(self)

    def check_client_disconnected(self) -> bool:
        """Return whether the client closed the connection.

        Waitress would not notice: its loop does not read from a connection during a request.
        """
        try:
            return not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def handle_close(self) -> None:
        """Close the connection, with a reset if the response ended too early.

        The end of the connection is also the end of an HTTP/1.0 response: without a reset an
        incomplete one would look complete.
        """
        if self.is_broken:
            zero_timeout = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, zero_timeout)
        super().handle_close()

    def send_continue(self) -> None:
        """Ask the client for the body, unless the request has already been rejected."""
        if self.request.error:
            self.request.expect_continue = False
        else:
            super().send_continue()

    def write_soon(self, data: bytes) -> int:
        """Queue a part of a response to be sent; in a listing's thread, wait for a slow reader.

        A batched request does not wait, because others share its thread; its response is small
        enough to be buffered.
        """
        if not isinstance(getcurrent(), BatchedRequest):
            super()._flush_outbufs_below_high_watermark()
        written: int = super().write_soon(data)
        return written

    def _flush_outbufs_below_high_watermark(self) -> None:
        # Waitress also calls this between two requests of a connection, where it would block the
        # thread. `Listener.add_task` pauses the second request instead.
        pass


class Listener(TcpWSGIServer):
    """The listening socket and the loop that reads from its connections."""

    channel_class = Channel
    service: Flask
    connection_limit: int

    def add_task(self, task: Channel) -> None:
        """Queue a connection's next request, or pause it until earlier responses are sent."""
        # Waitress calls this with `requests_lock`. The loop may empty the buffer at any moment, so
        # pause before reading its size: then the loop sees the pause, and waits for the lock.
        task.is_paused = True
        if task.total_outbufs_len <= SEND_BUFFER_BYTES:
            task.is_paused = False
            super().add_task(task)

    def pull_trigger(self) -> None:
        """Wake the loop; for batched requests, WriteDispatcher wakes it once per batch."""
        if not isinstance(getcurrent(), BatchedRequest):
            super().pull_trigger()

    def handle_accept(self) -> None:
        """Accept pending connections; over the limit, close those that have waited longest."""
        for _ in range(ACCEPTS_PER_LOOP):
            count = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == count:
                break
        surplus = len(self.active_channels) - self.connection_limit
        if surplus > 0:
            waiting = [channel for channel in self.active_channels.values() if channel.is_waiting()]
            for channel in sorted(waiting, key=lambda channel: channel.last_activity)[:surplus]:
                channel.abort()

    def maintenance(self, now: float) -> None:
        """Abort the connections that have timed out."""
        for channel in self.active_channels.values():
            if channel.has_timed_out(now):
                channel.abort()
