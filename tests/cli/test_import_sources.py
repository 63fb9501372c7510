from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError
from support.commands import Bytelog
from support.generated import many_examples

from bytelog.events.i_json import InvalidJSON
from bytelog.events.schemas import load_event
from bytelog.sources.mappings import SOURCES

SEGMENT = [
    (
        '{"anonymousId":"23adfd82-aa0f-45a7-a756-24f2a7a4c895","context":{"library":{"name":'
        '"analytics.js","version":"2.11.1"},"ip":"108.0.78.21"},"event":"Course Clicked",'
        '"integrations":{},"messageId":"ajs-f8ca1e4de5024d9430b3928bd8ac6b96","properties":'
        '{"title":"Intro"},"receivedAt":"2015-12-12T19:11:01.266Z","sentAt":'
        '"2015-12-12T19:11:01.169Z","timestamp":"2015-12-12T19:11:01.249Z","type":"track",'
        '"userId":"AiUGstSDIg","originalTimestamp":"2015-12-12T19:11:01.152Z"}',
        ("Course Clicked", "AiUGstSDIg", "2015-12-12T19:11:01.249Z"),
        ["event", "userId", "timestamp"],
    ),
    (
        '{"type":"page","name":"Home","anonymousId":"a-1","messageId":"m-2","timestamp":'
        '"2015-12-12T19:11:01.249Z","properties":{"path":"/","revenue":1.10}}',
        ("page", "a-1", "2015-12-12T19:11:01.249Z"),
        ["type", "anonymousId", "timestamp"],
    ),
    (
        '{"type":"identify","userId":97980,"anonymousId":"a-1","messageId":"m-3","event":"",'
        '"traits":{"email":"jane@example.com"},"timestamp":null,'
        '"originalTimestamp":"2019-08-12T05:08:30.909+05:30","channel":"web"}',
        ("identify", "97980", "2019-08-11T23:38:30.909Z"),
        ["type"],
    ),
]
POSTHOG = [
    (
        '{"uuid":"0190a2c4-6b7e-7c33-a8ad-d4f0a1b2c3d4","event":"$pageview","distinct_id":"u1",'
        '"person_id":"p1","properties":{"$session_id":"s-1","$current_url":"https://example.com"},'
        '"timestamp":"2024-07-01T10:30:00.123456+00:00","elements_chain":""}',
        ("$pageview", "s-1", "2024-07-01T10:30:00.123Z"),
        ["event"],
    ),
    (
        '{"event":"paid","properties":{"distinct_id":"u2","$lib":"posthog-python"},'
        '"timestamp":"2024-07-01T10:30:00.000Z"}',
        ("paid", "u2", "2024-07-01T10:30:00.000Z"),
        ["event", "timestamp"],
    ),
    (
        '{"id":"018f","distinct_id":"u3","properties":"{}","event":"x",'
        '"timestamp":"2021-08-15 23:41:41.507000"}',
        ("x", "u3", "2021-08-15T23:41:41.507Z"),
        ["event", "distinct_id"],
    ),
]
MIXPANEL = [
    (
        '{"event":"Signed up","properties":{"time":1602611311,"distinct_id":"user123",'
        '"$insert_id":"hpuDqcvpltpCjBsebtxwadtEBDnFAdycabFb","mp_processing_time_ms":1602625711874}}',
        ("Signed up", "user123", "2020-10-13T17:48:31.000Z"),
        ["event"],
    ),
    (
        '{"event":"Paid","properties":{"time":1618716477123,"distinct_id":"","$insert_id":"i2"}}',
        ("Paid", None, "2021-04-18T03:27:57.123Z"),
        ["event"],
    ),
    (
        '{"event":"Old","properties":{"time":-1.5,"distinct_id":"u"}}',
        ("Old", "u", "1969-12-31T23:59:58.500Z"),
        ["event"],
    ),
]
CLEF = [
    (
        '{"@t":"2016-06-07T03:44:57.8532799Z","@mt":"Hello, {User}","@i":"9515f1e2",'
        '"User":"alice","@tr":"0c483675c6c887d9fb49885c0f2ba116","@sp":"379563f3fcd56bc9"}',
        ("Hello, {User}", "0c483675c6c887d9fb49885c0f2ba116", "2016-06-07T03:44:57.853Z"),
        ["@mt", "@tr"],
    ),
    (
        '{"@t":"2016-06-07T03:44:57.853+02:00","@m":"It failed","@l":"Error",'
        '"@x":"System.Exception: no\\n   at Main()","RequestId":"0HN1","data":{"a":{"data":{}}}}',
        ("It failed", "0HN1", "2016-06-07T01:44:57.853Z"),
        ["@m", "RequestId"],
    ),
    (
        '{"@t":"2016-06-07T03:44:57.000Z","@mt":""}',
        ("Information", "own", "2016-06-07T03:44:57.000Z"),
        ["@t"],
    ),
]
SAMPLES: dict[str, list[Any]] = {
    "segment": SEGMENT,
    "posthog": POSTHOG,
    "mixpanel": MIXPANEL,
    "clef": CLEF,
}


