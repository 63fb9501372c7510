"""The text of cursors: clients copy it from a `Link` header into their next request."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from flask import current_app

from .. import timestamps
from ..config import MAX_ID
from ..queries.selection import Cursor, CursorGone
from ..storage.cursor_secret import KeyCipher, read_cipher
from ..storage.database import db
from ..storage.keyset import Order

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_DAY = "(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
_TIME = "(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9][0-9]{3}"

CURSOR_PATTERN = f"^((k[0-9a-f]{{16}}|[0-9]{{1,18}})(-{_YEAR}{_DAY}T{_TIME})?(-[a-z]{{8}})?|end)$"
"""The syntax of a cursor: the token of its key, or the key itself in cursors of older versions, the
date, and the name of the epoch. Clients may also write `end`."""


def format_cursor(cursor: Cursor) -> str:
    """Return the text of a cursor."""
    token = f"k{_cipher().encrypt(cursor.key):016x}"
    digits = re.sub(r"[-:.Z]", "", cursor.date)
    return "-".join(filter(None, (token, digits, cursor.epoch)))


def identify_event(cursor: Cursor) -> str:
    """Return an identifier of the event of a cursor, the same each time, unlike the cursor."""
    return _cipher().identify(f"{cursor.key}-{cursor.epoch}")


def parse_cursor(text: str, order: Order) -> Cursor:
    """Return the cursor of a text that matches CURSOR_PATTERN, for a listing in an order.

    In order of arrival, `end` is the position after all events. Raises ValueError for a cursor of
    another order, and CursorGone for the plain key of an event that did not exist when cursors had
    plain keys.
    """
    is_arrival = order is Order.ARRIVAL
    key, *parts = text.split("-")
    epoch = parts.pop() if parts and parts[-1].isalpha() else ""
    # Cursors with plain keys had a date in every order.
    is_of_order = (not parts or key.isdecimal()) if is_arrival else bool(parts)
    if not is_of_order:
        raise ValueError(f"from a listing with order={order}")
    date = "" if is_arrival else _parse_date(parts[0])
    token = int(key[1:], 16) if key.startswith("k") else None
    return Cursor(_parse_key(key), date, epoch, token)


def _parse_key(text: str) -> int:
    if text == "end":
        return MAX_ID
    if text.startswith("k"):
        return _cipher().decrypt(int(text[1:], 16))
    if int(text) > _cipher().last_plain_key:
        raise CursorGone
    return int(text)


def _parse_date(digits: str) -> str:
    # A client may have invented a cursor for February 30. It continues after February 29.
    first = datetime.strptime(f"{digits[:6]}01{digits[8:]}000Z", "%Y%m%dT%H%M%S%f%z")
    return timestamps.format_utc(first + timedelta(days=int(digits[6:8]) - 1))


def _cipher() -> KeyCipher:
    cipher: KeyCipher | None = current_app.extensions.get("bytelog.cursor_cipher")
    if cipher is None:
        cipher = current_app.extensions["bytelog.cursor_cipher"] = read_cipher(db.engine)
    return cipher
