from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

from playwright.sync_api import Browser, Page, expect
from support.api import CLICK, EVENTS
from support.explorer_page import (
    fill,
    find_box,
    hover_histogram,
    now,
    open_event,
    post,
    rows,
    sign_in,
)
from support.server import Server, wait_for

from bytelog import timestamps

ROW_PIXELS = 28  # the height of a row in bytelog/static/explorer/list.js


def test_the_list_shows_the_newest_event_first_and_the_count(page: Page, server: Server) -> None:
    number = fill(server)
    sign_in(page)
    expect(page.locator("#count")).to_have_text(f"{number:,} events")
    newest = json.loads(server.request(f"{EVENTS}?order=newest&limit=1").body)["events"][0]
    expect(rows(page).first).to_contain_text(newest["name"])
    expect(rows(page).first).to_contain_text(newest["trace_id"])


def test_scrolling_reaches_the_oldest_event_with_few_rows_in_the_document(shop: Page) -> None:
    shop.locator("#names button", has_text="view_product").click()
    expect(shop.locator("#count")).to_have_text(re.compile(r"^\d{3} events$"))
    number = int(shop.locator("#count").inner_text().split()[0])
    last = shop.locator(f"#row-{number - 1}[aria-selected=true]")
    shop.locator("#list").focus()

    def is_reached_with_end() -> bool:
        # If the oldest event is loaded after the key press, it is visible but not selected.
        shop.keyboard.press("End")
        shop.wait_for_load_state("networkidle")
        return last.is_visible()

    wait_for(is_reached_with_end)
    assert rows(shop).count() < 80


def test_a_click_on_a_name_or_a_value_filters_and_the_back_button_undoes_it(shop: Page) -> None:
    shop.locator("#names button", has_text="paypal_payment").click()
    expect(rows(shop).first).to_contain_text("paypal_payment")
    assert "name=paypal_payment" in shop.url
    detail = open_event(shop)
    detail.get_by_role("button", name='"EUR"').click()
    expect(shop.locator("#chips li")).to_have_count(2)
    assert "data.currency=EUR" in shop.url
    shop.go_back()
    expect(shop.locator("#chips li")).to_have_count(1)
    expect(shop.locator("#event h2")).to_have_text("paypal_payment")
    shop.go_back()
    expect(shop.locator("#event")).to_be_hidden()
    shop.go_back()
    expect(shop.locator("#chips li")).to_have_count(0)
    expect(shop.locator("#count")).to_contain_text(",")
    shop.go_forward()
    expect(shop.locator("#chips")).to_contain_text("name=paypal_payment")
    shop.get_by_role("button", name="Remove name").click()
    expect(shop.locator("#chips li")).to_have_count(0)


def test_the_address_of_a_view_shows_the_same_to_a_colleague(shop: Page, browser: Browser) -> None:
    count_without_filters = shop.locator("#count").inner_text()
    shop.keyboard.press("/")
    shop.keyboard.type("data.device=phone")
    shop.keyboard.press("Enter")
    expect(shop.locator("#chips")).to_have_text("device=phone✕")
    expect(shop.locator("#count")).not_to_have_text(count_without_filters)
    count = shop.locator("#count").inner_text()
    context = browser.new_context()
    colleague = context.new_page()
    sign_in(colleague, shop.url)
    expect(colleague.locator("#count")).to_have_text(count)
    assert not count.startswith("0")
    context.close()


def test_everything_works_with_the_keyboard(shop: Page) -> None:
    shop.keyboard.press("/")
    expect(shop.get_by_role("combobox", name="Filter events")).to_be_focused()
    shop.keyboard.type("payp")
    expect(shop.get_by_role("option", name="name=paypal_payment")).to_be_visible()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        shop.keyboard.press(key)
    expect(shop.locator("#chips")).to_contain_text("name=paypal_payment")
    shop.locator("#list").focus()
    expect(rows(shop).first).to_contain_text("paypal_payment")
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        shop.keyboard.press(key)
    expect(shop.locator("#event h2")).to_have_text("paypal_payment")
    expect(shop.locator("#row-1")).to_have_attribute("aria-selected", "true")
    shop.keyboard.press("Escape")
    expect(shop.locator("#event")).to_be_hidden()
    expect(shop.locator("#list")).to_be_focused()
    shop.keyboard.press("t")
    expect(shop.locator(".step").first).to_be_visible()
    shop.keyboard.press("Escape")
    expect(rows(shop).first).to_be_visible()


def test_dragging_on_the_histogram_selects_a_window(shop: Page) -> None:
    count_without_filters = shop.locator("#count").inner_text()
    hover_histogram(shop, 0.5)
    shop.mouse.down()
    hover_histogram(shop, 0.75, steps=4)
    shop.mouse.up()
    expect(shop.locator("#count")).not_to_have_text(count_without_filters)
    start, end = re.findall(r"(?:start|end)=([\dT%A.-]+Z)", shop.url)
    length = moment(end) - moment(start)
    assert timedelta(hours=5.5) < length < timedelta(hours=6.6)
    shop.go_back()
    expect(shop.locator("#count")).to_have_text(count_without_filters)