@pytest.mark.parametrize(
    ("source", "line", "expected", "members_outside_data"),
    [(source, *sample) for source, samples in SAMPLES.items() for sample in samples],
)
def test_a_line_of_another_system_becomes_an_event_and_loses_nothing(
    source: str, line: str, expected: tuple[str, str | None, str], members_outside_data: list[str]
) -> None:
    event = load_event(SOURCES[source].parse(line, 7, "own").event)
    name, trace_id, date = expected
    assert event.name == name
    assert event.trace_id == (trace_id or str(event.id))
    assert event.date == date
    kept = {
        key: value for key, value in json.loads(line).items() if key not in members_outside_data
    }
    assert event.data == json.dumps(kept, separators=(",", ":")).replace("1.1}", "1.10}")


@pytest.mark.parametrize("source", SAMPLES)
def test_the_command_imports_the_export_of_another_system(tmp_path: Path, source: str) -> None:
    bytelog, lines = Bytelog(tmp_path), [sample[0] for sample in SAMPLES[source]]
    output = bytelog.run("import", "--from", source, text="\n".join(lines).encode())
    assert output == b"Imported 3 events into default.\n"
    exported = bytelog.run("export")
    names = {json.loads(line)["name"] for line in exported.splitlines()}
    assert names == {expected[0] for _, expected, _ in SAMPLES[source]}
    bytelog.run("import", "--project", "again", text=exported)
    assert bytelog.run("export", "--project", "again") == exported


def test_an_id_comes_from_the_message_id_or_the_line_number() -> None:
    segment, clef = SOURCES["segment"], SOURCES["clef"]
    digest = sha256(b"m-1").digest()
    identified = '{"type":"track","event":"e","userId":"u","messageId":"m-1"}'
    first, second = segment.parse(identified, 5, ""), segment.parse(identified, 6, "")
    assert first.event["id"] == int.from_bytes(digest[:8]) >> 1
    assert second.event["id"] == first.event["id"] < 2**63
    assert clef.parse('{"@t":"2021-08-15","@mt":"m"}', 5, "").event["id"] == 5


def test_numbers_stay_as_written() -> None:
    line = f'{{"event": "e", "properties": {{"n": [1.10, 1E5, {"9" * 5000}, -0]}}}}'
    event = SOURCES["mixpanel"].parse(line, 1, "").event
    assert event["data"].text == f'{{"properties":{{"n":[1.10,1E5,{"9" * 5000},-0]}}}}'


def test_a_name_that_is_too_long_is_cut_and_kept_in_data() -> None:
    line = json.dumps({"@t": "2021-08-15", "@mt": "m" * 300, "@tr": "t" * 255})
    event = SOURCES["clef"].parse(line, 1, "").event
    assert event["name"] == "m" * 255
    assert event["trace_id"] == "t" * 255
    assert json.loads(event["data"].text) == {"@t": "2021-08-15", "@mt": "m" * 300}


@pytest.mark.parametrize(
    ("source", "line", "complaint"),
    [
        ("segment", '{"userId": "u"}', "name.*Missing data"),
        ("posthog", '{"api_key": "k", "batch": []}', "name.*Missing data"),
        ("mixpanel", '{"event": "e", "properties": {"time": 1e300}}', "date.*Must be a date"),
        ("mixpanel", '{"event": "a\\u0000"}', "name.*Must be a string"),
        ("clef", '{"@t": "yesterday"}', "date.*Must be a date"),
        ("clef", '{"@t": "2021-08-15", "a": 1, "a": 2}', "a name appears twice in one object"),
        ("clef", '["@t"]', "not an object"),
        ("clef", '{"event": "e", "@t": null}', "Missing data"),
        ("clef", "2021-08-15 INFO started", "text follows the object"),
    ],
)
def test_a_line_of_the_wrong_system_is_rejected(source: str, line: str, complaint: str) -> None:
    with pytest.raises((InvalidJSON, ValidationError), match=complaint):
        load_event(SOURCES[source].parse(line, 1, "").event)


