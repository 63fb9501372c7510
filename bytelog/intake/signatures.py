"""Signatures of webhooks: HMAC-SHA256 of the body with a shared secret, in a header.

GitHub writes `sha256=` and hexadecimal digits, Shopify base64. Stripe writes `t=TIME,v1=DIGITS`
and signs the time and the body with a dot in between, so nobody can send an old message again.
"""

from __future__ import annotations

import hmac
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass

TOLERANCE_SECONDS = 300
"""How old or how far ahead a signed time may be; the default of Stripe's libraries."""

ENCODINGS: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda digest: b64encode(digest).decode(),
}


@dataclass(frozen=True, slots=True)
class Signature:
    """Where a signature is, and how it is written."""

    header: str
    secret: str
    prefix: str = ""
    encoding: str = "hex"
    timestamped: bool = False

    def is_valid(self, header: str, body: bytes) -> bool:
        """Return whether the header of a request signs its body."""
        moment, signatures = _split(header) if self.timestamped else ("", [header])
        if self.timestamped and not _is_recent(moment):
            return False
        signed = moment.encode() + b"." + body if self.timestamped else body
        digest = hmac.digest(self.secret.encode(), signed, "sha256")
        expected = (self.prefix + ENCODINGS[self.encoding](digest)).encode()
        # While a secret is replaced, a sender signs with both.
        return any(hmac.compare_digest(each.encode(), expected) for each in signatures)


def _split(header: str) -> tuple[str, list[str]]:
    """Return the time and the signatures of a header such as `t=1,v1=a,v1=b`."""
    pairs = list(_list_pairs(header))
    moment = next((value for name, value in pairs if name == "t"), "")
    return moment, [value for name, value in pairs if name == "v1"]


def _list_pairs(header: str) -> Iterator[tuple[str, str]]:
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        yield name, value


def _is_recent(moment: str) -> bool:
    is_number = moment.isascii() and moment.isdecimal() and len(moment) <= 12
    return is_number and abs(time.time() - int(moment)) <= TOLERANCE_SECONDS
