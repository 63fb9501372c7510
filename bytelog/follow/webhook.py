"""Webhooks: each event is the body of a signed request (https://www.standardwebhooks.com)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from importlib.metadata import version
from urllib.parse import SplitResult, urlsplit, urlunsplit

import msgspec

from .addresses import PrivateAddress, resolve
from .connection import Connection, Response
from .target import Message, Stopped, Undelivered

MAX_RETRY_AFTER_SECONDS = 86400.0
"""Longest delay that a receiver can ask for."""

MAX_REASON_BYTES = 200
"""Bytes of a response's body that are kept as its reason."""

_URL = re.compile(r"[!-~]+")
"""No white space, and no characters that a request has to encode."""

_RETRIED = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
"""The 4xx that say nothing about the event."""


class InvalidTarget(Exception):
    """The URL or the secret cannot be used; the message says why and what to do."""


class _Event(msgspec.Struct):
    name: str
    date: str


_decode_event = msgspec.json.Decoder(_Event).decode


class WebhookTarget:
    """A URL that gets a request for each event."""

    limit = 1

    def __init__(self, url: str, secret: str, suffix: str, *, allows_private: bool) -> None:
        """Check the arguments; `suffix` follows the name of an event in the type of its message.

        Raises InvalidTarget.
        """
        try:
            from standardwebhooks import Webhook
        except ImportError as error:
            raise InvalidTarget(
                "--post needs a package. Install it: pip install 'bytelog[webhooks]'"
            ) from error
        self._sign = Webhook(secret).sign
        self._suffix = suffix
        self._agent = f"bytelog/{version('bytelog')}"
        parts = _split(url, allows_private=allows_private)
        self._host = str(parts.hostname)
        self._path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        is_tls = parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        self._connection = Connection(
            self._host, port, is_tls=is_tls, allows_private=allows_private
        )
        _check_host(self._host, port, allows_private=allows_private)

    def deliver(self, message: Message) -> None:
        """Send an event; raises Undelivered, and Stopped if no event is to be sent any more."""
        body = write_body(message.lines, self._suffix)
        try:
            response = self._connection.post(self._path, body, self._write_headers(message, body))
        except PrivateAddress as error:
            raise Stopped(str(error)) from error
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise Undelivered(f"{self._host} cannot be reached: {reason}") from error
        self._judge(response)

    def _write_headers(self, message: Message, body: bytes) -> Mapping[str, str]:
        now = datetime.now(UTC)
        return {
            "Content-Type": "application/json",
            "User-Agent": self._agent,
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._sign(message.id, now, body.decode()),
        }

    def _judge(self, response: Response) -> None:
        """Raise Undelivered or Stopped unless the receiver has accepted the event."""
        status = response.status
        if 200 <= status < 300:
            return
        reason = f"{self._host} responds with {status}"
        if status == HTTPStatus.GONE:
            raise Stopped(f"{reason}: it wants no more events.")
        if 300 <= status < 400:
            raise Undelivered(f"{reason}, and redirects are not followed: use the new URL")
        seconds = _read_retry_after(response.retry_after)
        is_refused = 400 <= status < 500 and status not in _RETRIED
        raise Undelivered(f"{reason} {_quote(response.body)}", seconds, is_refused=is_refused)


def write_body(line: bytes, suffix: str) -> bytes:
    """Return the body for an event: its type, its date, and the event as it is."""
    event = _decode_event(line)
    kind, date = msgspec.json.encode(event.name + suffix), msgspec.json.encode(event.date)
    return b'{"type":%s,"timestamp":%s,"data":%s}' % (kind, date, line.strip())


def _split(url: str, *, allows_private: bool) -> SplitResult:
    """Return the parts of a URL; raises InvalidTarget."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not _URL.fullmatch(url):
        raise InvalidTarget("--post must be a URL like https://receiver.example/events.")
    if parts.username is not None:
        raise InvalidTarget(
            "the URL of --post must not contain a user or password: every user of this machine can "
            "see them. The receiver can check the signature."
        )
    if parts.scheme == "http" and not allows_private:
        raise InvalidTarget("--post must be an https URL. Only --allow-private permits http.")
    return parts


def _check_host(host: str, port: int, *, allows_private: bool) -> None:
    try:
        resolve(host, port, allows_private=allows_private)
    except PrivateAddress as error:
        raise InvalidTarget(str(error)) from error
    except OSError:
        return  # The name server may be back when the first event arrives.


def _quote(body: bytes) -> str:
    """Return the beginning of a response's body as printable text."""
    text = body[:MAX_REASON_BYTES].decode(errors="replace")
    return repr(text) if text else "without a reason"


def _read_retry_after(text: str) -> float:
    """Return the seconds of a header `Retry-After`, 0 if there are none (RFC 9110 10.2.3)."""
    try:
        seconds = float(text) if text.isdecimal() else _seconds_until(text)
    except (TypeError, ValueError):
        return 0
    return min(max(seconds, 0), MAX_RETRY_AFTER_SECONDS)


def _seconds_until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()
