"""Generated events and questions, and the answers of a plain model in Python."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from operator import ge, gt, le, lt
from typing import Any, NamedTuple
from urllib.parse import urlencode

from hypothesis import strategies as st

from bytelog.storage.numbers import parse_number

Query = list[tuple[str, str]]


class Number(str):
    """A number as it was written."""

    __slots__ = ()


VALUES = [
    *('"pro"', '"Pro"', '"pro plan"', '""', '"12.5"', '"10"', '"true"', '"null"', '"ö"', '"Ö"'),
    *(r'"\u00f6"', r'"a\"b"', r'"pr\u006f"', r'"x\u0000y"', r'"\\"', '"%"', r'"pro\n"'),
    *("12.5", "12.50", "1.25e1", "-12.5", "10", "10.0", "1E+1", "0", "-0", "-0.0", "0e5", "1e-400"),
    *("9007199254740992", "9007199254740993", "9007199254740993.0", "-9223372036854775808"),
    *("9223372036854775808", "0.1", "0.10000000000000000555", "1e308", f"1{'0' * 400}", "1e-99999"),
    *(f"1{'1' * 6000}", f"0.{'3' * 7000}", "5e-324", "true", "false", "null"),
    *(
        "{}",
        '{"b":"pro"}',
        '{"b":12.50,"service.name":"x"}',
        "[]",
        '["pro",12.50]',
        '[["pro"],null]',
    ),
    *(r'["pr\u006f"]', r'"pro\u0000"', r'["10","pro\u0000x"]'),
]
"""JSON texts of members."""

BOUNDS = ["0", "-0.0", "10", "12.5", "1.25E1", "9007199254740992", "9007199254740993", "1e-300"]
TEXTS = [
    "pro",
    "pr",
    "p",
    "PRO",
    "Pro",
    "ö",
    "Ö",
    "12.5",
    "12.50",
    "10.0",
    '"',
    "\\",
    "\n",
    "%",
    "plan",
]
NAMES = ["visit", "sign_up", "order", "paypal_payment"]
TRACES = ["t1", "t2", "T1", "u1"]


class Model(NamedTuple):
    """An event of a test: its fields, and each member of `data` as it was written."""

    id: int
    name: str
    trace_id: str
    date: str
    members: dict[str, str]

    def text(self) -> str:
        fields = {name: value for name, value in self._asdict().items() if name != "members"}
        data = ",".join(f"{json.dumps(name)}:{text}" for name, text in self.members.items())
        return f'{json.dumps(fields)[:-1]},"data":{{{data}}}}}'

    @property
    def data(self) -> dict[str, Any]:
        return {name: decode(text) for name, text in self.members.items()}


def decode(text: str) -> Any:
    return json.loads(text, parse_float=Number, parse_int=Number)


DATES = [f"2021-03-{day}T{hour}:30:00.000Z" for day in (27, 28) for hour in ("00", "12", "23")]

CATALOG = [
    Model(number, NAMES[number % 4], TRACES[number % 3], DATES[number % 6], members)
    for number, members in enumerate(
        [
            {},
            *({"a": value} for value in VALUES),
            *({"ü": value, "service.name": value} for value in VALUES),
            {"a": '"pro"', "ü": "10", "service.name": "null"},
        ]
    )
]
"""An event for each value of each member."""


_fields = st.sampled_from(["name", "name[not]", "trace_id", "trace_id[not]"])
_paths = st.sampled_from(["a", "a.b", "ü", '"service.name"', 'a."service.name"'])
_texts = st.sampled_from(
    [*TEXTS, *(text for text in VALUES if len(text) < 500 and "\\u" not in text)]
)
filters: st.SearchStrategy[Query] = st.one_of(
    st.tuples(_fields, st.sampled_from([*NAMES, *TRACES])).map(lambda pair: [pair]),
    st.lists(st.tuples(st.just("name"), st.sampled_from(NAMES)), min_size=1, max_size=3),
    st.lists(
        st.tuples(st.just("name[prefix]"), st.sampled_from(["v", "sign", "x"])),
        min_size=1,
        max_size=2,
    ),
    st.tuples(st.just("trace_id[prefix]"), st.sampled_from(["t", "T1", "x"])).map(
        lambda pair: [pair]
    ),
    st.tuples(st.just("id"), st.sampled_from(["0", "11"])).map(lambda pair: [pair]),
    st.tuples(st.just("q"), st.sampled_from([*(text for text in TEXTS if text), "T1", "sign"])).map(
        lambda pair: [pair]
    ),
    st.builds(
        lambda path, operator, values: [(f"data.{path}{operator}", value) for value in values],
        _paths,
        st.sampled_from(["", "[not]", "[prefix]"]),
        st.lists(_texts, min_size=1, max_size=3),
    ),
    st.builds(
        lambda path, operator, bound: [(f"data.{path}[{operator}]", bound)],
        _paths,
        st.sampled_from(["gt", "gte", "lt", "lte"]),
        st.sampled_from(BOUNDS),
    ),
    st.builds(
        lambda path, exists: [(f"data.{path}[exists]", exists)],
        _paths,
        st.sampled_from(["true", "false"]),
    ),
)
"""The values of one parameter that filters."""

queries = st.lists(filters, max_size=2).map(
    lambda parameters: list({query[0][0]: query for query in parameters}.values())
)


def encode(*queries: Query) -> str:
    return urlencode([pair for query in queries for pair in query])


def matches(event: Model, query: Query) -> bool:
    """Return whether an event matches the values of one parameter."""
    parameter, values = query[0][0], [value for _, value in query]
    field, _, operator = parameter.rstrip("]").partition("[")
    if field == "q":
        return any(values[0].translate(LOWER) in text.translate(LOWER) for text in texts_of(event))
    if operator == "not":
        return not matches(event, [(field, value) for value in values])
    items = items_of(event, field)
    if operator == "exists":
        return bool(items) == (values[0] == "true")
    return any(passes(item, operator, value) for item in items for value in values)


LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def texts_of(event: Model) -> list[str]:
    return [event.name, event.trace_id, *strings_within(event.data)]


def strings_within(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in strings_within(item)]
    return [value] if is_text(value) else []


def items_of(event: Model, field: str) -> list[Any]:
    """Return the value of a field and, if it is an array, its elements."""
    if not field.startswith("data."):
        return [str(getattr(event, field))]
    value: Any = event.data
    for quoted, plain in re.findall(r'(?:"([^"]+)"|([^".]+))', field.removeprefix("data.")):
        if not isinstance(value, dict) or (quoted or plain) not in value:
            return []
        value = value[quoted or plain]
    return [value, *value] if isinstance(value, list) else [value]


def passes(item: Any, operator: str, value: str) -> bool:
    if operator == "prefix":
        return is_text(item) and item.startswith(value)
    number = parse_number(item) if isinstance(item, Number) else None
    bound = parse_number(value)
    is_comparable = number is not None and bound is not None
    if operator:
        return is_comparable and COMPARISONS[operator](number, bound)
    return (item if is_text(item) else write(item)) == value or (is_comparable and number == bound)


COMPARISONS: dict[str, Callable[..., bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def write(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return f"[{','.join(map(write, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{write(name)}:{write(item)}' for name, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)
