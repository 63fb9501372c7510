from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect
from support.api import CLICK, EVENTS
from support.browser import barriers
from support.commands import Bytelog
from support.docs_page import Sample, samples
from support.server import Server, wait_for

LANGUAGES = ["Shell", "Ruby", "Python", "JavaScript"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("docs"), BYTELOG_API_KEY=Server.key)
    yield server
    server.stop()


@pytest.fixture
def docs(page: Page) -> Page:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/docs")
    return page


def captions(page: Page) -> set[str]:
    """Return the captions of the visible samples."""
    output = page.locator("figure.tabbed:not(.output):visible figcaption")
    return {text.split(",")[0].replace("Copy", "") for text in output.all_text_contents()}


def copied(page: Page) -> str:
    page.context.grant_permissions(["clipboard-read"])
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_copied_first_sample_prints_the_documented_result(
    docs: Page, server: Server, tmp_path: Path, language: str
) -> None:
    docs.get_by_text(language, exact=True).first.click()
    docs.get_by_role("button", name="Copy").first.click()
    output = docs.locator("figure.output:visible code").first.inner_text()
    sample = Sample("quick-start", language.lower(), "", copied(docs), output)
    folder = tmp_path / "reader"
    folder.mkdir()
    command = Bytelog(server.folder / "data")
    key = command.run("keys", "create", "reader", "--project", language).decode().strip()
    assert sample.documents(sample.run(folder, key))
    assert len(list(folder.glob("bytelog*"))) == 1


def test_the_sample_that_reads_a_stream_prints_an_event_of_the_project(
    docs: Page, server: Server
) -> None:
    page = server.request("/docs").body.decode()
    (text,) = [sample.text for sample in samples(page) if sample.caption.startswith("stream.js")]
    text = text.replace("YOUR_API_KEY", server.key)
    requested = docs.expect_response(lambda response: EVENTS in response.url)
    with docs.expect_console_message() as message, requested:
        docs.evaluate(f"void (async () => {{ {text} }})()")
        docs.wait_for_function("() => performance.getEntriesByType('resource').length")
        wait_for(lambda: server.request(EVENTS, json.dumps(CLICK).encode()).status == 201)
    assert message.value.args[0].json_value() == CLICK


@pytest.mark.parametrize("has_scripts", [True, False])
def test_the_samples_show_the_url_that_the_browser_uses(
    browser: Browser, serve: Callable[..., Server], has_scripts: bool
) -> None:
    server = serve("--prefix", "/team", BYTELOG_URL="https://outer.example/team")
    page = browser.new_page(java_script_enabled=has_scripts)
    page.goto(f"{server.url}/team/docs")
    url = f"{server.url}/team" if has_scripts else "https://outer.example/team"
    expect(page.locator("main")).to_contain_text(f'curl -s "{url}/api/v1/events')
    (others,) = {"https://outer.example", server.url} - {url.removesuffix("/team")}
    expect(page.locator("main")).not_to_contain_text(others)
    page.get_by_role("link", name="OpenAPI 3.1").click()
    expect(page).to_have_url(f"{server.url}/team/openapi.json")
    page.close()


def test_a_tab_switches_every_sample_and_is_remembered(docs: Page) -> None:
    assert captions(docs) == {"Shell"}
    docs.get_by_text("Ruby", exact=True).first.click()
    assert captions(docs) == {"Ruby"}
    docs.reload()
    assert captions(docs) == {"Ruby"}
    docs.get_by_role("radio", name="Ruby").press("ArrowRight")
    assert captions(docs) == {"Python"}


@pytest.mark.parametrize("width", [820, 1440])
def test_the_visible_text_keeps_its_position_when_the_language_changes(
    page: Page, width: int
) -> None:
    def top() -> float:
        offset: float = page.locator("#batches").evaluate("it => it.getBoundingClientRect().top")
        return offset

    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/docs#batches")
    expect(page.locator("nav a[aria-current]")).to_have_text("Batches")
    before = top()
    page.get_by_text("JavaScript", exact=True).first.click()
    page.wait_for_function("() => new Promise(requestAnimationFrame)")
    assert top() == pytest.approx(before, abs=1)


