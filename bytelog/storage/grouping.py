# ruff: noqa: S608 (every value is a bound parameter)
"""Groups by members of `data`, and totals of members, for SQLite and PostgreSQL.

A member is its JSON text as it was written, NULL if an event has none. In SQLite, the common
members are handled by SQL alone: a function of Python holds the lock that all threads share.
"""

from __future__ import annotations

from sqlalchemy import Dialect, Numeric, String, TypeDecorator

from .functions import Function, writes
from .members import postgresql_is_exact, sqlite_levels
from .nul import postgresql_json, sqlite_json, sqlite_written


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


class Member(Function):
    """A member of `data`; the names that lead to it follow `data`."""

    type = String()


class GroupKey(Function):
    """What equal members have in common.

    For a string, a quote and its decoded text; for a number, its value in the shortest form; for
    other members the JSON text.
    """

    type = KeyText()


class MemberNumber(Function):
    """A number that the database can add exactly, NULL for other members.

    In SQLite, these are integers in millionths, and the sum of 90 million of them is an integer.
    """

    type = Numeric()


class NumberTotals(Function):
    """The totals of numbers of MemberNumber and their members, for `parse_totals`."""

    type = String()


@writes("sqlite", Member)
def _sqlite_member(data: str, *names: str) -> str:
    # A path compares names as written. Without a backslash, no name has an escape.
    path = "'$'" + "".join(f""" || '."' || {name} || '"'""" for name in names)
    levels, last = sqlite_levels(sqlite_json(data), names)
    written = sqlite_written(data, f"{last}.json -> {last}.fullkey")
    return (
        f"CASE instr({data}, '\\') WHEN 0 THEN {data} -> ({path})"
        f" ELSE (SELECT {written} FROM {levels}"
        f" WHERE {last}.key = {names[-1]}) END"
    )


@writes("sqlite", GroupKey)
def _sqlite_key(member: str) -> str:
    has_short_form = f"{member} GLOB '*[eE]*' OR {member} GLOB '*.*0' OR {member} = '-0'"
    return (
        f"CASE WHEN {member} GLOB '\"*' THEN CASE instr({member}, '\\')"
        f" WHEN 0 THEN substr({member}, 1, length({member}) - 1) ELSE group_key({member}) END"
        f" WHEN {member} GLOB '[-0-9]*' AND ({has_short_form}) THEN group_key({member})"
        f" ELSE {member} END"
    )


@writes("sqlite", MemberNumber)
def _sqlite_number(member: str) -> str:
    point = f"instr({member}, '.')"
    zeros = f"substr('000000', 1 + length({member}) - {point})"
    return (
        f"CASE WHEN {member} GLOB '*[^0-9.-]*' THEN NULL WHEN {point} = 0"
        f" THEN CASE WHEN length({member}) <= 11 THEN CAST({member} AS INTEGER) * 1000000 END"
        f" WHEN {point} <= 12 AND length({member}) - {point} <= 6"
        f" THEN CAST(replace({member}, '.', '') || {zeros} AS INTEGER) END"
    )


@writes("sqlite", NumberTotals)
def _sqlite_totals(number: str, member: str) -> str:
    others = f"total_numbers({member}) FILTER (WHERE {number} IS NULL AND {member} IS NOT NULL)"
    bounds = f"min({number}), max({number})"
    return (
        f"json_array(json_array(0, sum({number} / 1000000), NULL, NULL, 0, 0),"
        f" json_array(count({number}), sum({number} % 1000000), {bounds}, 0, -6), json({others}))"
    )


@writes("postgresql", Member)
def _postgresql_member(data: str, *names: str) -> str:
    return f"CAST({' -> '.join([postgresql_json(data), *names])} AS text)"


@writes("postgresql", GroupKey)
def _postgresql_key(member: str) -> str:
    return (
        f"CASE WHEN left({member}, 1) = '\"' THEN '\"' || (CAST({member} AS json) #>> '{{}}')"
        f" WHEN {_postgresql_is_number(member)}"
        f" THEN CAST(trim_scale(CAST({member} AS numeric)) AS text)"
        f" ELSE {member} END"
    )


@writes("postgresql", MemberNumber)
def _postgresql_number(member: str) -> str:
    return f"CASE WHEN {_postgresql_is_number(member)} THEN CAST({member} AS numeric) END"


def _postgresql_is_number(member: str) -> str:
    return f"{member} ~ '^[-0-9]' AND {postgresql_is_exact(member)}"


@writes("postgresql", NumberTotals)
def _postgresql_totals(number: str, member: str) -> str:
    numbers = ", ".join(f"CAST({of}({number}) AS text)" for of in ("sum", "min", "max"))
    part = f"count({number}), {numbers}, count({member}) - count({number}), 0"
    return f"CAST(json_build_array(json_build_array({part})) AS text)"
