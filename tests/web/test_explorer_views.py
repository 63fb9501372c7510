from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect
from support.api import CLICK, EVENTS
from support.explorer_page import now, post, rows, sign_in
from support.server import Server, wait_for

from bytelog import timestamps

LIVE_MILLISECONDS = 2000
MAX_LIVE_EVENTS = 5000  # the limit in bytelog/static/explorer/events.js
ROW_PIXELS = 28  # the height of a row in bytelog/static/explorer/list.js


def test_a_trace_shows_its_steps_pauses_and_neighbors(page: Page, server: Server) -> None:
    start = now() - timedelta(hours=5)
    plans = {"a": (0, 10), "b": (60, 61, 7261), "c": (120, 130)}
    for trace, moments in plans.items():
        for number, seconds in enumerate(moments):
            date = (start + timedelta(seconds=seconds)).isoformat()
            post(server, {**CLICK, "name": f"{trace}{number}", "trace_id": trace, "date": date})
    sign_in(page)
    rows(page).filter(has_text="b2").locator(".trace-id").click()
    steps = page.locator(".step")
    expect(steps).to_have_count(3)
    expect(page.locator("#trace .pause")).to_have_text("paused for 2 h")
    expect(page.locator("#trace .gap").first).to_have_text("1.0 s")
    page.locator("#steps").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#trace .detail h2")).to_have_text("b1")
    steps.nth(0).hover()
    steps.nth(2).hover()
    expect(page.locator("#trace .detail h2")).to_have_text("b2")
    assert "step=1" in page.url
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#trace h2").first).to_have_text("Trace c")
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#trace h2").first).to_have_text("Trace b")
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#trace h2").first).to_have_text("Trace a")
    page.go_back()
    expect(page.locator("#trace h2").first).to_have_text("Trace b")


def test_adjacent_traces_stay_reachable_after_loading_more_steps(
    page: Page, server: Server
) -> None:
    start = now() - timedelta(hours=1)
    for trace, count, minute in (("first", 1, 0), ("long", 501, 1)):
        dates = [start + timedelta(minutes=minute, milliseconds=step) for step in range(count)]
        post(server, *({**CLICK, "trace_id": trace, "date": date.isoformat()} for date in dates))
    sign_in(page, "/?trace=long")
    expect(page.get_by_role("button", name="Previous")).to_be_enabled()
    page.get_by_role("button", name="Show 500 more steps").click()
    expect(page.locator(".step")).to_have_count(501)
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#trace h2").first).to_have_text("Trace first")


def test_an_unknown_trace_shows_a_message(page: Page, server: Server) -> None:
    post(server, CLICK)
    sign_in(page, "/?trace=no%2Fbody")
    expect(page.locator("#trace")).to_contain_text("No event has this trace id")
    expect(page.locator("#trace")).to_contain_text("no/body")


def test_paths_show_the_transitions_between_events(shop: Page, shop_server: Server) -> None:
    shop.get_by_role("link", name="Paths").click()
    start = timestamps.format_utc(now() - timedelta(days=1))
    counted = json.loads(shop_server.request(f"{EVENTS}/paths?start={start}").body)
    largest_step = counted["transitions"][0]
    first = shop.locator("table").first.locator("tbody tr").first
    expect(first).to_contain_text(f"{largest_step['count']:,}")
    expect(shop.locator("#paths header")).to_contain_text(f"{counted['traces']:,} traces")
    assert shop.locator("#paths .band").count() > 5
    shop.locator("#paths").get_by_role("button", name="checkout", exact=True).click()
    expect(shop.locator("caption").first).to_have_text("Before and after checkout")
    assert "view=paths" in shop.url


def test_an_event_posted_with_curl_appears_within_two_seconds(
    shop: Page, shop_server: Server
) -> None:
    shop.get_by_role("switch", name="Live").click()
    expect(shop.get_by_role("switch")).to_contain_text("/min")
    body = json.dumps({"id": 1, "name": "fresh bread", "trace_id": "x"})
    headers = [
        "-H",
        f"Authorization: Bearer {shop_server.key}",
        "-H",
        "Content-Type: application/json",
    ]
    subprocess.run(["curl", "-sf", shop_server.url + EVENTS, *headers, "-d", body], check=True)
    expect(rows(shop).first).to_contain_text("fresh bread", timeout=LIVE_MILLISECONDS)
    expect(shop.get_by_role("switch")).to_contain_text("1/min")


def test_live_updates_pause_while_the_list_is_scrolled_down(
    shop: Page, shop_server: Server
) -> None:
    shop.get_by_role("switch", name="Live").click()
    expect(shop.get_by_role("switch")).to_contain_text("/min")
    shop.locator("#list").evaluate("list => list.scrollTop = 600")
    middle = shop.locator("#row-30").inner_text()
    post(shop_server, {"id": 1, "name": "late cake", "trace_id": "x"})
    fresh = shop.get_by_role("button", name="1 new")
    expect(fresh).to_be_visible()
    assert shop.locator("#row-30").inner_text() == middle
    expect(shop.get_by_role("switch")).to_contain_text("paused")
    fresh.click()
    expect(rows(shop).filter(has_text="late cake")).to_be_visible()


