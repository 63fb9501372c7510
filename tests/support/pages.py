"""Pages of a listing, as a client follows them."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from werkzeug.test import TestResponse

from support.api import Person

ORDERS = ("date", "newest", "arrival")


def get(person: Person, address: str) -> TestResponse:
    answer = person.client.get(address, headers=person.headers, buffered=True)
    assert answer.status_code == 200, answer.text
    return answer


def ids(answer: TestResponse) -> list[int]:
    assert answer.json is not None
    return [it["id"] for it in answer.json["events"]]


def following(answer: TestResponse) -> str | None:
    """Return the address of the next page, as a client finds it."""
    if "Link" not in answer.headers:
        return None
    match = re.fullmatch(r'<(\?[!-~]+)>; rel="next"', answer.headers["Link"])
    assert match
    return str(urljoin(answer.request.url, match[1]))
