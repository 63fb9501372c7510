"""The pictures of the README, written to the folder that SCREENSHOTS names."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Browser, ViewportSize, expect
from support.explorer_page import fill, open_event, rows, sign_in
from support.server import Server

PICTURE_BYTES = 150 * 1024
SIZE: ViewportSize = {"width": 1080, "height": 660}
WIDER: ViewportSize = {"width": 1280, "height": 720}


def test_the_screenshots_of_the_readme_can_be_taken(
    browser: Browser, server: Server, tmp_path: Path
) -> None:
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    fill(server)
    context = browser.new_context(base_url=server.url, viewport=SIZE, timezone_id="UTC")
    page = context.new_page()
    sign_in(page)
    expect(rows(page).first).to_be_visible()
    page.wait_for_load_state("networkidle")
    open_event(page, 3)
    page.mouse.move(0, 0)
    page.screenshot(path=folder / "events.png")
    page.set_viewport_size(WIDER)
    page.get_by_role("link", name="Paths").click()
    expect(page.locator(".flow")).to_be_visible()
    page.screenshot(path=folder / "paths.png")
    context.close()
    for name in ("events.png", "paths.png"):
        assert 10_000 < (folder / name).stat().st_size < PICTURE_BYTES
        assert (Path(__file__).parents[2] / "docs" / "images" / name).exists()
