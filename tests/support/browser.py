"""A real browser, Debian's Chromium without its own windows, with a new page for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from support import programs
from support.server import Server

PROGRAM = "chromium-headless-shell"
# No host name is resolved, so a request to another server fails at once.
ARGUMENTS = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


# Not for the whole session: while Playwright runs, nothing else in the thread can use asyncio.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    programs.require(PROGRAM)
    with sync_playwright() as playwright:
        path = programs.find(PROGRAM)
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Errors that the browser reports; a test removes those that it expects."""
    complaints: list[str] = []
    yield complaints
    assert complaints == []


@pytest.fixture
def page(browser: Browser, server: Server, complaints: list[str]) -> Iterator[Page]:
    """Yield a page with the base address of a new server."""
    context = browser.new_context(base_url=server.url, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(10_000)
    watch(page, server, complaints)
    yield page
    context.close()


def watch(page: Page, server: Server, complaints: list[str]) -> None:
    """Record errors in the console and requests to other servers."""

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def note_request(request: Request) -> None:
        if not request.url.startswith((f"{server.url}/", "data:", "blob:")):
            complaints.append(f"asks {request.url}")

    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", note_message)
    page.on("request", note_request)


def barriers(page: Page) -> list[str]:
    """Return the serious and critical accessibility findings of axe-core."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{finding['id']}: {node['html']} {node['failureSummary']}"
        for finding in violations
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]
