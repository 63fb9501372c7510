from __future__ import annotations

import json

import pytest

from bytelog.cli.table import Style, Table
from bytelog.cli.terminal import cut, make_printable, measure


def draw(*events: dict[str, object], width: int | None = None) -> list[str]:
    lines = "".join(json.dumps(event) + "\n" for event in events)
    return list(Table().draw([lines.encode()], Style(width)))


def event(**changes: object) -> dict[str, object]:
    fields = {"id": 1, "name": "n", "trace_id": "t", "date": "2021-08-15T00:00:00.000Z"}
    return {**fields, "data": {}, **changes}


@pytest.mark.parametrize(
    ("text", "width"), [("click", 5), ("København", 9), ("東京", 4), ("e\u0301", 1), ("🐴", 2)]
)
def test_the_width_of_a_text_is_that_on_a_terminal(text: str, width: int) -> None:
    assert measure(text) == width


@pytest.mark.parametrize(
    ("width", "shown"), [(6, "東京都"), (5, "東京…"), (4, "東…"), (3, "東…"), (1, "…")]
)
def test_a_text_that_is_too_wide_is_cut(width: int, shown: str) -> None:
    assert cut("東京都", width) == shown


def test_characters_that_cannot_be_printed_are_escaped_as_in_json() -> None:
    assert make_printable("a\nb\x1b\u202e\x9b") == r"a\nb\u001b\u202e\u009b"
    assert make_printable('Køb "东京" 🐴 \\') == 'Køb "东京" 🐴 \\'


def test_escapes_in_data_are_shown_as_characters_if_these_can_be_printed() -> None:
    data = {"a": 'K\u00f8b \U0001f434 "quoted" C:\\u0041 / \x1b\u2028'}
    _, line = draw(event(data=data))
    assert line.endswith('{"a": "Køb 🐴 \\"quoted\\" C:\\\\u0041 / \\u001b\\u2028"}')


def test_numbers_are_shown_as_they_were_sent() -> None:
    line = b'{"id":1,"name":"n","trace_id":"t","date":"d","data":{"a":1.10,"b":1E5}}\n'
    assert [*Table().draw([line], Style())][1].endswith('{"a":1.10,"b":1E5}')


def test_later_lines_keep_the_columns_of_earlier_ones() -> None:
    table = Table()
    pages = [json.dumps(event(name=name)).encode() for name in ("longer_name", "n")]
    heading, first = table.draw(pages[:1], Style(80))
    (second,) = table.draw(pages[1:], Style(80))
    assert heading.index("TRACE_ID") == first.index("t  ") == second.index("t  ")


def test_a_long_name_takes_a_quarter_of_the_line_at_most() -> None:
    _, line = draw(event(name="n" * 255), width=200)
    assert line.count("n") == 49
    assert line.endswith("t          1  {}")
