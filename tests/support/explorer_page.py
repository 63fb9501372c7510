"""Shared parts of the explorer's tests: the events of a shop's day, and a signed-in page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from bytelog import timestamps
from bytelog.maintenance.demo import generate_events as day_of_the_shop
from support.api import EVENTS
from support.browser import watch
from support.server import Server, wait_for


def now() -> datetime:
    return datetime.now(UTC)


def post(server: Server, *events: dict[str, Any]) -> None:
    assert server.request(EVENTS, json.dumps(events).encode()).status == 201


def fill(server: Server) -> int:
    # Leave out events that would leave the last 24 hours during a test.
    first = timestamps.format_utc(now() - timedelta(hours=23))
    day = [event._asdict() for event in day_of_the_shop(now()) if event.date > first]
    post(server, *({**event, "data": json.loads(event["data"])} for event in day))
    return len(day)


def sign_in(page: Page, address: str = "/", key: str = Server.key) -> None:
    page.goto(address)
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#app")).to_be_visible()


def find_box(part: Locator) -> FloatRect:
    """Return the place of a part of the page, once it is drawn: the page may draw it anew."""
    boxes: list[FloatRect] = []

    def is_drawn() -> bool:
        boxes.extend(filter(None, [part.bounding_box()]))
        return bool(boxes)

    wait_for(is_drawn)
    return boxes[0]


def hover_histogram(page: Page, share: float, **options: Any) -> None:
    """Move the mouse over the histogram, to a share of its width."""
    box = find_box(page.locator("#histogram .u-over"))
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + 40, **options)


@pytest.fixture(scope="module")
def shop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server with the events of a shop's day, which tests only read."""
    with Server(tmp_path_factory.mktemp("shop"), BYTELOG_API_KEY=Server.key) as server:
        fill(server)
        yield server


@pytest.fixture
def shop(browser: Browser, shop_server: Server, complaints: list[str]) -> Iterator[Page]:
    """Yield a signed-in page with the events of a shop's day."""
    context = browser.new_context(base_url=shop_server.url, reduced_motion="reduce")
    page = context.new_page()
    watch(page, shop_server, complaints)
    sign_in(page)
    expect(rows(page).first).to_be_visible()
    expect(page.locator("#count")).not_to_be_empty()
    yield page
    context.close()


def rows(page: Page) -> Locator:
    return page.locator("#list .row")


def open_event(page: Page, position: int = 0) -> Locator:
    rows(page).nth(position).locator(".what").click()
    return page.locator("#event")
