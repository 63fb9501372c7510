"""Safe retries: a POST that carries an Idempotency-Key is stored once, however often it comes.

The key belongs to the API key's project and is kept for IDEMPOTENCY_HOURS. Only what was stored
needs to be remembered: a body that was refused is refused again.
(IETF draft-ietf-httpapi-idempotency-key-header)
"""

from __future__ import annotations

import re
from hashlib import sha256

from marshmallow import ValidationError

from ..config import MAX_TEXT_LENGTH
from ..storage.idempotency import IdempotencyToken

HEADER = "Idempotency-Key"


class InvalidHeader(ValidationError):
    """A header is not valid; the error names it."""


# A string of RFC 8941, as the draft wants it, or the same without quotes, as many clients send it.
_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])+)"|([!#-~]+)')


def read_token(project_id: int, header: str | None, body: bytes) -> IdempotencyToken | None:
    """Return what makes a repetition of this request known, None if it carries no key.

    Raises InvalidHeader for a key that is empty, too long or not ASCII.
    """
    if header is None:
        return None
    match = _KEY.fullmatch(header.strip())
    key = (match[1] or match[2]) if match else ""
    if not 1 <= len(key) <= MAX_TEXT_LENGTH:
        raise InvalidHeader(f"Must be 1 to {MAX_TEXT_LENGTH} ASCII characters.", HEADER)
    return IdempotencyToken(project_id, key, sha256(body).hexdigest())
