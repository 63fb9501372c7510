from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from support.api import CLICK, EVENTS
from support.browser import ARGUMENTS
from support.commands import Bytelog
from support.explorer_page import fill, now, open_event, post, rows, sign_in
from support.programs import find, require
from support.server import Server, wait_for

LIVE_MILLISECONDS = 2000


def test_a_wrong_key_is_reported_and_a_right_one_signs_in(
    page: Page, server: Server, complaints: list[str]
) -> None:
    post(server, CLICK)
    page.goto("/")
    page.get_by_label("API key").fill("byl_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This key is unknown, expired or revoked.")
    assert "401" in complaints.pop()
    page.get_by_label("API key").fill(server.key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#events")).to_be_visible()
    expect(page.get_by_text("default · BYTELOG_API_KEY")).to_be_visible()


def test_a_key_without_the_read_scope_is_reported(
    page: Page, server: Server, complaints: list[str]
) -> None:
    key = Bytelog(server.folder / "data").run("keys", "create", "w", "--scope", "write")
    page.goto("/")
    page.get_by_label("API key").fill(key.decode())
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This key cannot read events.")
    assert "403" in complaints.pop()


def test_the_key_stays_in_the_tab_until_signing_out(shop: Page, shop_server: Server) -> None:
    assert shop_server.key not in shop.url
    assert shop_server.key not in shop.evaluate("JSON.stringify(localStorage) + document.cookie")
    shop.reload()
    expect(rows(shop).first).to_be_visible()
    shop.get_by_role("button", name="Sign out").click()
    expect(shop.get_by_label("API key")).to_be_focused()
    assert shop.evaluate("sessionStorage.length") == 0
    shop.reload()
    expect(shop.get_by_label("API key")).to_be_visible()


def test_a_reader_stays_signed_in_on_the_computer_until_signing_out_if_they_want(
    page: Page, server: Server
) -> None:
    post(server, {**CLICK, "date": now().isoformat()})
    page.goto("/")
    expect(page.get_by_label("Stay signed in")).not_to_be_checked()
    expect(page.get_by_label("Stay signed in")).to_have_accessible_description(re.compile("until"))
    page.get_by_label("Stay signed in").check()
    page.get_by_label("API key").fill(server.key)
    page.get_by_role("button", name="Sign in").click()
    expect(rows(page)).to_have_count(1)
    later = page.context.new_page()
    later.goto("/")
    expect(rows(later)).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    for each in (page, later):
        expect(each.get_by_label("API key")).to_be_visible()
        assert server.key not in each.evaluate("JSON.stringify([localStorage, sessionStorage])")
    later.reload()
    expect(later.get_by_label("API key")).to_be_visible()


def test_signing_out_leaves_nothing_for_the_next_reader(page: Page, server: Server) -> None:
    create = ("keys", "create", "bob", "--project", "bob")
    key = Bytelog(server.folder / "data").run(*create).decode().strip()
    secret = {"name": "secret", "trace_id": "secret", "data": {"secret": 1}}
    post(server, {**CLICK, **secret, "date": now().isoformat()})
    sign_in(page)
    open_event(page).get_by_role("button", name="1", exact=True).nth(1).click()
    page.get_by_role("link", name="Paths").click()
    expect(page.locator("#paths tbody tr")).to_have_count(1)
    page.go_back()
    open_event(page).get_by_role("button", name="Show trace").click()
    expect(page.locator(".step")).to_have_count(1)
    page.get_by_role("button", name="Sign out").click()
    assert_no_secret(page)
    page.go_back()
    assert_no_secret(page)
    sign_in(page, key=key)
    expect(page.get_by_role("heading", name="No events yet")).to_be_visible()
    page.get_by_label("Filter events").fill("data.")
    assert_no_secret(page, is_signed_in=True)


def assert_no_secret(page: Page, *, is_signed_in: bool = False) -> None:
    expect(page.get_by_label("API key")).to_be_visible(visible=not is_signed_in)
    kept = "JSON.stringify([sessionStorage, localStorage, history.state, document.cookie])"
    for text in (page.url, page.title(), page.content(), page.evaluate(kept)):
        assert "secret" not in text


def test_a_response_that_arrives_after_signing_out_is_not_shown(page: Page, server: Server) -> None:
    post(server, {**CLICK, "name": "secret", "date": now().isoformat()})
    sign_in(page)
    expect(rows(page)).to_have_count(1)
    held: list[Route] = []
    page.route(f"**{EVENTS}/summary?*", lambda route: held.append(route))
    page.get_by_label("Time window").select_option("7d")
    page.wait_for_function("document.querySelector('#window').value === '7d'")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_focused()
    held[0].continue_()
    page.wait_for_load_state("networkidle")
    assert_no_secret(page)


def test_the_page_works_with_a_warning_if_the_browser_blocks_cookies(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    require("chromium")  # the headless shell has no preferences
    preferences = tmp_path / "browser/Default/Preferences"
    preferences.parent.mkdir(parents=True)
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    preferences.write_text(json.dumps(blocked))
    post(server, {**CLICK, "date": now().isoformat()})
    context = browser.browser_type.launch_persistent_context(
        tmp_path / "browser", executable_path=find("chromium"), args=ARGUMENTS
    )
    page = context.pages[0]
    sign_in(page, server.url)
    expect(rows(page)).to_have_count(1)
    page.reload()
    expect(page.get_by_text("blocks cookies")).to_be_visible()
    context.close()


def test_signing_in_after_a_key_expires_restores_the_same_view(
    page: Page, server: Server, complaints: list[str]
) -> None:
    fill(server)
    bytelog = Bytelog(server.folder / "data")
    key = bytelog.run("keys", "create", "carol").decode().strip()
    sign_in(page, key=key)
    page.locator("#names button", has_text="checkout").click()
    bytelog.run("keys", "revoke", "carol")
    wait_for(lambda: server.request(EVENTS, Authorization=f"Bearer {key}").status == 401)
    page.get_by_label("Time window").select_option("7d")
    expect(page.get_by_role("alert")).to_have_text("This key is unknown, expired or revoked.")
    assert "401" in complaints[0]
    complaints.clear()
    page.get_by_label("API key").fill(server.key)
    page.keyboard.press("Enter")
    expect(page.locator("#chips")).to_contain_text("name=checkout")


SENDERS = ["curl", "Shell", "JavaScript", "Python", "Ruby"]


def test_an_empty_server_shows_how_to_send_the_first_event_and_shows_it(
    page: Page, server: Server, tmp_path: Path
) -> None:
    sign_in(page)
    expect(page.get_by_role("heading", name="No events yet")).to_be_visible()
    names = page.locator("#welcome h3").all_inner_texts()
    assert [complaint.split()[0] for complaint in names] == SENDERS
    for sample in page.locator("#welcome pre").all_inner_texts():
        environment = os.environ | {"BYTELOG_API_KEY": server.key}
        subprocess.run(
            sample, shell=True, cwd=tmp_path, env=environment, check=True, capture_output=True
        )
        expect(rows(page).first).to_contain_text("sign_up", timeout=LIVE_MILLISECONDS)
    assert json.loads(server.request(EVENTS).body)["count"] == len(SENDERS)


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\u202egnihton\u202d שלום",
    "constructor",
    "__proto__",
    "x" * 255,
]


def test_hostile_names_and_data_are_shown_as_text(page: Page, server: Server) -> None:
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for number, text in enumerate(HOSTILE):
        data = {text: text, "large": "y" * 200_000, "list": list(range(3000)), "deep": [[[text]]]}
        post(server, {"id": number, "name": text, "trace_id": text, "data": data})
    sign_in(page)
    expect(rows(page)).to_have_count(len(HOSTILE))
    for number, text in enumerate(reversed(HOSTILE)):
        assert rows(page).nth(number).locator(".what bdi").text_content() == text
        detail = open_event(page, number)
        assert detail.locator("h2").text_content() == text
        assert detail.locator(".json div").count() < 500
        page.locator("#event").get_by_role("button", name="Show trace").click()
        expect(page.locator(".step")).to_have_count(1)
        page.keyboard.press("Escape")
        page.locator("#names button").filter(has_text=text).first.click()
        expect(page.locator("#count")).to_have_text("1 event")
        page.get_by_role("button", name="Remove name").click()
        expect(page.locator("#count")).to_have_text(f"{len(HOSTILE)} events")
    page.get_by_role("link", name="Paths").click()
    expect(page.locator("table").last.locator("tbody tr")).to_have_count(len(HOSTILE))
    assert page.locator("img[src=x]").count() == 0


def test_a_failing_server_is_reported_and_can_be_retried(
    page: Page, server: Server, complaints: list[str]
) -> None:
    post(server, {**CLICK, "date": now().isoformat()})
    page.clock.install()
    sign_in(page)
    expect(rows(page).first).to_be_visible()
    server.keep_port()
    server.stop()
    page.clock.pause_at(now() + timedelta(hours=1))  # The page must not try again by itself.
    page.get_by_label("Time window").select_option("7d")
    expect(page.get_by_text("The server does not respond.")).to_be_visible()
    server.start()
    page.get_by_role("button", name="Try again").click()
    expect(rows(page).first).to_be_visible()
    expect(page.get_by_text("The server does not respond.")).to_be_hidden()
    assert all("ERR_CONNECTION" in complaint for complaint in complaints)
    complaints.clear()


def test_the_page_recovers_by_itself_when_the_server_is_back(
    page: Page, server: Server, complaints: list[str]
) -> None:
    post(server, {**CLICK, "date": now().isoformat()})
    sign_in(page)
    expect(rows(page).first).to_be_visible()
    server.keep_port()
    server.stop()
    page.get_by_role("link", name="Paths").click()
    expect(page.get_by_text("The server does not respond.")).to_be_visible()
    server.start()
    expect(page.locator("#paths table").first).to_be_visible(timeout=20_000)
    expect(page.get_by_text("The server does not respond.")).to_be_hidden()
    assert all("ERR_CONNECTION" in complaint for complaint in complaints)
    complaints.clear()
