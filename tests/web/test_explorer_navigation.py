"""Addresses, the history of the tab, and the keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect
from support.api import CLICK
from support.explorer_page import now, open_event, post, rows, sign_in
from support.server import Server

COLOR = "it => getComputedStyle(it).backgroundColor"


def post_three(server: Server) -> None:
    for name in ("one", "two", "three"):
        post(server, {**CLICK, "name": name, "date": now().isoformat()})


def test_the_open_event_is_in_the_address_and_back_closes_it_on_a_phone(
    browser: Browser, server: Server
) -> None:
    post_three(server)
    context = browser.new_context(base_url=server.url, viewport={"width": 390, "height": 800})
    page = context.new_page()
    sign_in(page)
    expect(page.locator("#count")).to_have_text("3 events")
    open_event(page, 1)
    expect(page.locator("#event h2")).to_have_text("two")
    address = page.url
    page.go_back()
    expect(page.locator("#event")).to_be_hidden()
    expect(rows(page)).to_have_count(3)
    page.go_forward()
    expect(page.locator("#event h2")).to_have_text("two")
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#event")).to_be_hidden()
    assert "event=" not in page.url
    page.goto(address)
    expect(page.locator("#event h2")).to_have_text("two")
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#event")).to_be_hidden()
    expect(page.locator("#list")).to_be_focused()
    context.close()


def test_an_address_opens_an_event_that_the_list_does_not_contain(
    page: Page, server: Server
) -> None:
    post_three(server)
    sign_in(page)
    open_event(page, 2)
    expect(page.locator("#event h2")).to_have_text("one")
    page.goto(page.url.replace("?", "?name=two&"))
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#event h2")).to_have_text("one")
    page.goto("/?event=2021-08-15T23:41:41.507Z/abc/03775690")
    expect(page.get_by_role("status").first).to_contain_text("does not exist")


def test_back_returns_to_the_step_before(page: Page, server: Server) -> None:
    post_three(server)
    sign_in(page, f"/?trace={CLICK['trace_id']}")
    page.locator(".step").nth(2).click()
    expect(page.locator("#trace .detail h2")).to_have_text("three")
    assert "step=2" in page.url
    page.go_back()
    expect(page.locator("#step-0")).to_have_attribute("aria-selected", "true")
    page.reload()
    page.go_forward()
    expect(page.locator("#trace .detail h2")).to_have_text("three")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("/?nam=click&name=one", "not understood and has no effect: nam"),
        ("/?last=9y", "unknown window, last=9y"),
        ("/?view=trees", "unknown view, trees"),
        ("/?data.plan[like]=a", "data.plan[like]"),
    ],
)
def test_a_bad_address_is_reported(page: Page, server: Server, address: str, problem: str) -> None:
    post_three(server)
    sign_in(page, address)
    expect(page.get_by_role("status").first).to_contain_text(problem)
    expect(rows(page).first).to_be_visible()


def test_the_keyboard_enters_the_list_from_anywhere(page: Page, server: Server) -> None:
    post_three(server)
    sign_in(page)
    expect(rows(page)).to_have_count(3)
    page.keyboard.press("j")
    expect(page.locator("#list")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator("#row-1")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("k")
    expect(page.locator("#row-0")).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="Export").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#event h2")).to_have_text("two")
    page.get_by_role("button", name="Copy JSON").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#event")).to_be_hidden()
    expect(page.locator("#list")).to_be_focused()


def test_the_focus_returns_to_the_list_after_a_trace_and_after_the_search(
    page: Page, server: Server
) -> None:
    for trace in ("a", "b", "c"):
        post(server, {**CLICK, "trace_id": trace, "date": now().isoformat()})
    sign_in(page)
    expect(rows(page)).to_have_count(3)
    for key in ("j", "j", "t"):
        page.keyboard.press(key)
    expect(page.locator("#trace h2").first).to_have_text("Trace b")
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_focused()
    expect(page.locator("#row-1")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_focused()


def test_the_keys_are_explained(page: Page, server: Server) -> None:
    post_three(server)
    sign_in(page)
    expect(rows(page)).to_have_count(3)
    page.keyboard.press("j")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Zoom out")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#list")).to_be_focused()


def test_the_legend_is_one_stop_of_the_tab_key(page: Page, server: Server) -> None:
    post_three(server)
    sign_in(page)
    names = page.locator("#names button")
    expect(names).to_have_count(3)
    names.first.focus()
    page.keyboard.press("ArrowDown")
    expect(names.nth(1)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#list")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(names.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#count")).to_have_text("1 event")


def test_a_name_keeps_its_color(page: Page, server: Server) -> None:
    for number in range(14):
        post(server, {**CLICK, "name": f"name {number}", "date": now().isoformat()})
    sign_in(page)
    dots = page.locator("#list .dot")
    expect(dots).to_have_count(14)
    expect(page.locator("#count")).to_have_text("14 events")
    colors = dict(zip(page.locator(".what bdi").all_inner_texts(), shown(page), strict=True))
    for name, color in colors.items():
        page.goto(f"/?name={name}")
        expect(dots).to_have_count(1)
        expect(dots).to_have_css("background-color", color)
        expect(page.locator("#names .dot")).to_have_css("background-color", color)
    page.get_by_role("link", name="Paths").click()
    expect(page.locator("#paths td .dot").first).to_have_css("background-color", color)


def shown(page: Page) -> list[str]:
    return [str(dot.evaluate(COLOR)) for dot in page.locator("#list .dot").all()]
