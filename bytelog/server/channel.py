"""Connections: Waitress's, but for what clients could do to one another."""

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
        """Take bytes; refuses a chunk's size that does not end, which Waitress copies each time."""
        taken: int = super().received(data)
        if self._framing() > MAX_CHUNK_LINE_BYTES and not self.error:
            self.error = utilities.BadRequest("A chunk's size, or the trailer, is too long.")
            self.completed = True
        return taken

    def _framing(self) -> int:
        body = self.body_rcv
        chunked = isinstance(body, ChunkedReceiver)
        return len(body.control_line) + len(body.trailer) if chunked else 0


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
        response = self._send_error(error)
        self.status = response.status
        self.response_headers += response.headers.items()
        self.set_close_on_finish()
        self.content_length = response.content_length
        self.write(response.data)

    def _send_error(self, error: HTTPException) -> Response:
        app: Flask = self.channel.server.service
        headers = [(name.replace("_", "-"), it) for name, it in self.request.headers.items()]
        # No page of the application is there: nothing of the request was understood.
        with app.request_context(create_environ("*", headers=headers)):
            return app.process_response(errors.error_response(error))


class Task(WSGITask):
    """A request that the application answers."""

    def execute(self) -> None:
        """Answer; where that fails midway, see to it that what was sent does not look whole."""
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
        """Tell whether a request is being received, answered or sent."""
        return bool(self.requests or self.request or self.total_outbufs_len)

    def is_waiting(self) -> bool:
        """Tell whether it is the client's turn: to send a request, or the rest of one."""
        return not self.requests and not self.total_outbufs_len

    def has_timed_out(self, now: float) -> bool:
        """Tell whether the client has had its time, to send a request or to take an answer."""
        if self.total_outbufs_len:
            return self.last_activity < now - STALLED_SECONDS
        return self.is_waiting() and self.last_activity < now - KEEP_ALIVE_SECONDS

    def abort(self) -> None:
        """End the connection, whatever its client still has to send or to take."""
        # The loop sees this at once. It would not see `will_close` on a socket that cannot be
        # written to, and a file number that is free in the middle of a turn gets mistaken.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def handle_read(self) -> None:
        """Receive; the time for a request counts from its first byte, not from its latest."""
        begun, since = self.request, self.last_activity
        super().handle_read()
        if begun and self.request is begun:
            self.last_activity = since

    def handle_write(self) -> None:
        """Send, and let a request go on that was paused until there is room for its response."""
        super().handle_write()
        if self.is_paused:
            with self.requests_lock:
                if self.total_outbufs_len <= SEND_BUFFER_BYTES:
                    self.is_paused = False
                    self.server.add_task(self)

    def check_client_disconnected(self) -> bool:
        """Tell whether the client has gone: nobody reads from it while it waits for its answer."""
        try:
            return not self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def handle_close(self) -> None:
        """Close; an answer that broke off ends in a reset, or to HTTP/1.0 it would look whole."""
        if self.is_broken:
            at_once = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        super().handle_close()

    def send_continue(self) -> None:
        """Ask for the body, unless the request is refused already."""
        if self.request.error:
            self.request.expect_continue = False
        else:
            super().send_continue()

    def write_soon(self, data: bytes) -> int:
        """Send a part of an answer; waits for a slow reader, as a long listing has a thread to.

        One of several requests in a thread must not; its answer is small enough to be kept.
        """
        if not isinstance(getcurrent(), BatchedRequest):
            super()._flush_outbufs_below_high_watermark()
        written: int = super().write_soon(data)
        return written

    def _flush_outbufs_below_high_watermark(self) -> None:
        # Between two requests of a connection the second is held, in Listener; no thread waits.
        pass


class Listener(TcpWSGIServer):
    """The listening socket and the loop that reads from its connections."""

    channel_class = Channel
    service: Flask
    connection_limit: int

    def add_task(self, task: Channel) -> None:
        """Queue a request, or hold it until the answers before it are on their way."""
        if task.total_outbufs_len > SEND_BUFFER_BYTES:
            task.is_paused = True
        else:
            super().add_task(task)

    def pull_trigger(self) -> None:
        """Wake the loop; for gathered requests their lane does it once, when all are answered."""
        if not isinstance(getcurrent(), BatchedRequest):
            super().pull_trigger()

    def handle_accept(self) -> None:
        """Take in those who knock; of too many connections, those that waited longest end."""
        for _ in range(ACCEPTS_PER_LOOP):
            before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                break
        surplus = len(self.active_channels) - self.connection_limit
        if surplus > 0:
            waiting = [it for it in self.active_channels.values() if it.is_waiting()]
            for channel in sorted(waiting, key=lambda it: it.last_activity)[:surplus]:
                channel.abort()

    def maintenance(self, now: float) -> None:
        """End the connections whose clients had their time."""
        for channel in self.active_channels.values():
            if channel.has_timed_out(now):
                channel.abort()
