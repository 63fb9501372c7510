from __future__ import annotations

import json

from playwright.sync_api import Page
from support.api import EVENTS
from support.server import Server, wait_for

RECORD = """async ([url, key, lengths]) => {
  const { Client } = await import("/clients/bytelog.mjs");
  const client = new Client({ url, key, background: true });
  lengths.forEach((length, id) => {
    client.record({ id, name: "click", trace_id: "1", data: { text: "x".repeat(length) } });
  });
}"""


def recorded(server: Server) -> set[int]:
    return {event["id"] for event in json.loads(server.request(EVENTS).body)["events"]}


def test_keepalive_requests_send_all_queued_events_when_a_page_is_left(
    page: Page, server: Server
) -> None:
    page.goto("/docs")
    page.evaluate(RECORD, [server.url, server.key, [1000] * 58])
    page.goto("/")
    wait_for(lambda: recorded(server) == set(range(58)))


def test_an_event_too_large_for_keepalive_does_not_block_others(page: Page, server: Server) -> None:
    page.goto("/docs")
    page.evaluate(RECORD, [server.url, server.key, [70_000, 20_000, 50_000, 20_000]])
    page.goto("/")
    wait_for(lambda: recorded(server) >= {1, 3})
