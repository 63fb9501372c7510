# ruff: noqa: S608 (every value is a bound parameter)
"""The members of `data` as a table: their names and types, for SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, String, TableValuedAlias

from .functions import Function, writes
from .nul import NONCHARACTER, postgresql_json


class MemberList(Function):
    """The members of `data`."""


class JSONName(Function):
    """The name of a member as a JSON text; its clauses are two columns of a MemberList."""

    type = String()


def create_member_list(data: ColumnElement[Any]) -> TableValuedAlias:
    """Return a table of the members of `data`, to be joined with its events.

    Its columns are `key` and `fullkey`, for JSONName, and `type`, a type of the database.
    """
    columns = (Column(name, String) for name in ("key", "fullkey", "type"))
    return MemberList(data).table_valued(*columns, name="member")


@writes("sqlite", MemberList)
def _sqlite_list(data: str) -> str:
    return f"json_each({data})"


@writes("postgresql", MemberList)
def _postgresql_list(data: str) -> str:
    members = f"json_each({postgresql_json(data)})"
    return f"LATERAL (SELECT key, json_typeof(value) AS type FROM {members})"


@writes("sqlite", JSONName)
def _sqlite_name(key: str, path: str) -> str:
    # SQLite decodes a name up to the first NUL, so that names with escapes are left as written.
    return f"CASE instr({path}, '\\') WHEN 0 THEN '\"' || {key} || '\"' ELSE substr({path}, 3) END"


@writes("postgresql", JSONName)
def _postgresql_name(key: str, _: str) -> str:
    return rf"replace(CAST(to_json({key}) AS text), chr({ord(NONCHARACTER)}), '\u0000')"
