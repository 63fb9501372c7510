from __future__ import annotations

import json

import pytest
from support.api import CLICK, Person


def body(data: str) -> bytes:
    return f'{{"id":1,"name":"n","trace_id":"t","date":"2021-07-04","data":{data}}}'.encode()


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}}",
        json.dumps(CLICK).encode()[:-1],
        b"\xef\xbb\xbf" + json.dumps(CLICK).encode(),
        json.dumps(CLICK).encode("utf-16"),
        json.dumps(CLICK).encode().replace(b"click", b"cl\xffck"),
        json.dumps(CLICK).encode().replace(b'"id": 1', b'"id": 1, "id": 1'),
        json.dumps(CLICK).encode().replace(b'"id": 1', b'"id": ' + b"9" * 5000),
        json.dumps(CLICK).encode().replace(b'"click"', rb'"\ud800"'),
        body("NaN"),
        body('{"a": NaN}'),
        body('{"a": [Infinity]}'),
        body('{"a": -Infinity}'),
        body('{"a": 1e999}'),
        body('{"a": 1, "a": 2}'),
        body('{"a": {"b": 1, "b": 1}}'),
        body(r'{"a": "\ud800"}'),
        body(r'{"\udfff": 1}'),
        body(r'{"a": "\udc00\ud800"}'),
        body("{'a': 1}"),
        body('{"a": 01}'),
        body('{"a": "\t"}'),
        body('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        body('{"a": ' + "[" * 63 + "]" * 63 + "}"),
        b'{"x":{"data":{}},"data":{"a":1},"id":1,"name":"n","trace_id":"t"}',
        b'{"id":1,"name":"n","trace_id":"t","data":{}} {}',
    ],
)
def test_a_body_that_is_not_i_json_gets_400_and_stores_nothing(
    alice: Person, broken: bytes
) -> None:
    response = alice.post(broken)
    assert response.status_code == 400
    assert response.data == b'{"error": "validation error"}'
    assert alice.events() == []


@pytest.mark.parametrize(
    "data",
    [
        '{"a":' + "9" * 5000 + "}",
        '{"a":-0,"b":1.10,"c":1E2,"d":1e-999,"e":0.1000000000000000055511151231257827}',
        r'{"a":"\ud83d\ude00 \u0000 \" \\ \/ \u2028"}',
        '{"a":"\u2028 \x7f \uffff é 😀"}',
        r'{"a":"\"data\":{","b":"Z\"}{","data":{"data":{}}}',
        '{"":{"":""}}',
        '{"a":' + "[" * 61 + "]" * 61 + "}",
        "{}",
    ],
)
def test_data_is_returned_as_it_was_sent(alice: Person, data: str) -> None:
    assert alice.post(body(data)).status_code == 201
    assert alice.get().data.endswith(b'"data":' + data.encode() + b"}]}")


def test_whitespace_between_tokens_is_dropped_and_whitespace_in_text_is_kept(alice: Person) -> None:
    alice.post(body('{ "a b" :\t[ 1 ,\r\n "c  d" ] , "e" : " \\" " }'))
    assert alice.get().data.endswith(b'"data":{"a b":[1,"c  d"],"e":" \\" "}}]}')


@pytest.mark.parametrize("name", [rb"d\u0061ta", rb"\u0064\u0061\u0074\u0061"])
def test_a_member_name_may_contain_escapes(alice: Person, name: bytes) -> None:
    assert alice.post(body('{"data":{"a":1}}').replace(b"data", name, 1)).status_code == 201
    assert alice.events()[0]["data"] == {"data": {"a": 1}}


def test_members_may_come_in_any_order(alice: Person) -> None:
    alice.post(b' {"data" : {"a":1}, "trace_id":"\\"data\\":{", "name":"data", "id":1} ')
    (event,) = alice.events()
    assert (event["data"], event["trace_id"], event["name"]) == ({"a": 1}, '"data":{', "data")
