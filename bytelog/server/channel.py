"""Connections: Waitress's, with limits on what one client can do to the others."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import time
from contextlib import suppress
from copy import copy
from functools import partial
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, Any

from greenlet import getcurrent
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel

from ..auth.refusals import MustWait
from ..config import KEEP_ALIVE_SECONDS, MAX_BODY_BYTES, SEND_BUFFER_BYTES
from ..storage.batched_requests import BatchedRequest
from .head_check import HeadCheck, find_error
from .parser import Parser
from .tasks import RefusalTask, Task

STALLED_SECONDS = 60
"""How long a reader may take nothing of a response before its connection is closed."""

LINGER_SECONDS = 5
"""How long a refused client that sends nothing may take to read the response."""

UPLOAD_BYTES = 4 * MAX_BODY_BYTES
"""Bytes beyond the largest batch that are still read, and dropped, after a refusal: a client that
is sending when the connection breaks does not see the error response."""

TLS_HANDSHAKE = b"\x16\x03"
"""How a TLS connection starts (RFC 8446 section 5.1)."""


class Channel(HTTPChannel):
    """A connection."""

    task_class = Task
    error_task_class = RefusalTask
    adj: Any
    request: Any
    is_paused = False
    is_broken = False
    is_checking = False
    is_refused = False
    is_lingering = False
    waiting_since = 0.0
    _dropped_bytes = 0
    _linger_start = 0.0
    _unread_bytes = 0

    @property
    def parser_class(self) -> Any:
        """Return what creates a request that counts its body against the server's quota."""
        server = self.server
        return partial(Parser, quota=server.quota, unknown_quota=server.unknown_quota)

    @property
    def last_activity(self) -> float:
        """Return the monotonic time of the last activity: Waitress's clock may be set."""
        return self._last_activity

    @last_activity.setter
    def last_activity(self, _: float) -> None:
        self._last_activity = self.waiting_since = time.monotonic()

    def send_at_once(self) -> None:
        """Send each part of a response when it is written, and notice when the client vanishes.

        Waitress collects 18,000 bytes. A client that vanished acknowledges nothing, and the system
        would try for a quarter of an hour.
        """
        self.adj = copy(self.adj)
        self.adj.send_bytes = 1
        # The connection may be closed by now, and only Linux has the option (RFC 5482).
        with suppress(OSError, AttributeError):
            timeout = socket.TCP_USER_TIMEOUT
            self.socket.setsockopt(socket.IPPROTO_TCP, timeout, STALLED_SECONDS * 1000)

    def is_busy(self) -> bool:
        """Return whether a request is being received or handled, or a response is being sent."""
        return bool(self.requests or self.request or self.total_outbufs_len)

    def is_waiting(self) -> bool:
        """Return whether the client has not sent a complete request yet."""
        return not (self.requests or self.total_outbufs_len)

    def has_timed_out(self, now: float) -> bool:
        """Return whether the client took too long to send a request or to read a response."""
        if self.total_outbufs_len:
            self._note_progress()
            return self.last_activity < now - STALLED_SECONDS
        if self.is_lingering and self._linger_start < now - KEEP_ALIVE_SECONDS:
            return True
        limit = LINGER_SECONDS if self.is_lingering else KEEP_ALIVE_SECONDS
        is_late = self.is_waiting() and not self.is_checking
        return is_late and self.last_activity < now - limit

    def abort(self) -> None:
        """Shut the connection down; unsent and unreceived data is lost."""
        # The loop notices the shutdown at once. It would not act on `will_close` while the socket
        # cannot be written to. Closing here would free the file descriptor, and a new connection
        # could get it, and events of the old one, within the same pass of the loop.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def readable(self) -> bool:
        """Return whether to receive data; a body waits until its headers have been checked."""
        return not self.is_checking and bool(super().readable())

    def handle_read(self) -> None:
        """Receive data; the time limit of a request starts with its first byte, not its latest.

        What is received does not change how long the connection has been waiting.
        """
        if self.is_lingering:
            self._drop_data()
            return
        request, last_activity = self.request, self._last_activity
        waiting_since = self.waiting_since
        super().handle_read()
        self.waiting_since = waiting_since
        if request and self.request is request:
            self._last_activity = last_activity

    def received(self, data: bytes) -> bool:
        """Parse data; check the headers of a request whose body may be large before it arrives."""
        if self.request is None and data.startswith(TLS_HANDSHAKE):
            self.abort()
            return False
        is_received = bool(super().received(data))
        if self.request and self.request.is_large():
            self.check_head()
        return is_received

    def check_head(self) -> None:
        """Check the headers of a request whose body has not arrived, unless that has been done."""
        if self.is_checking or not self.request or not self.request.is_checkable():
            return
        try:
            error = find_error(self, self.request, may_wait=False)
        except MustWait:
            self.is_checking = True
            self.server.head_dispatcher.add_task(HeadCheck(self))
        else:
            self.finish_head_check(self.request, error)

    def finish_head_check(self, request: Parser, error: Exception | None) -> None:
        """Go on receiving a request, or refuse it; only the loop calls this."""
        self.is_checking = False
        with self.requests_lock:
            if not self.connected:
                return
            if error:
                request.refuse(error)
                self.request = None
                self.requests.append(request)
                if len(self.requests) == 1:
                    self.server.add_task(self)
                return
            request.admit()
            if request.expect_continue and not self.requests and not self.sent_continue:
                self.send_continue()

    def handle_write(self) -> None:
        """Send data, and resume a paused request when the buffer has room for its response."""
        if self.is_refused and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len and self.connected:
                self._linger()
            return
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
        # There is no socket once the loop has closed it, at any moment.
        except (OSError, AttributeError):
            return True

    def handle_close(self) -> None:
        """Close the connection, with a reset if the response ended too early.

        The end of the connection is also the end of an HTTP/1.0 response: without a reset an
        incomplete one would look complete.
        """
        if self.is_broken and self.connected:
            zero_timeout = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, zero_timeout)
        if self.request:
            self.request.close()
        super().handle_close()

    def send_continue(self) -> None:
        """Ask the client for the body, once the request is admitted."""
        if self.request.completed:
            self.request.expect_continue = False
        elif self.request.is_admitted:
            super().send_continue()

    def write_soon(self, data: bytes) -> int:
        """Queue a part of a response to be sent; in a listing's thread, wait for a slow reader.

        A batched request does not wait, because others share its thread; its response is small
        enough to be buffered.
        """
        if not isinstance(getcurrent(), BatchedRequest):
            super()._flush_outbufs_below_high_watermark()
        content = data if len(data) < SEND_BUFFER_BYTES else _spool(data)
        written: int = super().write_soon(content)
        return written

    def _flush_outbufs_below_high_watermark(self) -> None:
        # Waitress also calls this between two requests of a connection, where it would block the
        # thread. `Listener.add_task` pauses the second request instead.
        pass

    def _note_progress(self) -> None:
        # A socket of which little has been read takes no data for minutes, while a slow but steady
        # reader empties it. So ask how much the peer has not acknowledged yet.
        number = bytes(4)
        with suppress(OSError):  # The socket may be broken.
            number = fcntl.ioctl(self.socket, termios.TIOCOUTQ, number)
        (unread_bytes,) = struct.unpack("i", number)
        if unread_bytes != self._unread_bytes:
            self._unread_bytes = unread_bytes
            self._last_activity = time.monotonic()

    def _linger(self) -> None:
        # Closing while data is arriving would reset the connection, and the client could lose the
        # response (RFC 9112 section 9.6).
        self.close_when_flushed = False
        self.is_lingering = True
        self._linger_start = time.monotonic()
        if self.request:
            self.request.close()
            self.request = None
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def _drop_data(self) -> None:
        try:
            data = self.recv(self.adj.recv_bytes)
        except OSError:
            data = b""
        self._dropped_bytes += len(data)
        self._last_activity = time.monotonic()
        if not data or self._dropped_bytes > self.adj.max_request_body_size + UPLOAD_BYTES:
            self.handle_close()


def _spool(data: bytes) -> ReadOnlyFileBasedBuffer:
    # Waitress would corrupt the response if TMPDIR is full.
    try:
        file: IO[bytes] = TemporaryFile()  # noqa: SIM115
        file.write(data)
        file.seek(0)
    except OSError:
        file = BytesIO(data)
    buffer = ReadOnlyFileBasedBuffer(file)
    buffer.prepare()
    return buffer
