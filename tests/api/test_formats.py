from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.cells import HOSTILE_CELLS
from support.listings import MANY, copy_filled, fill, memory, read_to_the_end, start_listing
from support.server import Server
from werkzeug.test import TestResponse

from bytelog import create_app
from bytelog.config import MAX_ID, MIN_ID
from bytelog.queries.formats import FORMULA_STARTS, LINES_TYPES
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.each_database

JSON, LINES, CSV = "application/json", "application/x-ndjson", "text/csv"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
STRANGE = [
    "a\nb",
    "a\r\nb\r",
    '"',
    '""',
    '",="',
    "a,b;c\td",
    "\u2028\u2029\x85\x0b\x0c\x1e",
    "ключ😀",
    "'",
]


GUARD = re.compile(r"(?:^|(?<=[;\t\r\n]))'")  # an apostrophe that keeps a cell from being a formula


def get(person: Person, accept: str | None = None, path: str = "") -> TestResponse:
    headers = person.headers | ({} if accept is None else {"Accept": accept})
    return person.client.get(EVENTS + path, headers=headers, buffered=True)


def from_csv(text: str) -> list[dict[str, Any]]:
    events = []
    for row in csv.DictReader(io.StringIO(text, newline=""), strict=True):
        cells = {name: GUARD.sub("", cell) for name, cell in row.items()}
        events.append({**cells, "id": int(row["id"]), "data": json.loads(cells["data"])})
    return events


def from_lines(text: str) -> list[dict[str, Any]]:
    assert text == "" or text.endswith("}\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


@pytest.mark.before_database
@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        (BROWSER, JSON),
        ("application/*", JSON),
        ("text/*", CSV),
        ("image/png", JSON),
        (LINES, LINES),
        ("TEXT/CSV", CSV),
        ("text/csv;q=0", JSON),
        ("text/csv; charset=utf-8", CSV),
        ("text/csv;header=present;q=0.9, application/json;q=0.8", CSV),
        ("application/x-ndjson;charset=UTF-8", LINES),
        ("text/csv;q=0.5, application/json;q=0.6", JSON),
        ("text/csv;q=0.5, application/x-ndjson;q=0.6, */*;q=0.1", LINES),
        ("application/json, text/csv", JSON),
        ("application/problem+json, text/csv", CSV),
        ("*/*, text/csv", CSV),
        (";;;,,/", JSON),
        ("text/csv;q=nan", JSON),
        *((name, name) for name in LINES_TYPES),
        ("Application/JSONL; charset=UTF-8", "application/jsonl"),
        ("application/ndjson;q=0.5, application/x-jsonlines", "application/x-jsonlines"),
        ("application/ndjson;q=0.5, application/json;q=0.6", JSON),
    ],
)
def test_a_client_gets_the_format_that_it_prefers(
    alice: Person, accept: str | None, form: str
) -> None:
    for path in ("", "/trace/1"):
        response = get(alice, accept, path)
        assert (response.status_code, response.mimetype) == (200, form)
        assert "Accept" in response.headers["Vary"]


