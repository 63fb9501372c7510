from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.api import EVENTS
from support.node_packages import install_packages
from support.server import Server, wait_for

PACKAGES = Path(__file__).parents[1] / "support" / "sdks"
SDK = "node_modules/@segment/analytics-next/dist/umd/index.js"
PAGE = f"""<!DOCTYPE html><link rel="icon" href="data:,"><script src="{SDK}"></script>"""
GUIDE = (Path(__file__).parents[2] / "docs" / "sdks.md").read_text()
IMPORT = 'import { AnalyticsBrowser } from "@segment/analytics-next";'


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log no requests."""


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    """Yield the origin of another server, with a page that loads the SDK."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "index.html").write_text(PAGE)
    (folder / "node_modules").symlink_to(install_packages(PACKAGES) / "node_modules")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=folder)) as shop:
        thread = threading.Thread(target=shop.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{shop.server_port}"
        shop.shutdown()
        thread.join()


def build_script(server: Server) -> str:
    """Return the sample of the guide for a page that has loaded the SDK."""
    section = GUIDE.split("\n## Segment in a browser\n")[1]
    host = server.url.removeprefix("http://")
    return (
        section.split("```")[1]
        .removeprefix("javascript")
        .replace(IMPORT, "const { AnalyticsBrowser } = window.AnalyticsNext;")
        .replace('"log.example/v1"', f'"{host}/v1", protocol: "http"')
        .replace("YOUR_API_KEY", server.key)
    )


def test_analytics_js_sends_from_a_page_of_a_named_origin(
    browser: Browser, serve: Callable[..., Server], origin: str
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_CORS_ORIGINS=origin)
    page = browser.new_page()
    page.goto(origin)
    page.evaluate(f"async () => {{ {build_script(server)} }}")
    wait_for(lambda: json.loads(server.request(EVENTS).body)["count"] == 1)
    page.close()
    (event,) = json.loads(server.request(EVENTS).body)["events"]
    assert event["name"] == "Order Completed"
    assert event["data"]["properties"] == {"total": 59.9}
    assert server.key not in json.dumps(event)
