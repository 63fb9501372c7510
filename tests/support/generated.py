"""Events and requests that Hypothesis generates."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from bytelog.config import MAX_ID, MAX_TEXT_LENGTH, MIN_ID
from support.api import Person

Event = dict[str, Any]


short_texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=MAX_TEXT_LENGTH
)
texts = short_texts | short_texts.map(lambda text: (text * MAX_TEXT_LENGTH)[:MAX_TEXT_LENGTH])
dates = st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
integers = st.integers() | st.integers(-(10**4000), 10**4000)
floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | integers | floats | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
members: dict[str, st.SearchStrategy[Any]] = {
    "id": st.integers(MIN_ID, MAX_ID),
    "name": texts,
    "trace_id": texts,
    "date": dates,
    "data": st.dictionaries(st.text(), values, max_size=4),
}
events = st.fixed_dictionaries(members)
styles: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "indent": st.sampled_from([None, 0, "\t"])}
)


examples = settings()
"""As many examples as the profile sets: `pytest --hypothesis-profile=thorough`."""

many_examples = settings(max_examples=5 * examples.max_examples)
"""More examples for fast tests."""


@st.composite
def encoded(draw: st.DrawFn, strategy: st.SearchStrategy[Event]) -> bytes:
    event = draw(strategy)
    shuffled = {name: event[name] for name in draw(st.permutations(list(event)))}
    return json.dumps(shuffled, **draw(styles)).encode("utf-8", "surrogatepass")


def listed(person: Person, path: str = "") -> list[Event]:
    response = person.get(path)
    with response:
        assert response.status_code == 200, response.text
        listing = json.loads(response.data)
    json.dumps(listing, allow_nan=False, ensure_ascii=False).encode()  # fails unless it is I-JSON
    assert listing["count"] == len(listing["events"])
    return list(listing["events"])


def expected(stored: list[Event], start: str | None = None, end: str | None = None) -> list[Event]:
    events_in_window = [
        event
        for event in stored
        if (start or "") <= event["date"] and (not end or event["date"] < end)
    ]
    return sorted(events_in_window, key=lambda event: str(event["date"]))


def same(value: object, other: object) -> bool:
    # In Python, 1 == 1.0 == True and 0.0 == -0.0, but their JSON texts differ.
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
