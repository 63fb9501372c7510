"""The search: what a person types, and the events that it finds."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from support.explorer_page import now, open_event, post, rows, sign_in
from support.server import Server

ORDERS: list[dict[str, Any]] = [
    {"plan": "pro", "amount": 120, "client_id": 17000133, "city": "Lima"},
    {"plan": "pro", "amount": 80.5, "client_id": 17000134, "note": "for Lima"},
    {"plan": "free", "amount": 0, "client_id": 17000135, "name": "gift"},
    {"amount": "120", "service.name": "shop", "tags": ["new", "sale"]},
]


@pytest.fixture
def orders(page: Page, server: Server) -> Page:
    """Return a signed-in page with four orders, whose ids are their positions."""
    for number, data in enumerate(ORDERS):
        event = {"id": number, "name": "order", "trace_id": f"t{number}", "data": data}
        post(server, {**event, "date": now().isoformat()})
    sign_in(page)
    expect(rows(page)).to_have_count(len(ORDERS))
    return page


def search(page: Page, text: str) -> None:
    page.locator("#search").focus()
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def chips(page: Page) -> Locator:
    return page.locator("#chips li")


@pytest.mark.parametrize(
    ("text", "chip", "found"),
    [
        ("client_id=17000133", "client_id=17000133", [0]),
        ("data.client_id=17000133", "client_id=17000133", [0]),
        ("plan = pro", "plan=pro", [0, 1]),
        ('plan="pro"', "plan=pro", [0, 1]),
        ("plan!=pro", "plan!=pro", [2, 3]),
        ("plan^=p", "plan^=p", [0, 1]),
        ("amount>80", "amount>80", [0, 1]),
        ("amount>=120", "amount>=120", [0]),
        ("amount<120", "amount<120", [1, 2]),
        ("amount<=0", "amount<=0", [2]),
        ("plan exists", "plan exists", [0, 1, 2]),
        ("plan is missing", "plan is missing", [3]),
        ("tags=sale", "tags=sale", [3]),
        ("Lima", "contains “Lima”", [0, 1]),
        ('"for lima"', "contains “for lima”", [1]),
        ('"note=for"', "contains “note=for”", []),
        ("trace_id=t2", "trace_id=t2", [2]),
        ("trace_id!=t2", "trace_id!=t2", [0, 1, 3]),
        ("id=1", "id=1", [1]),
        ("name^=or", "name^=or", [0, 1, 2, 3]),
        ("data.name=gift", "data.name=gift", [2]),
    ],
)
def test_a_text_finds_what_it_says(orders: Page, text: str, chip: str, found: list[int]) -> None:
    search(orders, text)
    expect(chips(orders)).to_have_text([f"{chip}✕"])
    expect(rows(orders).locator(".trace-id")).to_have_text([f"t{n}" for n in reversed(found)])


def test_a_copied_row_becomes_a_filter_for_each_member(orders: Page) -> None:
    search(orders, "plan=pro  amount=120  client_id=17000133")
    expect(chips(orders)).to_have_text(["plan=pro✕", "amount=120✕", "client_id=17000133✕"])
    expect(rows(orders)).to_have_count(1)


def test_repeated_filters_find_one_or_the_other(orders: Page) -> None:
    search(orders, "plan=pro")
    search(orders, "plan=free")
    expect(chips(orders)).to_have_count(2)
    expect(rows(orders)).to_have_count(3)
    search(orders, "amount>1")
    search(orders, "amount>100")
    expect(chips(orders)).to_have_text(["plan=pro✕", "plan=free✕", "amount>100✕"])
    expect(rows(orders)).to_have_count(1)
    orders.reload()
    expect(chips(orders)).to_have_count(3)
    expect(rows(orders)).to_have_count(1)


def test_names_members_and_frequent_values_are_suggested(orders: Page) -> None:
    options = orders.get_by_role("listbox", name="Suggestions").get_by_role("option")
    orders.keyboard.press("/")
    expect(options.filter(has_text="name=order")).to_contain_text("4")
    orders.keyboard.type("pla")
    expect(options).to_have_text(["contains “pla”text", "plan=…string", "trace_id=platrace"])
    orders.keyboard.press("ArrowDown")
    orders.keyboard.press("Enter")
    expect(orders.locator("#search")).to_have_value("plan=")
    expect(options).to_have_text(["plan=pro2", "plan=free1"])
    orders.keyboard.press("ArrowDown")
    orders.keyboard.press("ArrowDown")
    orders.keyboard.press("Enter")
    expect(chips(orders)).to_have_text(["plan=free✕"])
    orders.keyboard.type("17000135")
    expect(options.filter(has_text="client_id=17000135")).to_contain_text("number")
    expect(options.first).to_have_text("contains “17000135”text")


def test_values_are_requested_only_for_what_events_are_counted_by(orders: Page) -> None:
    requests: list[str] = []
    orders.on("request", lambda request: requests.append(request.url))
    options = orders.get_by_role("listbox", name="Suggestions").get_by_role("option")
    orders.clock.install()
    for text in ["trace_id=", "id>", "data.=", "data.plan.=", 'a"b=', "plan exists", "plan="]:
        orders.locator("#search").fill(text)
        orders.clock.run_for(1000)
    expect(options).to_have_text(["plan=pro2", "plan=free1"])
    assert [url.partition("&by=")[2] for url in requests if "&by=" in url] == ["data.plan"]


def test_an_unknown_member_and_a_dotted_name_are_shown_as_what_they_are(orders: Page) -> None:
    options = orders.get_by_role("listbox", name="Suggestions").get_by_role("option")
    orders.keyboard.press("/")
    orders.keyboard.type("paln=pro")
    expect(options.first).to_contain_text("no such member here")
    orders.locator("#search").fill("service.name=shop")
    expect(options.first).to_have_text("service.name=shopequals")
    expect(options).to_have_count(2)
    orders.keyboard.press("Enter")
    expect(rows(orders)).to_have_count(1)
    assert 'data."service.name"=shop' in orders.evaluate("decodeURIComponent(location.search)")
    open_event(orders).get_by_role("button", name='"shop"').click()
    expect(chips(orders)).to_have_count(1)


def test_a_filter_can_be_edited_and_removed(orders: Page) -> None:
    search(orders, "amount>=120")
    orders.get_by_role("button", name="amount>=120").click()
    expect(orders.locator("#search")).to_have_value("amount>=120")
    orders.locator("#search").fill("amount>=80")
    orders.keyboard.press("Enter")
    expect(chips(orders)).to_have_text(["amount>=80✕"])
    expect(rows(orders)).to_have_count(2)
    orders.get_by_role("button", name="Remove amount").click()
    expect(rows(orders)).to_have_count(4)
    search(orders, '"note=for"')
    orders.get_by_role("button", name="contains “note=for”").click()
    expect(orders.locator("#search")).to_have_value('"note=for"')


def test_a_search_for_a_number_explains_what_it_does_not_find(orders: Page) -> None:
    search(orders, "17000133")
    expect(orders.locator("#state")).to_contain_text("such as amount=17000133")


def test_a_filter_that_the_api_refuses_is_reported(orders: Page, complaints: list[str]) -> None:
    search(orders, "id=abc")
    expect(orders.get_by_role("status").first).to_contain_text("id")
    orders.get_by_role("button", name="Remove id").click()
    expect(rows(orders)).to_have_count(4)
    assert complaints
    assert all("400" in complaint for complaint in complaints)
    complaints.clear()
