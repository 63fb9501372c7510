"""A day of a small shop, for who wants to see bytelog with something in it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from ..events import store
from ..events.schemas import EventFields
from ..storage.models import DEFAULT_PROJECT_ID

VISITS = 900
"""Visits in a day: some six thousand events."""

BATCH_EVENTS = 500
"""Events that are recorded at once."""

SEED = 17
"""What makes every day of the shop the same."""

_CITIES = ("Lima", "Porto", "Zürich", "København", "Málaga", "東京", "القاهرة")
_PAGES = ("/", "/sale", "/shoes", "/bags", "/gift-cards", "/about")
_PRODUCTS = {
    "Walker 2": 8900,
    "Tote": 4500,
    "Rain cape": 12900,
    "Socks (3)": 1500,
    "Gift card": 5000,
}
_FAILURES = ("insufficient_funds", "expired_card", "issuer_unavailable", "3ds_abandoned")
# How busy each hour is, from midnight on.
_HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 13, 15, 12, 11, 11, 12, 14, 18, 22, 24, 20, 12, 6)

_Step = tuple[float, str, dict[str, Any]]  # seconds since the step before, name, data


def generate_events(end: datetime, seed: int = SEED) -> list[EventFields]:
    """Return the events of the 24 hours before `end`, in the order of their dates."""
    chance = random.Random(seed)  # noqa: S311
    found: list[EventFields] = []
    for number in range(VISITS):
        trace_id = f"{chance.getrandbits(32):08x}"
        moment = _arrival(chance, end)
        for seconds, name, data in _visit(chance, number):
            moment += timedelta(seconds=seconds)
            found.append(_event(number, name, trace_id, moment, data))
    found += _night_job(end)
    return sorted((it for it in found if it["date"] < end), key=lambda it: it["date"])


def record(end: datetime) -> int:
    """Record the day in the project `default`; returns how many events it had."""
    day = generate_events(end)
    for start in range(0, len(day), BATCH_EVENTS):
        store.record(DEFAULT_PROJECT_ID, day[start : start + BATCH_EVENTS])
    return len(day)


def _event(
    number: int, name: str, trace_id: str, moment: datetime, data: dict[str, Any]
) -> EventFields:
    text = json.dumps(data, ensure_ascii=False)
    return {"id": number, "name": name, "trace_id": trace_id, "date": moment, "data": text}


def _arrival(chance: random.Random, end: datetime) -> datetime:
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    (hour,) = chance.choices(range(24), _HOURS)
    moment = midnight + timedelta(hours=hour, seconds=chance.uniform(0, 3600))
    return moment if moment < end else moment - timedelta(days=1)


def _visit(chance: random.Random, number: int) -> Iterator[_Step]:
    device = chance.choice(("phone", "phone", "desktop", "tablet"))
    place = {"city": chance.choice(_CITIES), "device": device}
    yield 0, "visit", {"page": chance.choice(_PAGES), **place}
    for _ in range(chance.randrange(4)):
        yield _thinking(chance), "click", {"clicked_on": chance.choice(("menu", "search", "sale"))}
    if chance.random() < 0.25:
        yield from _sign_up(chance, number)
    product = chance.choice(list(_PRODUCTS))
    if chance.random() < 0.7:
        yield _thinking(chance), "view_product", {"product": product}
        if chance.random() < 0.55:
            yield from _purchase(chance, number, product)


def _sign_up(chance: random.Random, number: int) -> Iterator[_Step]:
    yield _thinking(chance), "sign_up", {"plan": chance.choice(("guest", "member"))}
    if chance.random() < 0.1:
        yield 3, "sign_up_failed", {"reason": "email_taken"}
        return
    # Some look into their mail at once, some after hours, some never.
    if chance.random() < 0.75:
        wait = chance.choice((chance.uniform(15, 90), chance.uniform(600, 12_000)))
        yield wait, "email_confirmed", {"client_id": f"{17_000_000 + number}"}


def _purchase(chance: random.Random, number: int, product: str) -> Iterator[_Step]:
    amount = _PRODUCTS[product] * chance.choice((1, 1, 1, 2))
    yield _thinking(chance), "add_to_cart", {"product": product, "cents": amount}
    if chance.random() < 0.12:
        yield _thinking(chance), "remove_from_cart", {"product": product}
        return
    if chance.random() < 0.3:
        return
    client = {"client_id": f"{17_000_000 + number}"}
    yield _thinking(chance), "checkout", {**client, "cart": {"items": 1, "cents": amount}}
    while chance.random() < 0.16:
        yield chance.uniform(2, 9), "payment_failed", {**client, "reason": chance.choice(_FAILURES)}
        if chance.random() < 0.4:
            return
        yield chance.uniform(60, 900), "retry payment…", client
    payment = {**client, "cents": amount, "currency": "EUR"}
    yield chance.uniform(4, 20), "paypal_payment", payment
    yield chance.uniform(0.2, 1.5), "receipt_sent", {"to": f"{number}@shop.example"}
    if chance.random() < 0.04:
        yield chance.uniform(1800, 20_000), "refund 💸", {**payment, "note": "<b>wrong size</b>"}


def _night_job(end: datetime) -> Iterator[EventFields]:
    start = end.replace(hour=3, minute=0, second=0, microsecond=0)
    start = start if start < end else start - timedelta(days=1)
    for number in range(60):
        moment = start + timedelta(seconds=0.18 * number)
        data = {"supplier": "acme", "rows": 250, "page": number}
        yield _event(number, "stock import", "stock-import", moment, data)


def _thinking(chance: random.Random) -> float:
    return min(900, chance.lognormvariate(2.8, 1))
