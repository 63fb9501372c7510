"""Requests while they are being received: Waitress's parser, with bounded bodies."""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any

from waitress import utilities
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from werkzeug.exceptions import HTTPException

from .bodies import Body, Quota, explain

MAX_CHUNK_LINE_BYTES = 1024
"""Bytes of the line with a chunk's size, and of a trailer: bytelog uses neither's extensions."""

ONE_READ_BYTES = 8192
"""Size of a body that usually arrives with its headers, in one read."""


class Parser(HTTPRequestParser):
    """A request while it is being received."""

    error: Any
    completed: bool
    headers: dict[str, str]
    body_rcv: Any
    chunked: bool
    content_length: int
    expect_continue: bool
    is_admitted = False
    needs_body = True
    environment: dict[str, Any]

    def __init__(self, adj: Any, quota: Quota) -> None:
        super().__init__(adj)
        self._quota = quota
        self.environment = {}

    def received(self, data: bytes) -> int:
        """Parse data and return how many of its bytes belong to this request.

        Rejects a chunk size line or a trailer above MAX_CHUNK_LINE_BYTES: Waitress copies an
        unfinished one with every piece that arrives.
        """
        try:
            consumed: int = super().received(data)
        except HTTPException as error:
            self.refuse(error)
            return len(data)
        except OSError as error:
            self.refuse(explain(error))
            return len(data)
        if self._count_framing_bytes() > MAX_CHUNK_LINE_BYTES and not self.error:
            self.refuse(utilities.BadRequest("A chunk's size, or the trailer, is too long."))
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the request line and the headers."""
        super().parse_header(header_plus)
        if self.body_rcv is not None:
            self.body_rcv.buf = Body(self._quota)

    def get_body_stream(self) -> IO[bytes]:
        """Return the body, or an empty file if it has not been received."""
        is_received = self.completed and not self.error and self.body_rcv is not None
        stream: IO[bytes] = self.body_rcv.getfile() if is_received else BytesIO()
        return stream

    def is_checkable(self) -> bool:
        """Return whether the headers have arrived, and the body is still to be admitted."""
        return self.headers_finished and not self.completed and not self.is_admitted

    def is_large(self) -> bool:
        """Return whether the body may be large, or the client waits before it sends the body."""
        return self.chunked or self.expect_continue or self.content_length > ONE_READ_BYTES

    def refuse(self, error: object) -> None:
        """End the request with an error, and delete what has been received of its body."""
        self.error = error
        self.completed = True
        self.close()

    def admit(self) -> None:
        """Receive the body; without buffering it, if nothing reads it."""
        self.is_admitted = True
        if not self.needs_body:
            self.body_rcv.getbuf().discard()
            self.headers["CONTENT_LENGTH"] = "0"

    def _count_framing_bytes(self) -> int:
        body = self.body_rcv
        is_chunked = isinstance(body, ChunkedReceiver)
        return len(body.control_line) + len(body.trailer) if is_chunked else 0
