"""HTTP connections to a receiver, with a deadline for each request."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Timer
from typing import NamedTuple

from . import addresses

REQUEST_SECONDS = 20.0
"""How long a receiver may take for a response: Standard Webhooks recommends 15 to 30."""

MAX_RESPONSE_BYTES = 64 * 1024
"""A longer response is not read to its end, and its connection is closed."""


class Response(NamedTuple):
    """A response: its status, `Retry-After`, and the beginning of its body."""

    status: int
    retry_after: str
    body: bytes


class _Checked(HTTPConnection):
    """A connection to an address that was checked, which another thread can shut down."""

    def __init__(self, host: str, port: int | None, *, allows_private: bool) -> None:
        super().__init__(host, port)
        self.allows_private = allows_private
        self.deadline = 0.0
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        """Connect; `http.client` calls this for the first request."""
        sock = addresses.connect(
            self.host, self.port, self.deadline, allows_private=self.allows_private
        )
        # A copy: TLS takes the socket over, and `self.sock` has none during the handshake.
        self._socket = sock.dup()
        # The timeout of each read; a timer limits the whole request.
        sock.settimeout(REQUEST_SECONDS)
        self.sock = sock

    def shut_down(self) -> None:
        """End a request that another thread waits for."""
        # The other thread may close it meanwhile.
        if connected := self._socket:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        super().close()
        if self._socket:
            self._socket.close()
            self._socket = None


class _CheckedTLS(HTTPSConnection, _Checked):
    """The same with TLS, for which `HTTPSConnection.connect` wraps the socket of `_Checked`."""

    def __init__(self, host: str, port: int | None, *, allows_private: bool) -> None:
        _Checked.__init__(self, host, port, allows_private=allows_private)
        self._context = ssl.create_default_context()


class Connection:
    """A connection to a receiver that is kept open between requests."""

    def __init__(self, host: str, port: int | None, *, is_tls: bool, allows_private: bool) -> None:
        connection = _CheckedTLS if is_tls else _Checked
        self._http = connection(host, port, allows_private=allows_private)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send a request and return its response.

        Raises PrivateAddress, OSError and HTTPException.
        """
        is_reused = self._http.sock is not None
        try:
            return self._post(path, body, headers)
        except ConnectionError:
            # A receiver may close an idle connection at any moment.
            if not is_reused:
                raise
        return self._post(path, body, headers)

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Response:
        self._http.deadline = time.monotonic() + REQUEST_SECONDS
        timer = Timer(REQUEST_SECONDS, self._http.shut_down)
        timer.start()
        try:
            self._http.request("POST", path, body, headers)
            response = self._http.getresponse()
            content = response.read(MAX_RESPONSE_BYTES)
        except (OSError, HTTPException) as error:
            self._http.close()
            if time.monotonic() >= self._http.deadline:
                raise TimeoutError(f"no response within {REQUEST_SECONDS:g} seconds") from error
            raise
        finally:
            timer.cancel()
        if not response.isclosed():
            self._http.close()
        return Response(response.status, response.getheader("Retry-After", ""), content)
