"""Pages of a listing, followed like a client does."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from werkzeug.test import TestResponse

from support.api import Person

ORDERS = ("date", "newest", "arrival")


def get(person: Person, address: str) -> TestResponse:
    response = person.client.get(address, headers=person.headers, buffered=True)
    assert response.status_code == 200, response.text
    return response


def ids(response: TestResponse) -> list[int]:
    assert response.json is not None
    return [event["id"] for event in response.json["events"]]


def following(response: TestResponse) -> str | None:
    """Return the address of the next page, or None on the last."""
    if "Link" not in response.headers:
        return None
    match = re.fullmatch(r'<(\?[!-~]+)>; rel="next"', response.headers["Link"])
    assert match
    return str(urljoin(response.request.url, match[1]))
