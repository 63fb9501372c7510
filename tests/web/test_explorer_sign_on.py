from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.api import CLICK, EVENTS
from support.browser import watch
from support.explorer_page import now, post, rows, sign_in
from support.server import Server

HEADERS = {"Remote-User": "anna"}


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    server = serve(
        BYTELOG_API_KEY=Server.key,
        BYTELOG_CORS_ORIGINS="*",
        BYTELOG_PROXY_NETWORKS="127.0.0.1/32",
        BYTELOG_PROXY_USER="Remote-User",
    )
    post(server, {**CLICK, "date": now().isoformat()})
    return server


@pytest.fixture
def page(browser: Browser, server: Server, complaints: list[str]) -> Iterator[Page]:
    """Yield a page behind a proxy that adds a header to each request."""
    context = browser.new_context(base_url=server.url, extra_http_headers=HEADERS)
    page = context.new_page()
    watch(page, server, complaints)
    yield page
    context.close()


def test_a_user_of_the_proxy_needs_no_key(page: Page) -> None:
    page.goto("/")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_text("default · anna")).to_be_visible()
    expect(page.get_by_label("API key")).to_be_hidden()
    page.reload()
    expect(rows(page)).to_have_count(1)


def test_a_user_of_the_proxy_may_use_a_key_instead(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Use a key").click()
    page.get_by_label("API key").fill(Server.key)
    page.keyboard.press("Enter")
    expect(page.get_by_text("default · BYTELOG_API_KEY")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("default · anna")).to_be_visible()


def test_whom_the_proxy_does_not_name_signs_in_with_a_key(
    page: Page, complaints: list[str]
) -> None:
    page.goto("/")
    expect(rows(page)).to_have_count(1)
    page.context.set_extra_http_headers({})
    page.get_by_role("link", name="Traces").click()
    expect(page.get_by_role("alert")).to_contain_text("Your session has ended")
    expect(page.get_by_label("API key")).to_be_focused()
    sign_in(page)
    assert all("401" in complaint for complaint in complaints)
    complaints.clear()


@pytest.fixture
def other_origin(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "favicon.ico").touch()  # The browser asks for it at any time.
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever).start()
        yield f"http://127.0.0.1:{other.server_port}"
        other.shutdown()


def test_a_page_of_another_origin_reads_nothing_as_the_user(
    page: Page, server: Server, other_origin: str, complaints: list[str]
) -> None:
    page.goto(other_origin)
    read = "([url, mode]) => fetch(url, {credentials: mode}).then((r) => r.status, () => 0)"
    assert page.evaluate(read, [server.url + EVENTS, "include"]) == 0
    assert page.evaluate(read, [server.url + EVENTS, "omit"]) == 401
    complaints.clear()
