from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain, pairwise
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test
from support.api import CLICK, EVENTS, Person, close
from support.generated import (
    Event,
    dates,
    encoded,
    events,
    examples,
    expected,
    listed,
    members,
    same,
    texts,
    values,
)

from bytelog import create_app
from bytelog.auth import keys
from bytelog.config import MAX_ID, MAX_TEXT_LENGTH, MIN_ID

pytestmark = [pytest.mark.each_database, pytest.mark.usefixtures("pages_of_three_events")]

SUSPICIOUS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b".", b"e9", b" ", b"\n"),
    *(b"NaN", b"-Infinity", b"1e999", b"null", b'"data":{}', b'"id":1', b"9" * 50),
    *(b"\\u0000", b"\\ud800", b"\\ude00", b"\\u0064", b"\0", b"\x7f", b"\xff", b"\xef\xbb\xbf"),
]

bad_texts = st.text("a\0\ud800\udfff", max_size=MAX_TEXT_LENGTH + 1)
bad_numbers = st.sampled_from([float("nan"), float("inf"), MAX_ID + 1, MIN_ID - 1])
bad_values = bad_texts | bad_numbers | values
anything = bad_values | st.dictionaries(bad_texts, bad_values, max_size=2)
some_bytes = st.binary(max_size=300) | st.text(max_size=300).map(str.encode)
days = r"(000[01]|2024|9999)-(02-29|12-31|W53-7|366)"
times = r"[T ](2[34]|00):(00|59)(:(00|59|60)([.,][0-9]{1,12})?)?"
near_dates = st.from_regex(rf"({days}({times}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})?)?)", fullmatch=True)


