"""The size of the database file, against that of the same events as JSON lines."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from bytelog.storage.backend import Row
from bytelog.timestamps import format_utc

from . import database
from .commands import build_command, measure_seconds
from .figures import Figure, Run

_FIRST = datetime(2021, 7, 4, 13, 34, 56, tzinfo=UTC)
_OPEN_TRACES = 1000
_ITEM = {"sku": "A-1837", "quantity": 2, "price": 19.9}
_ADDRESS = {"city": "Berlin", "zip": "10115", "country": "DE"}
_DATA = {
    "click": {"clicked_on": "sign up button"},
    "mail_sent": {},
    "order_placed": {"client_id": "17039485", "items": [_ITEM, _ITEM], "address": _ADDRESS},
    "page_viewed": {"path": "/pricing", "referrer": "https://example.com/", "seconds": 12.5},
    "paypal_payment": {"client_id": "17039485", "amount": 129.9, "currency": "EUR"},
    "sign_up": {"plan": "team", "seats": 12, "referrer": "https://example.com/pricing"},
}
_TEXTS = [(name, json.dumps(data, separators=(",", ":"))) for name, data in _DATA.items()]


def measure(run: Run) -> Iterator[Figure]:
    for kind, new in (("8 digits", _generate_digits), ("UUIDs", _generate_uuid)):
        name = kind.replace(" ", "-")
        folder = database.create(run.folder / f"size-{name}", _generate_rows(run.events, new))
        lines = run.folder / f"size-{name}.ndjson"
        measure_seconds(build_command(folder, "export", lines))
        stored, written = (
            path.stat().st_size / run.events for path in (folder / "bytelog.db", lines)
        )
        yield Figure(
            f"file size, trace ids of {kind}",
            "bytes per event in the file ÷ bytes of its JSON line",
            f"{stored / written:.2f}: {stored:.0f} ÷ {written:.0f}",
            "≤ 1.5",
        )


def _generate_rows(events: int, new_trace: Callable[[random.Random], str]) -> Iterator[Row]:
    # Many traces of one to eight events are open at once, and events arrive a little late.
    chance = random.Random(1)
    traces: list[list[str]] = []
    for number in range(events):
        while len(traces) < _OPEN_TRACES:
            traces.append([new_trace(chance)] * chance.randint(1, 8))
        index = chance.randrange(_OPEN_TRACES)
        trace = traces[index].pop()
        if not traces[index]:
            del traces[index]
        name, data = chance.choice(_TEXTS)
        moment = _FIRST + timedelta(milliseconds=100 * number - chance.randrange(1000))
        yield 1, number, name, trace, format_utc(moment), data


def _generate_digits(chance: random.Random) -> str:
    return f"{chance.randrange(10**8):08}"


def _generate_uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))