def test_a_page_that_arrives_after_the_list_has_dropped_events_is_not_appended(
    page: Page, server: Server
) -> None:
    moments = [now() + timedelta(milliseconds=number) for number in range(-300, MAX_LIVE_EVENTS)]
    dates = [moment.isoformat() for moment in moments]
    post(server, *({**CLICK, "date": date} for date in dates[:300]))
    sign_in(page)
    page.get_by_role("switch", name="Live").click()
    expect(page.get_by_role("switch")).to_contain_text("/min")
    held: list[Route] = []
    page.route("**/events?*order=newest*cursor=*", lambda route: held.append(route))
    page.locator("#list").evaluate("list => list.scrollTop = list.scrollHeight")
    wait_for(lambda: page.evaluate("1") and held)
    page.locator("#list").evaluate("list => list.scrollTop = 0")
    post(server, *({**CLICK, "date": date} for date in dates[300:]))
    height = f"{MAX_LIVE_EVENTS * ROW_PIXELS}px"
    canvas = page.locator("#list > div")
    expect(canvas).to_have_css("height", height, timeout=60_000)
    with page.expect_response("**/events?*order=newest*cursor=*") as response:
        held[0].continue_()
    response.value.finished()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    expect(canvas).to_have_css("height", height)


def test_live_updates_resume_after_a_server_restart(
    page: Page, serve: Callable[..., Server], complaints: list[str], server: Server
) -> None:
    post(server, {**CLICK, "date": now().isoformat()})
    sign_in(page)
    page.get_by_role("switch", name="Live").click()
    expect(page.get_by_role("switch")).to_contain_text("/min")
    server.keep_port()
    server.stop()
    expect(page.get_by_role("switch")).to_contain_text("reconnecting")
    server.start()
    post(server, {"id": 1, "name": "fresh bread", "trace_id": "x"})
    expect(rows(page).first).to_contain_text("fresh bread")
    expect(page.locator("#count")).to_have_text("2 events")
    assert all("ERR_" in complaint or "Failed to load" in complaint for complaint in complaints)
    complaints.clear()


def test_live_updates_start_when_the_server_is_there_again(
    page: Page, server: Server, complaints: list[str]
) -> None:
    post(server, {**CLICK, "date": now().isoformat()})
    sign_in(page)
    expect(rows(page)).to_have_count(1)
    server.keep_port()
    server.stop()
    page.get_by_role("switch", name="Live").click()
    expect(page.get_by_text("The server does not respond.")).to_be_visible()
    server.start()
    expect(page.get_by_role("switch")).to_contain_text("/min", timeout=20_000)
    expect(page.get_by_text("The server does not respond.")).to_be_hidden()
    post(server, {"id": 1, "name": "fresh bread", "trace_id": "x"})
    expect(rows(page).first).to_contain_text("fresh bread")
    expect(page.locator("#names")).to_contain_text("fresh bread")
    assert all("ERR_" in complaint or "Failed to load" in complaint for complaint in complaints)
    complaints.clear()


@pytest.mark.parametrize(("form", "first"), [("NDJSON", '{"id"'), ("CSV", "id,name")])
def test_the_current_view_can_be_exported(shop: Page, form: str, first: str) -> None:
    shop.locator("#names button", has_text="payment_failed").click()
    expect(shop.locator("#count")).to_have_text(re.compile(r"^\d\d events"))
    shop.get_by_role("button", name="Export").click()
    with shop.expect_download() as download:
        shop.get_by_role("button", name=f"Download as {form}").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert download.value.suggested_filename == f"events.{form.lower()}"
    assert lines[0].startswith(first)
    assert len(lines) - (form == "CSV") == int(shop.locator("#count").inner_text().split()[0])


def test_the_copied_curl_command_returns_the_same_events(shop: Page, shop_server: Server) -> None:
    shop.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shop.goto("/?data.city=Lima&last=24h&name=it%27s")
    shop.get_by_role("button", name="Remove name").click()
    expect(shop.locator("#count")).not_to_have_text(re.compile("^(0 events)?$"))
    shop.get_by_role("button", name="Export").click()
    shop.get_by_role("button", name="Copy as curl").click()
    expect(shop.get_by_role("status").first).to_contain_text("Copied")
    line = shop.evaluate("navigator.clipboard.readText()")
    assert shop_server.key not in line
    environment = os.environ | {"BYTELOG_API_KEY": shop_server.key}
    response = subprocess.run(line, shell=True, env=environment, capture_output=True, check=True)
    count = shop.locator("#count").inner_text().split()[0]
    assert f"{json.loads(response.stdout)['count']:,}" == count