def moment(text: str) -> datetime:
    return timestamps.parse(text.replace("%3A", ":"))


def hours_since_a_busy_time() -> float:
    """Return the hours since a busy time of the shop: 12:30 or 19:30."""
    today = now().replace(minute=30)
    ages = [now() - today.replace(hour=hour) for hour in (12, 19)]
    hours = [age.total_seconds() / 3600 % 24 for age in ages]
    return next(hour_count for hour_count in hours if 2 < hour_count < 21)


def test_hovering_over_the_histogram_shows_the_counts(shop: Page) -> None:
    place = 1 - hours_since_a_busy_time() / 24
    hover_histogram(shop, place)
    expect(shop.locator(".counts")).to_contain_text(re.compile(r"click\s*\d+"))


def test_two_dates_define_a_window(shop: Page) -> None:
    shop.get_by_label("Time window").select_option("dates")
    day = f"{now() - timedelta(hours=20):%Y-%m-%dT%H:%M:%S}"
    shop.get_by_label("From", exact=True).fill(day)
    shop.get_by_label("Until").fill("")
    shop.get_by_role("button", name="Show", exact=True).click()
    expect(shop.get_by_label("Time window")).to_have_value("shown")
    assert "start=" in shop.url


def test_times_are_local_or_utc(browser: Browser, server: Server) -> None:
    date = now().replace(hour=0, minute=30, second=0, microsecond=0)
    post(server, {**CLICK, "date": date.isoformat()})
    context = browser.new_context(base_url=server.url, timezone_id="Asia/Tokyo")
    page = context.new_page()
    sign_in(page, "/?last=30d")
    expect(rows(page).first).to_contain_text("09:30:00.000")
    page.get_by_role("button", name="Asia/Tokyo").click()
    expect(rows(page).first).to_contain_text("00:30:00.000")
    page.reload()
    expect(page.get_by_role("button", name="UTC")).to_be_visible()
    context.close()


def test_an_empty_window_offers_the_newest_event(page: Page, server: Server) -> None:
    post(server, CLICK)
    sign_in(page)
    expect(page.locator("#state")).to_contain_text("The newest matching event is from 2021-08-15")
    page.get_by_role("button", name="Show that day").click()
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Time window").select_option("all")
    expect(page.locator("#count")).to_have_text("1 event")
    page.goto("/?name=nothing")
    page.get_by_role("button", name="Remove the filters").click()
    expect(page.locator("#state")).to_contain_text("2021-08-15")


def test_numbers_are_shown_exactly_as_sent(page: Page, server: Server) -> None:
    body = (
        b'{"id": 9007199254740993, "name": "n", "trace_id": "t",'
        b' "data": {"price": 1.10, "big": 123456789012345678901234567890}}'
    )
    assert server.request(EVENTS, body).status == 201
    sign_in(page)
    detail = open_event(page)
    for text in ("9007199254740993", "1.10", "123456789012345678901234567890"):
        expect(detail.locator(".json")).to_contain_text(text)
    detail.get_by_role("button", name="1.10").click()
    expect(page.locator("#count")).to_have_text("1 event")


def test_names_that_are_numbers_keep_their_order(page: Page, server: Server) -> None:
    data = '{"b":{"9":1,"8":2},"10":3,"\\u0039":4,"1":5,"\\u0000":6}'
    for name in ("503", "503", "404"):
        event = f'{{"id": 1, "name": "{name}", "trace_id": "t", "data": {data}}}'
        assert server.request(EVENTS, event.encode()).status == 201
    sign_in(page)
    expect(page.locator("#names button bdi")).to_have_text(["503", "404"])
    expect(rows(page).first.locator(".preview")).to_have_text("b={9, 8}  10=3  9=4  1=5  \0=6")
    shown = open_event(page).locator(".json").inner_text()
    assert re.findall(r'"(\w+|\\u0000)": [{\d]', shown) == [
        *("id", "data", "b", "9", "8", "10", "9", "1", "\\u0000"),
    ]
    page.locator("#event").get_by_role("button", name="5", exact=True).click()
    expect(page.locator("#chips")).to_contain_text("1=5")


def test_a_value_with_line_breaks_stays_in_its_row_and_a_click_opens_its_event(
    page: Page, server: Server
) -> None:
    lines = "first\r\nsecond\n\nthird\u2028fourth"
    for number, text in enumerate(["plain", lines, "plain"]):
        post(server, {"id": number, "name": f"n{number}", "trace_id": "t", "data": {"text": text}})
    sign_in(page)
    expect(rows(page)).to_have_count(3)
    previews = rows(page).locator(".preview")
    expect(previews.nth(1)).to_have_text("text=first ↵ second ↵ third ↵ fourth")
    for number in range(3):
        box = find_box(rows(page).nth(number))
        page.mouse.click(box["x"] + box["width"] - 20, box["y"] + box["height"] - 3)
        expect(page.locator("#event h2")).to_have_text(f"n{2 - number}")
        page.keyboard.press("Escape")
    heights = previews.evaluate_all("all => all.map((it) => it.scrollHeight)")
    assert max(heights) < ROW_PIXELS
