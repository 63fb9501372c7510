"""The chart by any member, with counts and sums; and the table with a column for each member."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.explorer_page import hover_histogram, now, post, rows, sign_in
from support.server import Server

SALES: list[dict[str, Any]] = [
    {"plan": "pro", "amount": 1200.1},
    {"plan": "pro", "amount": 0.2},
    {"plan": "free", "amount": 5, "cart": {"items": 2}},
    {"note": "=1+1"},
]


@pytest.fixture
def sales(page: Page, server: Server) -> Page:
    """Return a signed-in page with four sales."""
    for number, data in enumerate(SALES):
        event = {"id": number, "name": "sale", "trace_id": f"t{number}", "data": data}
        post(server, {**event, "date": now().isoformat()})
    sign_in(page)
    expect(page.locator("#count")).to_have_text("4 events")
    return page


def legend(page: Page) -> list[str]:
    return page.locator("#names button").all_inner_texts()


def choose(page: Page, label: str, member: str) -> None:
    page.get_by_label(label).fill(member)
    page.keyboard.press("Enter")


def test_a_chart_by_a_member_counts_its_values(sales: Page) -> None:
    choose(sales, "Chart by", "plan")
    names = sales.locator("#names button")
    expect(names).to_have_text(["pro2", "free1", "no plan1"])
    assert "by=data.plan" in sales.url
    names.filter(has_text="free").click()
    expect(rows(sales)).to_have_count(1)
    names.filter(has_text="free").click()
    expect(rows(sales)).to_have_count(4)
    names.filter(has_text="no plan").click()
    expect(sales.locator("#chips li")).to_have_text(["plan is missing✕"])
    sales.go_back()
    choose(sales, "Chart by", "")
    expect(names).to_have_text(["sale4"])


def test_a_chart_by_what_events_are_not_counted_by_is_not_requested(sales: Page) -> None:
    address = sales.url
    for text in ("trace_id", "id", "plan."):
        choose(sales, "Chart by", text)
        expect(sales.locator("#chart input:invalid")).to_have_value(text)
    choose(sales, "Chart by", "plan")
    expect(sales.locator("#names button")).to_have_text(["pro2", "free1", "no plan1"])
    sales.go_back()
    expect(sales).to_have_url(address)


def test_a_chart_of_sums_is_exact(sales: Page) -> None:
    choose(sales, "Sum of", "amount")
    expect(sales.locator("#count")).to_have_text("1,205.3 amount in 4 events")
    choose(sales, "Chart by", "plan")
    expect(sales.locator("#names button")).to_have_text(["pro1,200.3", "free5", "no plan0"])
    hover_histogram(sales, 0.995)
    expect(sales.locator(".counts")).to_contain_text("1,200.3")
    sales.reload()
    expect(sales.get_by_label("Sum of")).to_have_value("amount")
    expect(sales.locator("#names button").first).to_have_text("pro1,200.3")


def test_a_chart_with_too_many_values_is_reported_and_shows_nothing_else(
    sales: Page, complaints: list[str]
) -> None:
    refusal = {"error": "too many groups"}
    sales.route("**/summary?*by=*", lambda route: route.fulfill(status=400, json=refusal))
    choose(sales, "Chart by", "plan")
    expect(sales.get_by_role("status").first).to_contain_text("too many groups")
    expect(sales.locator("#histogram canvas")).to_have_count(0)
    expect(sales.locator("#names button")).to_have_count(0)
    expect(rows(sales)).to_have_count(4)
    assert all("400" in complaint for complaint in complaints)
    complaints.clear()


def test_a_table_has_a_column_for_each_member(sales: Page) -> None:
    sales.get_by_role("button", name="Export").click()
    with sales.expect_download() as download:
        sales.get_by_role("button", name="CSV, a column for each member").click()
    assert download.value.suggested_filename == "events.csv"
    text = Path(download.value.path()).read_text("utf-8-sig")
    table = list(csv.DictReader(io.StringIO(text)))
    assert list(table[0]) == [
        *("id", "name", "trace_id", "date"),
        *("note", "plan", "amount", "cart.items"),
    ]
    assert [row["amount"] for row in table] == ["", "5", "0.2", "1200.1"]
    assert table[0]["note"] == "'=1+1"
    assert table[1]["cart.items"] == "2"
