from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route
from support.api import EVENTS
from support.node_packages import install_packages
from support.server import Server

GENERATORS = Path(__file__).parents[1] / "support" / "generators"
EXPLORER = """\
<!doctype html><meta charset="utf-8">
<link rel="stylesheet" href="swagger-ui.css"><div id="ui"></div>
<script src="swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#ui", tryItOutEnabled: true });
</script>"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("swagger"), BYTELOG_API_KEY=Server.key) as server:
        yield server


@pytest.fixture
def explorer(page: Page) -> Page:
    folder = install_packages(GENERATORS) / "node_modules" / "swagger-ui-dist"

    def send_file(route: Route) -> None:
        path = folder / route.request.url.rpartition("/")[2]
        if path == folder:
            route.fulfill(body=EXPLORER, content_type="text/html")
        else:
            route.fulfill(path=path)

    page.route("**/swagger/*", send_file)
    page.goto("/swagger/")
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".auth-container input").fill(Server.key)
    page.locator(".modal-btn.authorize").click()
    page.locator(".btn-done").click()
    return page


def execute(page: Page, operation: str, times: int = 1) -> list[int]:
    """Return the status of each request with the values that are filled in."""
    block = page.locator(f"[id$='-{operation}']")
    block.locator(".opblock-summary-control").click()
    statuses = []
    for _ in range(times):
        with page.expect_response("**/api/**") as response:
            block.locator(".execute").click()
        statuses.append(response.value.status)
    block.locator(".opblock-summary-control").click()
    return statuses


def test_every_request_with_the_filled_in_values_succeeds(explorer: Page, server: Server) -> None:
    assert execute(explorer, "register_events", times=2) == [201, 201]
    assert json.loads(server.request(EVENTS).body)["count"] == 2
    for operation in ("list_events", "follow_trace", "summarize", "list_traces"):
        assert execute(explorer, operation) == [200], operation
    for operation in ("count_funnel", "compare_paths"):
        assert execute(explorer, operation) == [200], operation
