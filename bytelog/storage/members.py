# ruff: noqa: S608 (every value is a bound parameter)
"""Conditions on the members of `data`, for SQLite and PostgreSQL.

In SQLite, JSON paths compare names as written, and miss a name with an escape. `json_each` decodes
names, but takes several times as long, so it is left for objects that have an escape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Boolean, ColumnElement, Dialect, String, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from .functions import Function, writes
from .nul import NONCHARACTER, postgresql_json, sqlite_json, sqlite_written
from .numbers import MAX_NUMBER_CHARACTERS

_C = '"C"'
"""The collation of PostgreSQL that knows letters of ASCII only."""

Process = Callable[[ColumnElement[Any]], str]


class Test(StrEnum):
    """What is required of a member, or of one element of a member that is an array."""

    EQUAL = "="
    PREFIX = "prefix"
    GREATER = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="
    EXISTS = "exists"


class MemberText(TypeDecorator[str]):
    """The name or value of a member of a JSON object."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text, in which U+FDD0 replaces NUL."""
        return value and value.replace("\0", NONCHARACTER)


class Value(NamedTuple):
    """The parameters of a value of a filter: its text and, if it is a number, that and its bounds.

    The bounds are doubles that are certainly less and greater than the number.
    """

    text: ColumnElement[str]
    number: ColumnElement[str]
    low: ColumnElement[float]
    high: ColumnElement[float]


class MemberMatches(Function):
    """Whether a member of `data` passes a test with one of some values.

    `path` are the member's names, `json_path` the same as a path of SQLite. A string is tested
    after decoding, a number by its value, everything else as it was written.
    """

    type = Boolean()

    def __init__(
        self,
        data: ColumnElement[str],
        path: Sequence[ColumnElement[str]],
        json_path: ColumnElement[str],
        test: Test,
        values: Sequence[Value],
    ) -> None:
        super().__init__(data, *path, json_path, *chain(*values))
        self.data, self.path, self.json_path = data, path, json_path
        self.test, self.values = test, values


class ContainsText(Function):
    """Whether a text matches a pattern of LIKE, with letters of ASCII alike in any case."""

    type = Boolean()


class HasText(Function):
    """The same for the strings within `data`."""

    type = Boolean()


class _Item(NamedTuple):
    """The expressions for a JSON value: its type, its value in SQL, its text, and its document.

    The text of an array or an object has an expression of its own: only these may contain NUL.
    """

    kind: str
    value: str
    written: str
    container: str
    document: str


@compiles(MemberMatches, "sqlite")
def _sqlite_member(element: MemberMatches, compiler: SQLCompiler, **options: Any) -> str:
    process: Process = partial(compiler.process, **options)
    data, path = process(element.data), process(element.json_path)
    kind, value = f"json_type({data}, {path})", f"json_extract({data}, {path})"
    search = _sqlite_search(element, process)
    written = f"{data} -> {path}"
    item = _Item(kind, value, written, written, data)
    test = _sqlite_test(element, item, search, process)
    return rf"CASE WHEN instr({data}, '\') > 0 THEN {search} ELSE coalesce({test}, 0) END"


def _sqlite_search(element: MemberMatches, process: Process) -> str:
    names = [process(name) for name in element.path]
    data = process(element.data)
    levels, last = sqlite_levels(sqlite_json(data), names)
    written = "item.json -> item.fullkey"
    container = f"({sqlite_written(data, written)})"
    item = _Item("item.type", "item.atom", written, container, "item.json")
    return (
        f"EXISTS (SELECT 1 FROM {levels}, json_tree({last}.json, {last}.fullkey) item"
        f" WHERE {last}.key = {names[-1]} AND (item.fullkey = {last}.fullkey"
        f" OR {last}.type = 'array' AND item.path = {last}.fullkey)"
        f" AND ({_sqlite_test(element, item, '0', process)}))"
    )


def sqlite_levels(data: str, names: Sequence[str]) -> tuple[str, str]:
    """Return SQL for a table of the members on each level that names lead to, and the last alias.

    The name of the last level is still to be compared.
    """
    source, levels = data, []
    for level, name in enumerate(names):
        levels.append(f"json_each({source}) m{level}")
        is_next = f"m{level}.key = {name} AND m{level}.type = 'object'"
        source = f"CASE WHEN {is_next} THEN m{level}.value END"
    return ", ".join(levels), f"m{len(levels) - 1}"


def _sqlite_test(element: MemberMatches, item: _Item, of_elements: str, process: Process) -> str:
    """Return the test of a value; `of_elements` is the test of its elements if it is an array."""
    texts = [process(value.text) for value in element.values]
    match element.test:
        case Test.EXISTS:
            return f"{item.kind} IS NOT NULL"
        case Test.PREFIX:
            starts = " OR ".join(f"substr({item.value}, 1, length({v})) = {v}" for v in texts)
            return f"CASE {item.kind} WHEN 'text' THEN {starts} WHEN 'array' THEN {of_elements} END"
        case Test.EQUAL:
            sources = item.value, item.written, item.container
            text, other, container = (f"{one} IN ({', '.join(texts)})" for one in sources)
        case _:
            text = other = container = "0"
    numbers = " OR ".join(_sqlite_comparison(element, item, v, process) for v in element.values)
    # A missing member, which has no type, is tested as if it was not a number.
    return (
        f"CASE coalesce({item.kind}, 'null') WHEN 'text' THEN {text}"
        f" WHEN 'array' THEN {container} OR {of_elements} WHEN 'object' THEN {container}"
        f" WHEN 'true' THEN {other} WHEN 'false' THEN {other} WHEN 'null' THEN {other}"
        f" ELSE {numbers} END"
    )


