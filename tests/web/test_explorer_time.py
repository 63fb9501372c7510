from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect
from support.api import CLICK
from support.browser import watch
from support.dates import REFUSED, UNDERSTOOD
from support.explorer_page import hover_histogram, open_event, post, rows, sign_in
from support.server import Server

HOUR = timedelta(hours=1)


@pytest.fixture
def page_in(
    browser: Browser, server: Server, complaints: list[str]
) -> Iterator[Callable[[str], Page]]:
    """Yield a function that opens a page in a time zone."""
    contexts = []

    def open_page(zone: str) -> Page:
        contexts.append(browser.new_context(base_url=server.url, timezone_id=zone))
        page = contexts[-1].new_page()
        watch(page, server, complaints)
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_a_page_address_accepts_every_date_of_the_api_with_the_same_meaning(
    page_in: Callable[[str], Page],
) -> None:
    page = page_in("Asia/Tokyo")
    page.goto("/")
    parse = """async (texts) => {
        const { parseDate } = await import("/static/explorer/dates.js");
        return texts.map((text) => new Date(parseDate(text)).toJSON());
    }"""
    written, meant = map(list, zip(*UNDERSTOOD, strict=True))
    assert page.evaluate(parse, written) == meant
    assert page.evaluate(parse, REFUSED) == [None] * len(REFUSED)


def test_dates_without_a_zone_are_utc_in_the_address_and_local_in_the_form(
    page_in: Callable[[str], Page], server: Server
) -> None:
    post(server, CLICK)  # at 23:41:41.507 UTC, which is 08:41:41.507 on the next day in Tokyo
    page = page_in("Asia/Tokyo")
    sign_in(page, "/?start=2021-08-15T23:41&end=2021W327T23:42")
    expect(rows(page)).to_have_count(1)
    for start, end, count in [
        ("2021-08-16 08:41", "20210816T0842", 1),
        ("2021-227T23:41:41.507Z", "", 1),
        ("2021-08-15T23:41", "2021-08-16T00:00+09:00", 0),
    ]:
        page.get_by_label("Time window").select_option("dates")
        page.get_by_label("From", exact=True).fill(start)
        page.get_by_label("Until").fill(end)
        page.get_by_role("button", name="Show", exact=True).click()
        expect(page.locator("#list")).not_to_have_attribute("aria-busy", "true")
        expect(rows(page)).to_have_count(count)
    page.get_by_label("Time window").select_option("dates")
    page.get_by_label("From", exact=True).fill("tomorrow")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#dates :invalid")).to_have_attribute("name", "start")
    page.goto("/?start=yesterday")
    expect(page.get_by_role("status").first).to_contain_text("no valid start")


def test_an_end_before_the_start_is_reported(page: Page, server: Server) -> None:
    post(server, CLICK)
    sign_in(page, "/?start=2021-08-17&end=2021-08-15")
    expect(page.get_by_role("heading", name="The end is before the start")).to_be_visible()
    page.get_by_role("button", name="Swap the two dates").click()
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Time window").select_option("dates")
    page.get_by_label("Until").fill("2021-08-14")
    page.get_by_role("button", name="Show", exact=True).click()
    message = "document.querySelector('#dates :invalid').validationMessage"
    assert page.evaluate(message) == "The end is before the start."
    page.get_by_label("Until").fill("2021-08-16")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(rows(page)).to_have_count(1)


def test_days_of_the_reader_are_windows_by_name(
    page_in: Callable[[str], Page], server: Server
) -> None:
    today = datetime.now(ZoneInfo("Asia/Tokyo")).replace(hour=0, minute=0, second=0, microsecond=0)
    moments = {"today": today, "yesterday": today - timedelta(hours=7), "old": today - 25 * HOUR}
    for name, moment in moments.items():
        post(server, {**CLICK, "name": name, "date": moment.isoformat()})
    page = page_in("Asia/Tokyo")
    sign_in(page)
    for window in ("today", "yesterday"):
        page.get_by_label("Time window").select_option(window)
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text(window)
    assert "last=yesterday" in page.url
    page.get_by_label("Time window").select_option("dates")
    page.get_by_label("From", exact=True).fill("yesterday 17:00")
    page.get_by_label("Until").fill("yesterday at 18")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("yesterday")


