from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from marshmallow import ValidationError
from support.api import CLICK
from support.effort import LONG

from bytelog.config import MAX_BODY_BYTES
from bytelog.events import decoder, schemas
from bytelog.events.decoder import PIECE_BYTES, decode_event, split_array
from bytelog.events.i_json import InvalidJSON, decode_array, decode_object, decode_text

BODIES = 1_000_000 if LONG else 5000

STRINGS = [
    *("", "a", r"\u0061", r"\ud83d\ude00", r"\ud800", "é", r"\u00e9", "x" * 255, "x" * 256),
    *(r"a\u0000", r"\/", "/", " a b ", r"\n", r"\u2028", "\u2028", "\x7f", "\ufdd0", "a:b,c"),
    *("😀" * 255, "😀" * 256, "},{", r"\"},{", "\x01", r"\x"),
]
NUMBERS = [
    *("1", "-1", "0", "-0", "1.0", "1e5", "1E400", "1e-400", "0.1", "129.90", "1e22", "-0.0"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1" * 5000),
    *("123456789012345678901234567890", "NaN", "Infinity", "-Infinity", "01", "1e16", "1E5"),
    *("5e-324", "1" + "0" * 309, "1" + "0" * 309 + ".0", "1e+5", "true", "null", "1.", "-"),
]
DATES = [
    *("2021-07-04T13:34:56.000Z", "2021-07-04T13:34:56Z", "2021-02-30T13:34:56.000Z"),
    *("2021-07-04", "2021-07-04T24:00:00.000Z", "2021-07-04T23:59:60.000Z", "2021-185", "x"),
    *("0000-07-04T13:34:56.000Z", "2021-07-04T13:34:56.000+02:00", "2021-07-04t13:34:56.000z"),
    *("٢021-07-04T13:34:56.000Z", "9999-12-31T23:59:59.999Z", r"2021-07-04T13:34:56.000Z\n"),
    *("2021-07-04T13:34:56.123456+00:00", "0001-01-01T00:00:00+14:00", ""),
]
SPACES = ["", "", "", " ", "\n", "\t", "\r\n", "  "]
DEPTHS = [61, 62, 63, 64, 65, 200, 1100]


class Generator:
    """Generates texts that are nearly all events, or nearly all I-JSON."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def body(self) -> bytes:
        text = (self.space() + self.event() + self.space()).encode("utf-8", "surrogatepass")
        if self.is_rarely(0.05):
            position = self.chance.randrange(len(text))
            text = text[:position] + bytes([self.chance.randrange(256)]) + text[position + 1 :]
        if self.is_rarely(0.03):
            text = text[: self.chance.randrange(len(text))]
        return text

    def array(self) -> bytes:
        elements = [self.body() for _ in range(self.chance.randrange(4))]
        if self.is_rarely(0.1):
            elements.append(b"")
        return b" [" + b",".join(elements) + b"]" * (not self.is_rarely(0.05)) + b"\n"

    def event(self) -> str:
        members = [("id", "5"), ("name", '"n"'), ("trace_id", '"t"'), ("date", f'"{DATES[0]}"')]
        members.append(("data", '{"a": 1}'))
        for _ in range(self.chance.choice([0, 0, 1, 1, 2])):
            self.change(members)
        return self.object(members)

    def change(self, members: list[tuple[str, str]]) -> None:
        position = self.chance.randrange(len(members))
        name = members[position][0]
        changes: list[Callable[[], object]] = [
            lambda: members.__setitem__(position, (name, self.value_of(name))),
            lambda: members.__setitem__(position, (name, self.value())),
            lambda: members.insert(position, (name, self.value_of(name))),
            lambda: members.append((self.chance.choice(["x", r"d\u0061ta", "Data"]), self.value())),
            lambda: self.chance.shuffle(members),
            lambda: members.append(members.pop(position)) if self.is_rarely(0.5) else None,
        ]
        self.chance.choices(changes, [6, 2, 1, 1, 2, 1])[0]()
        if self.is_rarely(0.1) and len(members) > 1:
            del members[position % len(members)]

    def value_of(self, name: str) -> str:
        match name:
            case "id":
                return self.chance.choice(NUMBERS)
            case "date":
                return f'"{self.chance.choice(DATES)}"'
            case "data":
                names = [self.chance.choice(STRINGS) for _ in range(self.chance.randrange(4))]
                return self.object([(name, self.value()) for name in names])
        return f'"{self.chance.choice(STRINGS)}"'

    def value(self, depth: int = 0) -> str:
        kind = self.chance.random()
        if kind < 0.4 or depth > 3:
            return f'"{self.chance.choice(STRINGS)}"'
        if kind < 0.7:
            return self.chance.choice(NUMBERS)
        if kind < 0.73:
            return "[" * (levels := self.chance.choice(DEPTHS)) + "]" * levels
        values = [self.value(depth + 1) for _ in range(self.chance.randrange(3))]
        if kind < 0.87:
            return self.object([(self.chance.choice(STRINGS), value) for value in values])
        return "[" + ",".join(self.space() + value + self.space() for value in values) + "]"

    def object(self, members: list[tuple[str, str]]) -> str:
        space = self.space
        written = (f'{space()}"{name}"{space()}:{space()}{text}{space()}' for name, text in members)
        return "{" + ",".join(written) + "}"

    def space(self) -> str:
        return self.chance.choice(SPACES) if not self.is_rarely(0.01) else "\x0c"

    def is_rarely(self, share: float) -> bool:
        return self.chance.random() < share


def judge(text: bytes) -> schemas.EventFields | None:
    """Return what the schema makes of a text, None if it refuses it."""
    try:
        return schemas.load_event(decode_object(decode_text(text)))
    except (InvalidJSON, ValidationError):
        return None


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 3))
def test_what_is_decoded_is_what_the_schema_accepts(seed: int) -> None:
    generator, decoded, accepted = Generator(seed), 0, 0
    for _ in range(BODIES // 2):
        text = generator.body()
        fields, judged = decode_event(text), judge(text)
        decoded, accepted = decoded + bool(fields), accepted + bool(judged)
        if fields:
            assert judged, text
            assert (*fields[:3], fields[4]) == (*judged[:3], judged.data), text
            is_now = b'"date"' not in text and abs(age(fields[3]) - age(judged.date)) < 5
            assert is_now or fields[3] == judged.date, text
    assert decoded > accepted * 0.9 > BODIES * 0.2


def age(date: str) -> float:
    return datetime.fromisoformat(date).timestamp()


def split_slowly(body: bytes) -> list[bytes] | None:
    try:
        return [text.encode() for text in decode_array(decode_text(body))]
    except InvalidJSON:
        return None


def split(body: bytes) -> list[bytes] | None:
    try:
        return list(split_array(body))
    except InvalidJSON:
        return None


@pytest.mark.long
def test_a_split_array_has_the_elements_of_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "PIECE_BYTES", 50)
    generator = Generator(3)
    for _ in range(BODIES // 5):
        body = generator.array()
        slow, fast = split_slowly(body), split(body)
        if slow is not None:
            assert fast == slow, body
        elif fast is not None:  # An element is not JSON, which its own decoding finds out.
            assert any(judge(element) is None for element in fast), body


@pytest.mark.parametrize("length", [10, PIECE_BYTES - 40, PIECE_BYTES, 3 * PIECE_BYTES])
def test_an_array_of_any_length_is_split(length: int) -> None:
    elements = [json.dumps({"a": [{"b": "},{" * (length // 3)}, {}]}).encode()] * 30
    for separator in (b",", b" , "):
        body = b"[" + separator.join(elements) + b"] "
        assert [json.loads(element) for element in split_array(body)] == [
            json.loads(element) for element in elements
        ]


@pytest.mark.parametrize("body", [b"[", b"[1,]", b"[,]", b"[1 2]", b"[{}}]", b"[{}", b"[[{},]]"])
def test_what_is_no_array_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJSON):
        list(split_array(body))


ASCII: dict[str, Any] = {**CLICK, "data": {"price": 129.9, "name": "Jürgen 😀", "url": "a/b"}}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ASCII),
        json.dumps(ASCII, ensure_ascii=False),
        json.dumps(ASCII, indent=2),
        json.dumps(ASCII, separators=(",", ":")),
        json.dumps(ASCII).replace("/", r"\/"),
        json.dumps({**ASCII, "date": "2021-08-15T23:41:41.507123+00:00"}),
        json.dumps({name: ASCII[name] for name in ("id", "name", "trace_id")}),
    ],
)
def test_what_clients_write_is_decoded_without_the_schema(text: str) -> None:
    assert decode_event(text.encode()) is not None


def test_an_event_that_is_too_long_is_left_to_the_schema() -> None:
    text = json.dumps({**CLICK, "data": {"text": "x" * MAX_BODY_BYTES}}).encode()
    assert decode_event(text) is None
