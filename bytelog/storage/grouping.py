# ruff: noqa: S608 (every value is a bound parameter)
"""Groups by members of `data`, and totals of members, for SQLite and PostgreSQL.

A member is its JSON text as it was written, NULL if an event has none. In SQLite, the common
members are handled by SQL alone: a function of Python holds the lock that all threads share.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, Numeric, String, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from .members import postgresql_is_exact, postgresql_json, sqlite_levels


class _Function(FunctionElement[Any]):
    inherit_cache = False


class KeyText(TypeDecorator[str]):
    """The key of a group."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the key, with NUL again where PostgreSQL has U+FDD0."""
        if value is None or dialect.name != "postgresql":
            return value
        if value.startswith('"'):
            return value.replace("\ufdd0", "\0")
        return value.replace(r"\ufdd0", r"\u0000")


class Member(_Function):
    """A member of `data`; the names that lead to it follow `data`."""

    type = String()


class GroupKey(_Function):
    """What equal members have in common.

    For a string, a quote and its decoded text; for a number, its value in the shortest form; for
    other members the JSON text.
    """

    type = KeyText()


class MemberNumber(_Function):
    """A number that the database can add exactly, NULL for other members.

    In SQLite, these are integers in millionths, and the sum of 90 million of them is an integer.
    """

    type = Numeric()


class NumberTotals(_Function):
    """The totals of numbers of MemberNumber and their members, for `parse_totals`."""

    type = String()


@compiles(Member, "sqlite")
def _sqlite_member(element: Member, compiler: SQLCompiler, **options: Any) -> str:
    # A path compares names as written. Without a backslash, no name has an escape.
    data, *names = (compiler.process(clause, **options) for clause in element.clauses)
    path = "'$'" + "".join(f""" || '."' || {name} || '"'""" for name in names)
    levels, last = sqlite_levels(data, names)
    return (
        f"CASE instr({data}, '\\') WHEN 0 THEN {data} -> ({path})"
        f" ELSE (SELECT {last}.json -> {last}.fullkey FROM {levels}"
        f" WHERE {last}.key = {names[-1]}) END"
    )


@compiles(GroupKey, "sqlite")
def _sqlite_key(element: GroupKey, compiler: SQLCompiler, **options: Any) -> str:
    member = compiler.process(element.clauses, **options)
    has_short_form = f"{member} GLOB '*[eE]*' OR {member} GLOB '*.*0' OR {member} = '-0'"
    return (
        f"CASE WHEN {member} GLOB '\"*' THEN CASE instr({member}, '\\')"
        f" WHEN 0 THEN substr({member}, 1, length({member}) - 1) ELSE group_key({member}) END"
        f" WHEN {member} GLOB '[-0-9]*' AND ({has_short_form}) THEN group_key({member})"
        f" ELSE {member} END"
    )


@compiles(MemberNumber, "sqlite")
def _sqlite_number(element: MemberNumber, compiler: SQLCompiler, **options: Any) -> str:
    member = compiler.process(element.clauses, **options)
    point = f"instr({member}, '.')"
    zeros = f"substr('000000', 1 + length({member}) - {point})"
    return (
        f"CASE WHEN {member} GLOB '*[^0-9.-]*' THEN NULL WHEN {point} = 0"
        f" THEN CASE WHEN length({member}) <= 11 THEN CAST({member} AS INTEGER) * 1000000 END"
        f" WHEN {point} <= 12 AND length({member}) - {point} <= 6"
        f" THEN CAST(replace({member}, '.', '') || {zeros} AS INTEGER) END"
    )


@compiles(NumberTotals, "sqlite")
def _sqlite_totals(element: NumberTotals, compiler: SQLCompiler, **options: Any) -> str:
    number, member = (compiler.process(clause, **options) for clause in element.clauses)
    others = f"total_numbers({member}) FILTER (WHERE {number} IS NULL AND {member} IS NOT NULL)"
    bounds = f"min({number}), max({number})"
    return (
        f"json_array(json_array(0, sum({number} / 1000000), NULL, NULL, 0, 0),"
        f" json_array(count({number}), sum({number} % 1000000), {bounds}, 0, -6), json({others}))"
    )


@compiles(Member, "postgresql")
def _postgresql_member(element: Member, compiler: SQLCompiler, **options: Any) -> str:
    data, *names = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST({' -> '.join([postgresql_json(data), *names])} AS text)"


@compiles(GroupKey, "postgresql")
def _postgresql_key(element: GroupKey, compiler: SQLCompiler, **options: Any) -> str:
    member = compiler.process(element.clauses, **options)
    return (
        f"CASE WHEN left({member}, 1) = '\"' THEN '\"' || (CAST({member} AS json) #>> '{{}}')"
        f" WHEN {_postgresql_is_number(member)}"
        f" THEN CAST(trim_scale(CAST({member} AS numeric)) AS text)"
        f" ELSE {member} END"
    )


@compiles(MemberNumber, "postgresql")
def _postgresql_number(element: MemberNumber, compiler: SQLCompiler, **options: Any) -> str:
    member = compiler.process(element.clauses, **options)
    return f"CASE WHEN {_postgresql_is_number(member)} THEN CAST({member} AS numeric) END"


def _postgresql_is_number(member: str) -> str:
    return f"{member} ~ '^[-0-9]' AND {postgresql_is_exact(member)}"


@compiles(NumberTotals, "postgresql")
def _postgresql_totals(element: NumberTotals, compiler: SQLCompiler, **options: Any) -> str:
    number, member = (compiler.process(clause, **options) for clause in element.clauses)
    numbers = ", ".join(f"CAST({of}({number}) AS text)" for of in ("sum", "min", "max"))
    part = f"count({number}), {numbers}, count({member}) - count({number}), 0"
    return f"CAST(json_build_array(json_build_array({part})) AS text)"
