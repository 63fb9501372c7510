"""Questions that people in support ask, answered by what they would click and type."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from support.explorer_page import now, open_event, post, rows, sign_in
from support.server import Server


def event(trace: str, name: str, date: datetime, **data: Any) -> dict[str, Any]:
    return {"id": 1, "name": name, "trace_id": trace, "date": date.isoformat(), "data": data}


@pytest.fixture
def company(page: Page, server: Server) -> Page:
    """Return a signed-in page of a company with customers of yesterday and of now."""
    midnight = datetime.combine(now().date(), time(), now().tzinfo)
    at_five = midnight - timedelta(hours=7)
    recently = now() - timedelta(minutes=50)
    post(
        server,
        event("c1", "visit", at_five - timedelta(hours=2), client_id=17000133),
        event("c1", "password_changed", at_five + timedelta(minutes=3), client_id=17000133),
        event("c1", "visit", at_five + timedelta(minutes=9), client_id=17000134),
        *(event(f"s{n}", "visit", recently + timedelta(seconds=n)) for n in range(5)),
        *(event(f"s{n}", "sign_up_opened", recently + timedelta(seconds=20 + n)) for n in range(4)),
        *(
            event(f"s{n}", "signed_up", recently + timedelta(seconds=40 + n), city="Lima")
            for n in range(2)
        ),
        event("o1", "order", recently, plan="pro", amount=19.9),
        event("o1", "paid", recently + timedelta(minutes=1), plan="pro", amount=19.9),
        event("o2", "order", recently, plan="pro", amount=19.9),
        event("o3", "order", recently, plan="team", amount=100),
        event("o3", "paid", recently + timedelta(minutes=40), plan="team", amount=100),
        event("o4", "paid", recently, plan="pro", amount=19.9, note="from Lima, by mail"),
    )
    sign_in(page)
    expect(rows(page).first).to_be_visible()
    return page


def test_what_did_this_customer_do_yesterday_at_five(company: Page) -> None:
    company.keyboard.press("/")
    company.keyboard.type("client_id=17000133")
    company.keyboard.press("Enter")
    company.get_by_label("Time window").select_option("dates")
    company.get_by_label("From", exact=True).fill("yesterday 17:00")
    company.get_by_label("Until").fill("yesterday 18:00")
    company.keyboard.press("Enter")
    expect(rows(company)).to_have_count(1)
    expect(open_event(company).locator("h2")).to_have_text("password_changed")


def test_where_do_people_leave_the_sign_up_and_who_are_they(company: Page) -> None:
    company.get_by_role("link", name="Funnel").click()
    for step, name in enumerate(["visit", "sign_up_opened", "signed_up"], 1):
        company.get_by_label(f"Step {step}").fill(name)
        company.keyboard.press("Enter")
    company.get_by_role("button", name="Traces that stop at sign_up_opened: 2").click()
    expect(company.locator("#trace-list .trace-id")).to_have_text(["s3", "s2"])


def test_which_orders_were_never_paid(company: Page) -> None:
    company.get_by_role("link", name="Traces").click()
    company.get_by_label("With the name", exact=True).fill("order")
    company.keyboard.press("Enter")
    company.get_by_label("Without the name").fill("paid")
    company.keyboard.press("Enter")
    expect(company.locator("#trace-list .trace-id")).to_have_text(["o2"])


def test_how_much_did_we_take_in_by_plan(company: Page) -> None:
    company.keyboard.press("/")
    company.keyboard.type("name=paid")
    company.keyboard.press("Enter")
    company.get_by_label("Chart by").fill("plan")
    company.keyboard.press("Enter")
    expect(company.get_by_label("Chart by")).to_have_value("plan")
    company.get_by_label("Sum of").fill("amount")
    company.keyboard.press("Enter")
    expect(company.locator("#names button")).to_have_text(["team100", "pro39.8"])
    expect(company.locator("#count")).to_have_text("139.8 amount in 3 events")


def test_which_events_mention_lima(company: Page) -> None:
    company.keyboard.press("/")
    company.keyboard.type("Lima")
    company.keyboard.press("Enter")
    expect(company.locator("#chips li")).to_have_text(["contains “Lima”✕"])
    expect(rows(company)).to_have_count(3)