@st.composite
def almost_events(draw: st.DrawFn) -> Event:
    changed = st.sampled_from([*members, "x"])
    return {**draw(events), draw(changed): draw(anything)}


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    body = bytearray(draw(encoded(st.just(CLICK) | events)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = start + draw(st.integers(0, 4))
        body[start:end] = draw(st.sampled_from(SUSPICIOUS) | st.binary(max_size=3))
    return bytes(body)


def window(person: Person, start: str | None, end: str | None) -> list[Event]:
    bounds = {"start": start, "end": end}
    parameters = [f"{name}={bound}" for name, bound in bounds.items() if bound]
    return listed(person, "?" + "&".join(parameters))


def trace(person: Person, trace_id: str) -> list[Event]:
    return listed(person, "/trace/" + quote(trace_id, safe=""))


def without_date(event: Event) -> Event:
    return {name: event[name] for name in ("id", "name", "trace_id", "data")}


@given(st.data())
@examples
def test_a_posted_event_is_returned_equal(
    newcomer: Callable[[], Person], data: st.DataObject
) -> None:
    person, event = newcomer(), data.draw(events)
    assert person.post(data.draw(encoded(st.just(event)))).status_code == 201
    assert same(listed(person), [event])
    assert same(trace(person, event["trace_id"]), [event])


@given(st.data())
@examples
def test_adjacent_windows_contain_every_event_once(
    newcomer: Callable[[], Person], data: st.DataObject
) -> None:
    few = st.sampled_from(data.draw(st.lists(dates, min_size=1, max_size=4)))
    person, stored = newcomer(), list[Event]()
    for date in data.draw(st.lists(few | dates, max_size=14)):
        stored.append({**CLICK, "id": len(stored), "date": date})
        assert person.post(stored[-1]).status_code == 201
    cuts = sorted(data.draw(st.lists(few | dates, min_size=1, max_size=5)))
    parts = [window(person, start, end) for start, end in pairwise([None, *cuts, None])]
    assert list(chain(*parts)) == window(person, None, None) == expected(stored)
    assert list(chain(*parts[1:-1])) == window(person, cuts[0], cuts[-1])
    assert window(person, cuts[0], cuts[-1]) == expected(stored, cuts[0], cuts[-1])


@pytest.mark.parametrize(
    "bodies", [some_bytes, encoded(almost_events()), mutated()], ids=["bytes", "almost", "mutated"]
)
@given(data=st.data())
@examples
def test_any_body_is_stored_as_sent_or_rejected(
    newcomer: Callable[[], Person], bodies: st.SearchStrategy[bytes], data: st.DataObject
) -> None:
    person, body = newcomer(), data.draw(bodies)
    status = person.post(body).status_code
    assert status in (201, 400)
    stored = [without_date(event) for event in listed(person)]
    accepted = [without_date({"data": {}, **json.loads(body)})] if status == 201 else []
    assert same(stored, accepted)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "variable",
    ["HTTP_AUTHORIZATION", "HTTP_ACCEPT", "HTTP_IDEMPOTENCY_KEY", "CONTENT_TYPE", "QUERY_STRING"],
)
@given(text=some_bytes)
@examples
def test_no_header_or_query_causes_a_server_error(
    newcomer: Callable[[], Person], method: str, variable: str, text: bytes
) -> None:
    person = newcomer()
    environment = {variable: text.decode("latin-1")}  # how WSGI passes bytes (PEP 3333)
    changes: dict[str, Any] = {"headers": person.headers, "environ_overrides": environment}
    assert person.client.open(EVENTS, method=method, json=CLICK, **changes).status_code < 500


@given(path=some_bytes)
@examples
def test_no_path_causes_a_server_error(person_with_events: Person, path: bytes) -> None:
    environment = {"PATH_INFO": f"{EVENTS}/trace/" + path.decode("latin-1")}
    response = person_with_events.client.get(
        "/", headers=person_with_events.headers, environ_overrides=environment
    )
    is_text = path.decode("utf-8", "ignore").encode() == path
    with response:
        assert response.status_code == (404 if not path else 200 if is_text else 400)


@given(texts | st.text())
@examples
def test_any_trace_id_can_be_followed(person_with_events: Person, trace_id: str) -> None:
    response = person_with_events.get("/trace/" + quote(trace_id, safe=""))
    with response:
        assert response.status_code == (200 if trace_id else 404)


@given(near_dates | st.text("0123456789-+:.,TZW ") | st.text())
@example("9999-12-31T23:59:60Z")
@example("0001-01-01T00:00:00+00:01")
@examples
def test_any_text_as_a_date_is_accepted_or_rejected(person_with_events: Person, text: str) -> None:
    for parameter in ("start", "end"):
        response = person_with_events.get(f"?{parameter}={quote(text)}")
        with response:
            assert response.status_code in (200, 400)
    assert person_with_events.post({**CLICK, "id": "", "date": text}).status_code == 400


class Service(RuleBasedStateMachine):
    used_dates: Bundle[str] = Bundle("used_dates")

    people = st.sampled_from(["alice", "bob"])
    traces = st.sampled_from(["a", "A", "a/b", "ключ"])
    bounds = st.none() | used_dates | dates

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.stored: dict[str, list[Event]] = {"alice": [], "bob": []}
        self.start()
        with self.app.app_context():
            self.keys = {name: keys.create(name, name) for name in self.stored}

    def start(self) -> None:
        self.app = create_app({"TESTING": True}, self.folder.name)

    def teardown(self) -> None:
        close(self.app)
        self.folder.cleanup()

    def person(self, name: str) -> Person:
        return Person(self.app.test_client(), self.keys[name])

    @rule(target=used_dates, name=people, trace_id=traces, date=dates)
    def post(self, name: str, trace_id: str, date: str) -> str:
        number = sum(map(len, self.stored.values()))
        event = {**CLICK, "id": number, "trace_id": trace_id, "date": date}
        assert self.person(name).post(event).status_code == 201
        self.stored[name].append(event)
        return date

    @rule(name=people, trace_id=traces, date=used_dates)
    def post_with_an_equal_date(self, name: str, trace_id: str, date: str) -> None:
        self.post(name, trace_id, date)

    @rule(name=people, date=used_dates)
    def post_invalid_event(self, name: str, date: str) -> None:
        assert self.person(name).post({**CLICK, "id": "1", "date": date}).status_code == 400

    @rule(name=people, start=bounds, end=bounds)
    def list_a_window(self, name: str, start: str | None, end: str | None) -> None:
        events_in_listing = window(self.person(name), start, end)
        assert events_in_listing == expected(self.stored[name], start, end)

    @rule(name=people, trace_id=traces)
    def follow_a_trace(self, name: str, trace_id: str) -> None:
        carrying = [event for event in self.stored[name] if event["trace_id"] == trace_id]
        assert trace(self.person(name), trace_id) == expected(carrying)

    @rule()
    def restart(self) -> None:
        close(self.app)
        self.start()
        for name, stored in self.stored.items():
            assert listed(self.person(name)) == expected(stored)


def test_the_service_behaves_like_a_plain_list() -> None:
    steps = settings(max_examples=max(examples.max_examples // 2, 1), stateful_step_count=30)
    run_state_machine_as_test(Service, settings=steps)