def test_zooming_out_doubles_the_window_and_ends_now(page: Page, server: Server) -> None:
    post(server, CLICK)
    sign_in(page, "/?start=2021-08-15T22:00Z&end=2021-08-15T23:00Z")
    expect(page.locator("#range")).to_have_text("2021-08-15 22:00 – 2021-08-15 23:00")
    page.get_by_role("button", name="Zoom out").click()
    expect(page.locator("#range")).to_have_text("2021-08-15 21:30 – 2021-08-15 23:30")
    page.keyboard.press("-")
    expect(page.locator("#range")).to_have_text("2021-08-15 20:30 – 2021-08-16 00:30")
    page.locator("#histogram .u-over").dblclick()
    expect(page.locator("#range")).to_have_text("2021-08-15 18:30 – 2021-08-16 02:30")
    page.get_by_role("button", name="Earlier").click()
    expect(page.locator("#range")).to_have_text("2021-08-15 10:30 – 2021-08-15 18:30")
    page.get_by_role("button", name="Later").click()
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Time window").select_option("7d")
    expect(page.get_by_role("button", name="Later")).to_be_disabled()
    page.get_by_role("button", name="Zoom out").click()
    expect(page.locator("#range")).to_contain_text(f"– {datetime.now(UTC):%Y-%m-%d}")


@pytest.mark.parametrize(
    ("zone", "dates", "bar"),
    [
        ("America/Los_Angeles", ["2024-01-09T09:00Z", "2024-01-10T06:30Z"], 40),
        ("Asia/Kolkata", ["2024-01-08T18:35Z", "2024-01-09T18:25Z"], 39),
    ],
)
def test_a_bar_of_a_day_covers_the_readers_local_day(
    page_in: Callable[[str], Page], server: Server, zone: str, dates: list[str], bar: int
) -> None:
    post(server, *({**CLICK, "date": date} for date in dates))
    page = page_in(zone)
    sign_in(page, "/?start=2023-12-01&end=2024-02-29")
    expect(page.locator("#count")).to_have_text("2 events")
    hover_histogram(page, (bar + 0.5) / 91)
    expect(page.locator(".counts b")).to_have_text("2024-01-09 00:00 · 2")


def test_a_bar_of_a_week_begins_on_the_readers_monday(
    page_in: Callable[[str], Page], server: Server
) -> None:
    # Sunday evening in Los Angeles, which is Monday in UTC.
    dates = ["2023-01-01T12:00Z", "2024-01-08T06:30Z", "2024-12-30T12:00Z"]
    post(server, *({**CLICK, "date": date} for date in dates))
    page = page_in("America/Los_Angeles")
    sign_in(page, "/?start=2023-01-01&end=2024-12-31")
    expect(page.locator("#count")).to_have_text("3 events")
    hover_histogram(page, 53.9 / 106)
    expect(page.locator(".counts b")).to_have_text("2024-01-01 00:00 · 1")


def test_days_are_those_of_utc_if_the_server_does_not_know_the_zone(
    page_in: Callable[[str], Page], server: Server, complaints: list[str]
) -> None:
    post(server, *({**CLICK, "date": date} for date in ("2024-01-09T09:00Z", "2024-01-10T06:30Z")))
    page = page_in("America/Los_Angeles")
    refusal = {"error": "validation error"}
    page.route("**/summary?*tz=*", lambda route: route.fulfill(status=400, json=refusal))
    sign_in(page, "/?start=2023-12-01&end=2024-02-29")
    expect(page.locator("#count")).to_have_text("2 events")
    hover_histogram(page, 39.5 / 91)
    expect(page.locator(".counts b")).to_have_text("2024-01-09 UTC · 1")
    assert all("400" in complaint for complaint in complaints)
    complaints.clear()


def test_the_repeated_hour_at_the_end_of_summer_time_shows_its_offset(
    page_in: Callable[[str], Page], server: Server
) -> None:
    hours = ["2024-10-26T23:30Z", "2024-10-27T00:30Z", "2024-10-27T01:30Z", "2024-10-27T02:30Z"]
    post(server, *({**CLICK, "date": date} for date in hours))
    page = page_in("Europe/Berlin")
    sign_in(page, "/?start=2024-10-26&end=2024-10-28")
    times = ["03:30:00.000", "02:30:00.000+01:00", "02:30:00.000+02:00", "01:30:00.000"]
    expect(page.locator("#list time")).to_have_text(
        [re.compile(re.escape(time) + "$") for time in times]
    )
    open_event(page, 1)
    expect(page.locator("#event > time")).to_have_text("2024-10-27 02:30:00.000+01:00")
