"""Safe retries: a POST with an Idempotency-Key is stored once, however often it is sent.

The key belongs to the API key's project and is kept for IDEMPOTENCY_HOURS. Only stored requests
need to be remembered: an invalid body is rejected again.
(IETF draft-ietf-httpapi-idempotency-key-header)
"""

from __future__ import annotations

import re
from hashlib import sha256

from marshmallow import ValidationError

from ..auth.keys import Grant
from ..config import MAX_TEXT_LENGTH
from ..storage.idempotency import IdempotencyToken

HEADER = "Idempotency-Key"


class InvalidHeader(ValidationError):
    """A header is not valid; the error names it."""


# A string of RFC 8941, as the draft requires, or its text without quotes, as many clients send.
_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])+)"|([!#-~]+)')


def read_token(grant: Grant, header: str | None, body: bytes) -> IdempotencyToken | None:
    """Return the token that identifies a repeated request, or None if it has no key.

    Raises InvalidHeader for a key that is empty, too long or not ASCII.
    """
    if header is None:
        return None
    match = _KEY.fullmatch(header.strip())
    key = (match[1] or match[2]) if match else ""
    if not 1 <= len(key) <= MAX_TEXT_LENGTH:
        raise InvalidHeader(f"Must be 1 to {MAX_TEXT_LENGTH} ASCII characters.", HEADER)
    if grant.bound:
        # Keys with another bound must not learn of this one, nor block it.
        key = sha256(f"{grant.bound}\n{key}".encode()).hexdigest()
    return IdempotencyToken(grant.project_id, key, sha256(body).hexdigest())
