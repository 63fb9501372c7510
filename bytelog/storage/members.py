# ruff: noqa: S608 (every value is a bound parameter)
"""Conditions on the members of `data`, for SQLite and PostgreSQL.

In SQLite, JSON paths compare names as written, and miss a name with an escape. `json_each` decodes
names, but takes ten times as long as a search in the text. So the text is searched first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Dialect, String, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from .numbers import MAX_NUMBER_CHARACTERS

# PostgreSQL cannot read JSON with an escaped NUL. I-JSON should have no noncharacters (RFC 7493
# section 2.1), so U+FDD0 replaces NUL where members are compared.
_NUL, _NONCHARACTER = r"(?<!\\)((?:\\\\)*)\\u0000", r"\1\\ufdd0"

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
        """Return the text; for PostgreSQL, U+FDD0 replaces NUL."""
        return value and (value.replace("\0", "\ufdd0") if dialect.name == "postgresql" else value)


class MemberMatches(FunctionElement[bool]):
    """Whether a member of `data` passes a test with one of some values.

    `path` are the member's names, `values` the values as text, `numbers` the same where they are
    numbers and NULL where not. A string is tested after decoding, a number by its value and as it
    was written, everything else as it was written.
    """

    type = Boolean()
    inherit_cache = False

    def __init__(
        self,
        data: ColumnElement[str],
        path: Sequence[ColumnElement[str]],
        test: Test,
        values: Sequence[ColumnElement[str]],
        numbers: Sequence[ColumnElement[str]],
    ) -> None:
        super().__init__(data, *path, *values, *numbers)
        self.data, self.path, self.test = data, path, test
        self.values, self.numbers = values, numbers


class HasText(FunctionElement[bool]):
    """Whether a string within `data` contains a text, which is in lower case.

    Letters of ASCII are alike in any case.
    """

    type = Boolean()
    inherit_cache = False


class LowerCase(FunctionElement[str]):
    """A text with the letters of ASCII in lower case."""

    type = String()
    inherit_cache = False


@compiles(MemberMatches, "sqlite")
def _sqlite_member(element: MemberMatches, compiler: SQLCompiler, **options: Any) -> str:
    process: Process = partial(compiler.process, **options)
    source, levels = process(element.data), []
    for level, bind in enumerate(element.path):
        name = process(bind)
        levels.append(f"json_each({source}) m{level}")
        is_next = f"m{level}.key = {name} AND m{level}.type = 'object'"
        source = f"CASE WHEN {is_next} THEN m{level}.value END"
    last = f"m{len(levels) - 1}"
    if element.test is Test.EXISTS:
        return f"EXISTS (SELECT 1 FROM {', '.join(levels)} WHERE {last}.key = {name})"
    return (
        f"EXISTS (SELECT 1 FROM {', '.join(levels)}, json_tree({last}.json, {last}.fullkey) item"
        f" WHERE {last}.key = {name} AND (item.fullkey = {last}.fullkey"
        f" OR {last}.type = 'array' AND item.path = {last}.fullkey)"
        f" AND ({_sqlite_test(element, process)}))"
    )


def _sqlite_test(element: MemberMatches, process: Process) -> str:
    test, values = element.test, [process(value) for value in element.values]
    numbers = [process(number) for number in element.numbers]
    if test is Test.PREFIX:
        starts = " OR ".join(f"substr(item.atom, 1, length({v})) = {v}" for v in values)
        return f"item.type = 'text' AND ({starts})"
    compared = " OR ".join(_sqlite_comparison(test, number) for number in numbers)
    is_number = f"item.type IN ('integer', 'real') AND ({compared})"
    if test is not Test.EQUAL:
        return is_number
    text = "CASE item.type WHEN 'text' THEN item.atom ELSE item.json -> item.fullkey END"
    return f"{text} IN ({', '.join(values)}) OR {is_number}"


def _sqlite_comparison(test: Test, number: str) -> str:
    # SQLite converts a decimal number to a double with an error in the last digits, so that two
    # doubles that are close are compared as decimal numbers.
    written, double = "item.json -> item.fullkey", f"CAST({number} AS REAL)"
    is_far = (
        f"length(item.json) <= {MAX_NUMBER_CHARACTERS}"
        " AND abs(0.0 + item.atom) BETWEEN 1e-300 AND 1e300"
        f" AND abs(item.atom - {double}) > 1e-12 * abs({double})"
    )
    exact = f"compare_numbers({written}, {number}) {test} 0"
    return (
        f"CASE WHEN {number} IS NULL THEN NULL WHEN {is_far} THEN item.atom {test} {double}"
        f" ELSE {exact} END"
    )


@compiles(MemberMatches, "postgresql")
def _postgresql_member(element: MemberMatches, compiler: SQLCompiler, **options: Any) -> str:
    process: Process = partial(compiler.process, **options)
    path = " -> ".join([_postgresql_json(process(element.data)), *map(process, element.path)])
    if element.test is Test.EXISTS:
        return f"({path}) IS NOT NULL"
    return (
        f"EXISTS (SELECT 1 FROM (SELECT {path} AS value) member, LATERAL (SELECT member.value"
        " UNION ALL SELECT json_array_elements("
        "CASE json_typeof(member.value) WHEN 'array' THEN member.value END)) item"
        f" WHERE {_postgresql_test(element, process)})"
    )


def _postgresql_test(element: MemberMatches, process: Process) -> str:
    test, values = element.test, [process(value) for value in element.values]
    is_text, text = "json_typeof(item.value) = 'string'", "item.value #>> '{}'"
    if test is Test.PREFIX:
        starts = " OR ".join(f"starts_with({text}, {value})" for value in values)
        return f"{is_text} AND ({starts})"
    written = "CAST(item.value AS text)"
    is_number = (
        f"json_typeof(item.value) = 'number' AND length({written}) <= {MAX_NUMBER_CHARACTERS}"
        f" AND {written} !~ '[eE][-+]?[0-9]{{5}}'"
    )
    number = f"CASE WHEN {is_number} THEN CAST({written} AS numeric) END"
    compared = " OR ".join(
        f"{number} {test} CAST({process(bind)} AS numeric)" for bind in element.numbers
    )
    if test is not Test.EQUAL:
        return compared
    decoded = f"CASE WHEN {is_text} THEN {text} ELSE {written} END"
    return f"{decoded} IN ({', '.join(values)}) OR {compared}"


@compiles(HasText, "sqlite")
def _sqlite_has_text(element: HasText, compiler: SQLCompiler, **options: Any) -> str:
    data, text = (compiler.process(clause, **options) for clause in element.clauses)
    return (
        f"EXISTS (SELECT 1 FROM json_tree({data})"
        f" WHERE type = 'text' AND instr(lower(atom), {text}) > 0)"
    )


@compiles(HasText, "postgresql")
def _postgresql_has_text(element: HasText, compiler: SQLCompiler, **options: Any) -> str:
    data, text = (compiler.process(clause, **options) for clause in element.clauses)
    lowered = "lower((value #>> '{}') COLLATE \"C\")"
    has_text = f"json_typeof(value) = 'string' AND strpos({lowered}, {text}) > 0"
    return (
        f"EXISTS (WITH RECURSIVE tree(value) AS (SELECT {_postgresql_json(data)} UNION ALL"
        " SELECT child.value FROM tree, LATERAL (SELECT value FROM json_each("
        "CASE json_typeof(tree.value) WHEN 'object' THEN tree.value END) UNION ALL"
        " SELECT value FROM json_array_elements("
        "CASE json_typeof(tree.value) WHEN 'array' THEN tree.value END)) child)"
        f" SELECT 1 FROM tree WHERE {has_text})"
    )


def _postgresql_json(data: str) -> str:
    readable = f"regexp_replace({data}, '{_NUL}', '{_NONCHARACTER}', 'g')"
    has_nul = rf"strpos({data}, '\u0000') > 0"
    return f"CAST(CASE WHEN {has_nul} THEN {readable} ELSE {data} END AS json)"


@compiles(LowerCase, "sqlite")
def _sqlite_lower_case(element: LowerCase, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(LowerCase, "postgresql")
def _postgresql_lower_case(element: LowerCase, compiler: SQLCompiler, **options: Any) -> str:
    return f'lower(({compiler.process(element.clauses, **options)}) COLLATE "C")'