def test_every_format_contains_the_same_events_and_links(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bytelog.queries.pages.PAGE_EVENTS", 3)
    sent = [
        {
            **CLICK,
            "id": number,
            "name": text,
            "trace_id": text,
            "data": {text: [text, {"}{": 'Z"}{'}]},
        }
        for number, text in zip([MIN_ID, *range(1, len(STRANGE) - 1), MAX_ID], STRANGE, strict=True)
    ]
    for event in sent:
        assert alice.post(event).status_code == 201
    for query in ("", "?order=newest", "?limit=1", "?limit=7", "?name=none", "?order=arrival"):
        whole = get(alice, JSON, query)
        assert whole.json is not None
        for form, read in ((LINES, from_lines), ("application/jsonl", from_lines), (CSV, from_csv)):
            response = get(alice, form, query)
            events = read(response.text)
            assert events == whole.json["events"]
            assert ("Link" in response.headers) == ("Link" in whole.headers)
            assert [list(event) for event in events] == [list(CLICK)] * len(events)


def test_an_empty_listing_exists_in_every_format(alice: Person) -> None:
    assert get(alice, JSON).data == b'{"count":0,"events":[]}'
    assert get(alice, LINES).data == b""
    assert get(alice, CSV).data == b"id,name,trace_id,date,data\r\n"


def test_a_line_and_a_row_are_written_as_documented(alice: Person) -> None:
    alice.post({**CLICK, "data": {"a": "x\ny", "b": 'say "hi"'}})
    head = '{"id":1,"name":"click","trace_id":"03775690","date":"2021-08-15T23:41:41.507Z",'
    assert get(alice, LINES).text == head + '"data":{"a":"x\\ny","b":"say \\"hi\\""}}\n'
    row = '1,"click","03775690",2021-08-15T23:41:41.507Z,'
    row += '"{""a"":""x\\ny"",""b"":""say \\""hi\\""""}"'
    assert get(alice, CSV).text.split("\r\n")[1:] == [row, ""]


@pytest.mark.parametrize(
    "start", [*FORMULA_STARTS, "=", "+", "-", "@", "\t", "\r", "\n", "＝", "'"]
)
def test_no_cell_is_a_formula(alice: Person, start: str) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    alice.post({**CLICK, "name": text, "trace_id": f" {text}"})
    ((_, name, trace_id, _, _),) = list(
        csv.reader(io.StringIO(get(alice, CSV).text, newline=""), strict=True)
    )[1:]
    assert name.startswith(f"'{start}")
    assert [GUARD.sub("", cell) for cell in (name, trace_id)] == [text, f" {text}"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_is_a_formula_with_any_separator(alice: Person, delimiter: str) -> None:
    for text in HOSTILE_CELLS:
        alice.post({**CLICK, "name": text, "trace_id": text, "data": {text: [text]}})
    response = get(alice, CSV).text
    for row in csv.reader(io.StringIO(response, newline=""), delimiter=delimiter):
        assert [cell for cell in row if cell.startswith(tuple("=+-@＝＋－＠"))] == []
    assert [event["name"] for event in from_csv(response)] == HOSTILE_CELLS


@pytest.mark.parametrize(
    ("accept", "has_mark"),
    [
        ("text/csv; bom=1", True),
        ("TEXT/CSV;charset=utf-8;bom=1;q=0.5, image/png", True),
        ("text/csv; bom=0", False),
        ("application/json, text/csv; bom=1; q=0.5", False),
    ],
)
def test_csv_starts_with_a_byte_order_mark_on_request(
    alice: Person, accept: str, has_mark: bool
) -> None:
    assert get(alice, accept).data.startswith(b"\xef\xbb\xbfid,name") == has_mark


def test_different_names_stay_different_in_csv(alice: Person) -> None:
    names = ["=1", "'=1", "''=1", "1", "'1"]
    for name in names:
        alice.post({**CLICK, "name": name})
    assert [event["name"] for event in from_csv(get(alice, CSV).text)] == names
    assert get(alice, CSV).text.count("\"'") == 4


def test_the_largest_event_is_listed_in_every_format(alice: Person) -> None:
    rest = len(json.dumps({**CLICK, "data": {"": []}}))
    data = '{"":[' + '"",' * ((2**20 - rest) // 3 - 1) + '""]}'
    event = json.dumps({**CLICK, "data": "DATA"}).replace('"DATA"', data)
    for _ in range(3):
        assert alice.post(event.encode()).status_code == 201
    assert alice.post(CLICK).status_code == 201
    for form, read in ((LINES, from_lines), (CSV, from_csv)):
        csv.field_size_limit(2**22)
        assert read(get(alice, form).text) == [json.loads(event)] * 3 + [CLICK]


def test_a_head_request_gets_the_format_and_occupies_no_slot(app: Flask, alice: Person) -> None:
    fill(app, 20_000)
    app.config["BYTELOG_API_KEY"] = "k"
    reader = Person(app.test_client(), "k")
    for form in (JSON, LINES, CSV) * 4:
        response = reader.client.head(EVENTS, headers={**reader.headers, "Accept": form})
        response.close()
        assert (response.status_code, response.mimetype, response.data) == (200, form, b"")
    assert get(reader, LINES).data.count(b"\n") == 20_000


@pytest.fixture(scope="module")
def full_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("forms")
    copy_filled(folder / "data", MANY)
    with Server(folder, BYTELOG_API_KEY=Server.key) as server:
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(("form", "size"), [(LINES, 19_000_000), (CSV, 15_000_000)])
def test_a_long_listing_takes_constant_memory_in_every_format(
    full_server: Server, form: str, size: int
) -> None:
    full_server.request(f"{EVENTS}?end=2021-08-15T00:00:01Z", Accept=form)
    before = memory(full_server)
    response = full_server.request(EVENTS, Accept=form)
    assert response.body.count(b"\n") == MANY + (form == CSV)
    assert len(response.body) > size
    assert memory(full_server) - before < 16 * 1024


def test_a_listing_that_fails_midway_does_not_look_complete(serve: Callable[..., Server]) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, events=MANY)
    app = create_app(instance_path=server.folder / "data")
    for form, kept in ((LINES, 40_000), (CSV, 20_000)):
        with start_listing(server, form) as peer:
            with app.app_context(), current_writer().transaction() as connection:
                connection.exec_driver_sql(f"DELETE FROM event WHERE id > {kept}")
            with pytest.raises(ConnectionResetError):
                read_to_the_end(peer)
