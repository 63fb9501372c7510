"""Lists of traces: by conditions, behind a part of the paths, and behind a step of a funnel."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from support.explorer_page import now, post, sign_in
from support.server import Server

TRACES = {
    "paid": ["visit", "order", "payment"],
    "unpaid": ["visit", "order"],
    "late": ["visit", "order", "reminder", "payment"],
    "visitor": ["visit"],
    "loop": ["visit", "order", "visit", "order"],
    "long": [*["visit"] * 24, "left"],
}
PAUSES = {"reminder": timedelta(hours=2)}


@pytest.fixture
def shop_page(page: Page, server: Server) -> Page:
    """Return a signed-in page with the traces, the newest last."""
    start = now() - timedelta(hours=8)
    for position, (trace, names) in enumerate(TRACES.items()):
        moment = start + timedelta(minutes=position)
        events: list[dict[str, Any]] = []
        for name in names:
            moment += PAUSES.get(name, timedelta(seconds=10))
            data = {"trace": trace}
            events.append(
                {"id": 1, "name": name, "trace_id": trace, "date": moment.isoformat(), "data": data}
            )
        post(server, *events)
    sign_in(page)
    expect(page.locator("#count")).to_contain_text("events")
    return page


def listed(page: Page, box: str = "#trace-list") -> Locator:
    return page.locator(f"{box} .row .trace-id")


def add(page: Page, label: str, name: str) -> None:
    page.get_by_label(label, exact=True).fill(name)
    page.keyboard.press("Enter")


def test_traces_are_listed_and_each_leads_to_its_picture(shop_page: Page) -> None:
    page = shop_page
    page.get_by_role("link", name="Traces").click()
    expect(listed(page)).to_have_text(list(reversed(TRACES)))
    expect(page.locator("#trace-count")).to_have_text("6 traces")
    expect(page.locator("#trace-list .row").last.locator(".chain bdi")).to_have_text(TRACES["paid"])
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#trace h2").first).to_have_text("Trace loop")
    page.keyboard.press("Escape")
    expect(page.locator("#trace-list")).to_be_focused()
    expect(page.locator("#trace-1")).to_have_attribute("aria-selected", "true")


def test_names_that_traces_have_and_lack_select_them(shop_page: Page) -> None:
    page = shop_page
    page.get_by_role("link", name="Traces").click()
    add(page, "With the name", "order")
    expect(listed(page)).to_have_text(["loop", "late", "unpaid", "paid"])
    expect(page.get_by_label("With the name", exact=True)).to_be_focused()
    add(page, "Without the name", "payment")
    expect(listed(page)).to_have_text(["loop", "unpaid"])
    page.locator("#search").fill("trace=unpaid")
    page.keyboard.press("Enter")
    expect(listed(page)).to_have_text(["unpaid"])
    page.reload()
    expect(listed(page)).to_have_text(["unpaid"])
    page.get_by_role("button", name="Remove payment").click()
    expect(page.get_by_role("button", name="Remove payment")).to_be_hidden()
    add(page, "Without the name", "visit")
    expect(page.get_by_role("heading", name="No traces here")).to_be_visible()
    page.get_by_role("button", name="Remove the conditions").click()
    expect(listed(page)).to_have_count(6)


def test_overdue_late_and_done_traces_are_told_apart(shop_page: Page) -> None:
    page = shop_page
    page.get_by_role("link", name="Traces").click()
    add(page, "From the name", "order")
    add(page, "To the name", "payment")
    add(page, "Within", "an hour")
    message = page.get_by_label("Within").evaluate("it => it.validationMessage")
    assert "30 min" in message
    add(page, "Within", "1 h")
    expect(listed(page)).to_have_text(["loop", "unpaid"])
    page.get_by_label("State").select_option("late")
    expect(listed(page)).to_have_text(["late"])
    page.get_by_label("State").select_option("done")
    expect(listed(page)).to_have_text(["paid"])
    expect(page.get_by_label("Within")).to_have_value("1 h")


def test_a_click_in_the_paths_lists_the_traces_behind_it(shop_page: Page) -> None:
    page = shop_page
    page.get_by_role("link", name="Paths").click()
    page.locator("g.node", has_text="order").locator("text").first.click()
    expect(page.get_by_role("heading", name="Traces with order")).to_be_visible()
    expect(listed(page, ".behind")).to_have_text(["loop", "late", "unpaid", "paid"])
    assert "focus=order" in page.url
    page.locator("path.band", has_text="order → payment").dispatch_event("click")
    expect(listed(page, ".behind")).to_have_text(["paid"])
    expect(page.get_by_role("heading", name="payment directly follows order")).to_be_visible()
    page.locator("g.node", has_text="order").locator(".ends").click()
    expect(listed(page, ".behind")).to_have_text(["loop", "unpaid"])
    page.go_back()
    expect(listed(page, ".behind")).to_have_text(["paid"])
    page.reload()
    expect(listed(page, ".behind")).to_have_text(["paid"])
    listed(page, ".behind").first.click()
    expect(page.locator("#trace h2").first).to_have_text("Trace paid")
    page.keyboard.press("Escape")
    expect(page.locator(".behind .list")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".behind")).to_have_count(0)


def test_the_end_of_a_long_trace_is_examined(shop_page: Page) -> None:
    page = shop_page
    page.get_by_role("link", name="Paths").click()
    page.get_by_role("row", name="left").get_by_title("Traces that end at left").click()
    expect(listed(page, ".behind")).to_have_text(["long"])
    page.get_by_role("row", name="visit").get_by_title("Traces that end at visit").click()
    expect(listed(page, ".behind")).to_have_text(["visitor"])


def test_a_good_end_is_not_red_and_is_in_the_address(shop_page: Page) -> None:
    page = shop_page
    page.get_by_role("link", name="Paths").click()
    page.get_by_label("payment is a good end").check()
    expect(page.locator("g.node", has_text="payment").locator(".leave.good")).to_have_count(1)
    expect(page.locator("g.node", has_text="order").locator(".leave.good")).to_have_count(0)
    expect(page.locator("#paths header")).to_contain_text("a good end")
    page.reload()
    expect(page.get_by_label("payment is a good end")).to_be_checked()


def test_a_band_leads_from_a_name_to_itself(shop_page: Page) -> None:
    page = shop_page
    page.get_by_role("link", name="Paths").click()
    page.locator("path.band", has_text="visit → visit").dispatch_event("click")
    expect(listed(page, ".behind")).to_have_text(["long"])


def test_bands_that_go_back_are_drawn_whole(shop_page: Page) -> None:
    shop_page.get_by_role("link", name="Paths").click()
    band = shop_page.locator("path.band", has_text="order → visit")
    expect(band).to_have_count(1)
    is_inside = """path => {
        const box = path.getBBox(), half = path.getAttribute("stroke-width") / 2;
        const view = path.ownerSVGElement.viewBox.baseVal;
        return box.x - half >= view.x && box.y + box.height + half <= view.y + view.height
            && box.x + box.width + half <= view.x + view.width;
    }"""
    assert band.evaluate(is_inside)


def test_long_names_are_cut(page: Page, server: Server) -> None:
    name = "a name without an end " * 11
    date = now().isoformat()
    post(
        server, *({"id": 1, "name": f"{name}{n}", "trace_id": "t", "date": date} for n in range(2))
    )
    sign_in(page, "/?view=paths")
    expect(page.locator("#paths table")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    for label in page.locator("#paths td .what").all():
        box = label.bounding_box()
        assert box
        assert box["width"] < 640
        assert box["height"] < 40


def test_a_funnel_counts_the_steps_and_lists_who_stops(shop_page: Page) -> None:
    page = shop_page
    page.get_by_role("link", name="Funnel").click()
    for step, name in enumerate(["visit", "order", "payment"], 1):
        add(page, f"Step {step}", name)
    steps = page.locator("#funnel tbody tr")
    expect(steps).to_have_count(3)
    expect(steps.nth(0)).to_contain_text("6")
    expect(steps.nth(1)).to_contain_text(re.compile("4.*67%"))
    expect(steps.nth(2)).to_contain_text(re.compile("2.*33%.*50%"))
    page.get_by_role("button", name="Traces that stop at order").click()
    expect(listed(page)).to_have_text(["loop", "unpaid"])
    expect(page.locator("#conditions .chip")).to_contain_text("reached order, but not payment")
    page.go_back()
    page.get_by_role("button", name="Traces that reach payment").click()
    expect(listed(page)).to_have_text(["late", "paid"])
    page.go_back()
    add(page, "Within, for all steps", "1 h")
    expect(steps.nth(2)).to_contain_text(re.compile("1.*17%.*25%"))
    page.reload()
    expect(steps.nth(2)).to_contain_text("17%")
    add(page, "Step 3", "")
    expect(steps).to_have_count(2)