def test_the_command_names_the_invalid_line(tmp_path: Path) -> None:
    text = b'{"@t":"2021-08-15","@mt":"m"}\n{"@t":"yesterday"}\n'
    output = Bytelog(tmp_path).refuse("import", "--from", "clef", text=text)
    assert output.startswith("Error: line 2: date: Must be a date")


def test_a_file_can_be_imported_again_from_the_right_system(tmp_path: Path) -> None:
    bytelog = Bytelog(tmp_path)
    line = b'{"event":"e","properties":{"distinct_id":"u"}}'
    bytelog.run("import", "--from", "posthog", text=line)
    assert b"Imported 1 events" in bytelog.run("import", "--from", "mixpanel", text=line)
    assert b"Imported 0 events" in bytelog.run("import", "--from", "mixpanel", text=line)


def test_a_line_without_a_trace_id_gets_its_own_trace(tmp_path: Path) -> None:
    bytelog = Bytelog(tmp_path)
    line = b'{"@t":"2024-05-01T08:00:00Z","@mt":"Starting"}\n'
    for number in (1, 2, 3):
        bytelog.run("import", "--from", "clef", text=b'{"@t":"2024-05-0%d"}\n' % number + 2 * line)
    bytelog.run("import", "--from", "segment", text=b'{"event":"a","userId":"2"}\n{"event":"b"}\n')
    bytelog.run("import", "--from", "mixpanel", text=2 * b'{"event":"a","properties":{}}\n')
    events = [json.loads(event) for event in bytelog.run("export").splitlines()]
    assert len(events) == len({event["trace_id"] for event in events}) == 13


def test_a_trace_id_is_the_same_in_every_import_of_a_file(tmp_path: Path) -> None:
    bytelog = Bytelog(tmp_path)
    lines = [b'{"@t":"2024-05-01T08:00:00Z"}\n', b'{"@t":"2024-05-01T08:00:01Z"}\n']
    bytelog.run("import", "--from", "clef", text=b"".join(lines))
    bytelog.run("import", "--from", "clef", "--project", "grown", text=lines[0])
    bytelog.run("import", "--from", "clef", "--project", "grown", text=b"".join(lines))
    assert bytelog.run("export") == bytelog.run("export", "--project", "grown")


def test_a_date_that_ends_in_utc_is_accepted() -> None:
    for date in ("2024-05-01 08:00:00 UTC", "2024-05-01 08:00:00.000000 UTC"):
        line = json.dumps({"event": "e", "timestamp": date})
        event = SOURCES["segment"].parse(line, 1, "own").event
        assert event["date"] == "2024-05-01T08:00:00.000Z"


def test_mixpanel_times_are_in_the_time_zone_of_the_project(tmp_path: Path) -> None:
    bytelog = Bytelog(tmp_path)
    times = [int(datetime(2024, month, 1, 8, tzinfo=UTC).timestamp()) for month in (1, 7)]
    lines = [json.dumps({"event": "e", "properties": {"time": time}}) for time in times]
    zone = ("--time-zone", "Europe/Berlin")
    bytelog.run("import", "--from", "mixpanel", *zone, text="\n".join(lines).encode())
    exported = map(json.loads, bytelog.run("export").splitlines())
    assert [event["date"] for event in exported] == [
        *("2024-01-01T07:00:00.000Z", "2024-07-01T06:00:00.000Z")
    ]
    unknown = ("--from", "mixpanel", "--time-zone", "Europe/Bern")
    assert "not a known time zone" in bytelog.refuse("import", *unknown, status=2)
    assert "only for" in bytelog.refuse("import", *zone, status=2)


MEMBERS = """@t @mt @m @l @tr type event userId messageId timestamp sentAt uuid distinct_id
    properties $session_id time data x"""
NAMES = st.sampled_from(["", *MEMBERS.split()])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
    | st.sampled_from(["2021-08-15T00:00:00.000Z", "2021-08-15"]),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    max_leaves=5,
)


@many_examples
@given(st.dictionaries(NAMES, VALUES), st.sampled_from([*SOURCES]), st.sampled_from([None, 2]))
def test_every_value_of_a_line_is_in_its_event(
    line: dict[str, Any], source: str, indent: int | None
) -> None:
    line |= {"@t": "2021-08-15"} if source == "clef" else {}
    event = SOURCES[source].parse(json.dumps(line, indent=indent), 1, "own").event
    data = json.loads(event["data"].text)
    for name, value in line.items():
        if name in data:
            assert data[name] == value
        else:
            assert value in (event.get("name"), event["trace_id"], event.get("date"))
