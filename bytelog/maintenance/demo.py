"""The events of a small shop on one day, which `bytelog demo` records."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from .. import timestamps
from ..events import store
from ..events.schemas import EventFields
from ..storage.models import DEFAULT_PROJECT_ID

VISITS = 900
"""Visits in a day, which make about six thousand events."""

BATCH_EVENTS = 500
"""Events recorded in one batch."""

SEED = 17
"""The seed of the random generator: the events are always the same, apart from their dates."""

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
# The relative number of visits in each hour, from midnight on.
_HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 11, 13, 15, 12, 11, 11, 12, 14, 18, 22, 24, 20, 12, 6)

_Step = tuple[float, str, dict[str, Any]]  # seconds since the previous step, name, data


def generate_events(end: datetime, seed: int = SEED) -> list[EventFields]:
    """Return the events of the 24 hours before `end`, in the order of their dates."""
    chance = random.Random(seed)  # noqa: S311
    events: list[EventFields] = []
    for number in range(VISITS):
        trace_id = f"{chance.getrandbits(32):08x}"
        moment = _choose_arrival(chance, end)
        for seconds, name, data in _generate_visit(chance, number):
            moment += timedelta(seconds=seconds)
            events.append(_create_event(number, name, trace_id, moment, data))
    events += _generate_night_job(end)
    past = (event for event in events if event.date < timestamps.format_utc(end))
    return sorted(past, key=lambda event: event.date)


def record(end: datetime) -> int:
    """Record the day in the project `default`; returns the number of events."""
    day = generate_events(end)
    for start in range(0, len(day), BATCH_EVENTS):
        store.record(DEFAULT_PROJECT_ID, day[start : start + BATCH_EVENTS])
    return len(day)


def _create_event(
    number: int, name: str, trace_id: str, moment: datetime, data: dict[str, Any]
) -> EventFields:
    text = json.dumps(data, ensure_ascii=False)
    return EventFields(number, name, trace_id, timestamps.format_utc(moment), text)


def _choose_arrival(chance: random.Random, end: datetime) -> datetime:
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    (hour,) = chance.choices(range(24), _HOURS)
    moment = midnight + timedelta(hours=hour, seconds=chance.uniform(0, 3600))
    return moment if moment < end else moment - timedelta(days=1)


def _generate_visit(chance: random.Random, number: int) -> Iterator[_Step]:
    device = chance.choice(("phone", "phone", "desktop", "tablet"))
    visitor = {"city": chance.choice(_CITIES), "device": device}
    yield 0, "visit", {"page": chance.choice(_PAGES), **visitor}
    for _ in range(chance.randrange(4)):
        yield (
            _choose_pause(chance),
            "click",
            {"clicked_on": chance.choice(("menu", "search", "sale"))},
        )
    if chance.random() < 0.25:
        yield from _generate_sign_up(chance, number)
    product = chance.choice(list(_PRODUCTS))
    if chance.random() < 0.7:
        yield _choose_pause(chance), "view_product", {"product": product}
        if chance.random() < 0.55:
            yield from _generate_purchase(chance, number, product)


def _generate_sign_up(chance: random.Random, number: int) -> Iterator[_Step]:
    yield _choose_pause(chance), "sign_up", {"plan": chance.choice(("guest", "member"))}
    if chance.random() < 0.1:
        yield 3, "sign_up_failed", {"reason": "email_taken"}
        return
    # Some visitors read their mail at once, some after hours, some never.
    if chance.random() < 0.75:
        wait = chance.choice((chance.uniform(15, 90), chance.uniform(600, 12_000)))
        yield wait, "email_confirmed", {"client_id": f"{17_000_000 + number}"}


def _generate_purchase(chance: random.Random, number: int, product: str) -> Iterator[_Step]:
    amount = _PRODUCTS[product] * chance.choice((1, 1, 1, 2))
    yield _choose_pause(chance), "add_to_cart", {"product": product, "cents": amount}
    if chance.random() < 0.12:
        yield _choose_pause(chance), "remove_from_cart", {"product": product}
        return
    if chance.random() < 0.3:
        return
    client = {"client_id": f"{17_000_000 + number}"}
    yield _choose_pause(chance), "checkout", {**client, "cart": {"items": 1, "cents": amount}}
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


def _generate_night_job(end: datetime) -> Iterator[EventFields]:
    start = end.replace(hour=3, minute=0, second=0, microsecond=0)
    start = start if start < end else start - timedelta(days=1)
    for number in range(60):
        moment = start + timedelta(seconds=0.18 * number)
        data = {"supplier": "acme", "rows": 250, "page": number}
        yield _create_event(number, "stock import", "stock-import", moment, data)


def _choose_pause(chance: random.Random) -> float:
    return min(900, chance.lognormvariate(2.8, 1))
