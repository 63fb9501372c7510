"""Requests while they are being received: Waitress's parser, strict about where each one ends."""

from __future__ import annotations

import re
from io import BytesIO
from typing import IO, Any

from waitress import utilities
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from werkzeug.exceptions import HTTPException, HTTPVersionNotSupported

from .bodies import Body, Quota, explain

MAX_CHUNK_LINE_BYTES = 1024
"""Bytes of the line with a chunk's size, and of a trailer: bytelog uses neither's extensions."""

MAX_HOST_BYTES = 255
"""Bytes of the header `Host`: a name in the DNS has at most 253 characters."""

ONE_READ_BYTES = 8192
"""Size of a body that usually arrives with its headers, in one read."""

# A name, an IPv4 address, or an IPv6 address in brackets (RFC 3986 section 3.2.2), and a port.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|([\w.~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(:\d{0,5})?", re.A)
_TRANSFER_ENCODING = re.compile(rb"\ntransfer-encoding:[ \t]*(.*?)[ \t]*(?:\r|\Z)", re.I)


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

    def __init__(self, adj: Any, quota: Quota, unknown_quota: Quota) -> None:
        super().__init__(adj)
        self._quota = quota
        self._unknown_quota = unknown_quota
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
        """Parse the request line and the headers; rejects what leaves the request's end in doubt.

        Another server on the way could see the end elsewhere (RFC 9112 section 11.2).
        """
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            self._refuse_number_or_url(error)
            return
        if self.version not in ("1.0", "1.1"):
            self._reject(HTTPVersionNotSupported("Use HTTP/1.1 or HTTP/1.0."))
            return
        self._check_transfer_encoding(header_plus)
        self._check_host()
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
        elif not self.environment:  # No access has been granted yet.
            self.body_rcv.getbuf().use(self._unknown_quota)

    def _refuse_number_or_url(self, error: ValueError) -> None:
        if self.headers.get("CONTENT_LENGTH", "").isdecimal() and hasattr(self, "path"):
            self._reject(utilities.RequestEntityTooLarge("The body is too large."))
        else:
            self._reject(utilities.BadRequest(f"The URL is invalid: {error}."))

    def _check_transfer_encoding(self, header_plus: bytes) -> None:
        codings = _TRANSFER_ENCODING.findall(header_plus)
        if b"\r\n " in header_plus or b"\r\n\t" in header_plus:
            self._reject(utilities.BadRequest("A header continues on a second line."))
        elif codings and self.version == "1.0":
            self._reject(utilities.BadRequest("HTTP/1.0 has no Transfer-Encoding."))
        elif codings and [coding.lower() for coding in codings] != [b"chunked"]:
            self._reject(utilities.BadRequest("Transfer-Encoding must be `chunked`, once."))
        elif codings and "CONTENT_LENGTH" in self.headers:
            detail = "Send either Content-Length or Transfer-Encoding, not both."
            self._reject(utilities.BadRequest(detail))

    def _check_host(self) -> None:
        host = self.headers.get("HOST", "" if self.version == "1.1" else "x")
        if len(host) > MAX_HOST_BYTES or not _HOST.fullmatch(host):
            self._reject(utilities.BadRequest("Send one valid Host header (RFC 9112 section 3.2)."))

    def _reject(self, error: object) -> None:
        # Without a body the request is complete, and nothing that follows is taken for one.
        self.error = error
        self.body_rcv, self.chunked, self.content_length = None, False, 0

    def _count_framing_bytes(self) -> int:
        body = self.body_rcv
        is_chunked = isinstance(body, ChunkedReceiver)
        return len(body.control_line) + len(body.trailer) if is_chunked else 0