def _sqlite_comparison(element: MemberMatches, item: _Item, value: Value, process: Process) -> str:
    # SQLite converts a decimal number to a double with an error in the last digits, so that two
    # numbers that are close are compared as decimal numbers. A double that is 0 may be a number
    # that is not compared by its value, such as 1e-99999.
    test, (text, number, low, high) = element.test, (process(bind) for bind in value)
    exact = f"compare_numbers({item.written}, {number}) {test} 0"
    of_text = f"{item.written} = {text}" if test is Test.EQUAL else "0"
    return (
        f"CASE WHEN {number} IS NULL THEN {of_text}"
        f" WHEN abs(0.0 + {item.value}) < 1e-300 OR length({item.document}) >"
        f" {MAX_NUMBER_CHARACTERS} THEN {exact}"
        f" WHEN {item.value} > {high} THEN {int(test in (Test.GREATER, Test.AT_LEAST))}"
        f" WHEN {item.value} < {low} THEN {int(test in (Test.LESS, Test.AT_MOST))}"
        f" ELSE {exact} END"
    )


@compiles(MemberMatches, "postgresql")
def _postgresql_member(element: MemberMatches, compiler: SQLCompiler, **options: Any) -> str:
    process: Process = partial(compiler.process, **options)
    path = " -> ".join([postgresql_json(process(element.data)), *map(process, element.path)])
    if element.test is Test.EXISTS:
        return f"({path}) IS NOT NULL"
    return (
        f"EXISTS (SELECT 1 FROM (SELECT {path} AS value) member, LATERAL (SELECT member.value"
        " UNION ALL SELECT json_array_elements("
        "CASE json_typeof(member.value) WHEN 'array' THEN member.value END)) item"
        f" WHERE {_postgresql_test(element, process)})"
    )


def _postgresql_test(element: MemberMatches, process: Process) -> str:
    test, values = element.test, [process(value.text) for value in element.values]
    is_text, text = "json_typeof(item.value) = 'string'", "item.value #>> '{}'"
    if test is Test.PREFIX:
        starts = " OR ".join(f"starts_with({text}, {value})" for value in values)
        return f"{is_text} AND ({starts})"
    written = "CAST(item.value AS text)"
    is_number = f"json_typeof(item.value) = 'number' AND {postgresql_is_exact(written)}"
    number = f"CASE WHEN {is_number} THEN CAST({written} AS numeric) END"
    compared = " OR ".join(
        f"{number} {test} CAST({process(value.number)} AS numeric)" for value in element.values
    )
    if test is not Test.EQUAL:
        return compared
    decoded = f"CASE WHEN {is_text} THEN {text} ELSE {written} END"
    return f"{decoded} IN ({', '.join(values)}) OR {compared}"


@writes("sqlite", ContainsText)
def _sqlite_contains(text: str, pattern: str) -> str:
    return rf"{text} LIKE {pattern} ESCAPE '\'"


@writes("postgresql", ContainsText)
def _postgresql_contains(text: str, pattern: str) -> str:
    return rf"({text}) COLLATE {_C} ILIKE {pattern} ESCAPE '\'"


@writes("sqlite", HasText)
def _sqlite_has_text(data: str, pattern: str) -> str:
    return (
        f"EXISTS (SELECT 1 FROM json_tree({sqlite_json(data)})"
        rf" WHERE type = 'text' AND atom LIKE {pattern} ESCAPE '\')"
    )


@writes("postgresql", HasText)
def _postgresql_has_text(data: str, pattern: str) -> str:
    has_text = rf"(value #>> '{{}}') COLLATE {_C} ILIKE {pattern} ESCAPE '\'"
    return (
        f"EXISTS (WITH RECURSIVE tree(value) AS (SELECT {postgresql_json(data)} UNION ALL"
        " SELECT child.value FROM tree, LATERAL (SELECT value FROM json_each("
        "CASE json_typeof(tree.value) WHEN 'object' THEN tree.value END) UNION ALL"
        " SELECT value FROM json_array_elements("
        "CASE json_typeof(tree.value) WHEN 'array' THEN tree.value END)) child)"
        f" SELECT 1 FROM tree WHERE json_typeof(value) = 'string' AND {has_text})"
    )


def postgresql_is_exact(number: str) -> str:
    """Return SQL for whether a JSON number is one that `parse_number` accepts."""
    return f"length({number}) <= {MAX_NUMBER_CHARACTERS} AND {number} !~ '[eE][-+]?[0-9]{{5}}'"