def test_copying_shows_a_confirmation_and_copies_only_the_text(docs: Page) -> None:
    button = docs.locator("#batches >> xpath=ancestor::section >> button:visible").first
    button.click()
    expect(button).to_have_text("Copied")
    lines = copied(docs).splitlines()
    assert lines[0] == "cat > events.ndjson <<'END'"
    assert lines[-1] == '  -H "Content-Encoding: gzip" --data-binary @-'


def test_searching_hides_everything_else(docs: Page) -> None:
    docs.keyboard.press("/")
    docs.keyboard.type("litestream replicate")
    expect(docs.locator("main section:visible")).to_have_count(1)
    expect(docs.get_by_role("heading", name="Continuous replication")).to_be_visible()
    expect(docs.get_by_role("status")).to_contain_text("1 of ")
    expect(docs.locator("nav li:visible")).to_have_text(["Continuous replication"])
    docs.get_by_label("Search this page").fill("")
    expect(docs.get_by_role("heading", name="Quick start")).to_be_visible()


def test_the_language_can_be_changed_after_a_search_without_matches(docs: Page) -> None:
    docs.get_by_label("Search this page").fill("xyzzy")
    docs.get_by_text("Ruby", exact=True).first.click()
    docs.get_by_label("Search this page").fill("")
    assert captions(docs) == {"Ruby"}


def test_a_link_to_a_section_hidden_by_the_search_shows_it(docs: Page) -> None:
    docs.get_by_label("Search this page").fill("quick start")
    docs.evaluate("location.hash = 'litestream'")
    expect(docs.get_by_role("heading", name="Continuous replication")).to_be_in_viewport()


def test_the_table_of_contents_follows_the_reader_and_leads_to_sections(docs: Page) -> None:
    current_link = docs.locator("nav a[aria-current]")
    expect(current_link).to_have_text("Start")
    docs.get_by_role("navigation").get_by_role("link", name="Settings").click()
    assert docs.url.endswith("/docs#settings")
    expect(docs.locator("#settings")).to_be_in_viewport()
    expect(current_link).to_have_text("Settings")
    docs.locator("#trace").evaluate("it => it.scrollIntoView()")
    expect(current_link).to_have_text("Follow a trace id")


def test_a_deep_link_opens_at_its_section(page: Page) -> None:
    page.goto("/docs#prune")
    expect(page.locator("#prune")).to_be_in_viewport()


def test_the_colors_follow_the_system_until_others_are_chosen(docs: Page) -> None:
    def background() -> str:
        colour: str = docs.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    docs.emulate_media(color_scheme="light")
    light = background()
    docs.emulate_media(color_scheme="dark")
    assert background() != light
    docs.get_by_label("Colors").select_option("light")
    assert background() == light
    docs.reload()
    assert background() == light


def test_the_page_fits_the_window(docs: Page) -> None:
    for width in (390, 820, 1440):
        docs.set_viewport_size({"width": width, "height": 900})
        assert docs.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_the_page_is_accessible(docs: Page, width: int, scheme: Literal["light", "dark"]) -> None:
    docs.set_viewport_size({"width": width, "height": 900})
    docs.emulate_media(color_scheme=scheme)
    assert barriers(docs) == []


def test_the_table_of_contents_opens_and_closes_on_a_phone(docs: Page) -> None:
    docs.set_viewport_size({"width": 390, "height": 844})
    contents = docs.get_by_role("navigation")
    expect(contents).to_be_hidden()
    docs.get_by_text("Contents", exact=True).click()
    contents.get_by_role("link", name="Errors", exact=True).click()
    expect(contents).to_be_hidden()
    expect(docs.locator("#errors")).to_be_in_viewport()


def test_tabs_and_colors_work_without_javascript(page: Page, server: Server) -> None:
    assert page.context.browser
    context = page.context.browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{server.url}/docs")
    plain.get_by_text("Python", exact=True).first.click()
    assert captions(plain) == {"Python"}
    expect(plain.get_by_role("searchbox")).to_be_hidden()
    context.close()


def test_the_page_prints_dark_on_light(docs: Page) -> None:
    docs.emulate_media(media="print", color_scheme="dark")
    expect(docs.get_by_role("navigation")).to_be_hidden()
    code = docs.locator(".sample pre:visible span").first
    assert code.evaluate("it => getComputedStyle(it).color") == "rgb(0, 0, 0)"
