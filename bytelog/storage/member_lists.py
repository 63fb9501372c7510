# ruff: noqa: S608 (every value is a bound parameter)
"""The members of `data` as a table: their names and types, for SQLite and PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, String, TableValuedAlias
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from .members import postgresql_json

_NONCHARACTER = 0xFDD0
"""What `postgresql_json` writes in place of NUL."""


class MemberList(FunctionElement[Any]):
    """The members of `data`."""

    inherit_cache = False


class JSONName(FunctionElement[str]):
    """The name of a member as a JSON text; its clauses are two columns of a MemberList."""

    type = String()
    inherit_cache = False


def create_member_list(data: ColumnElement[Any]) -> TableValuedAlias:
    """Return a table of the members of `data`, to be joined with its events.

    Its columns are `key` and `fullkey`, for JSONName, and `type`, a type of the database.
    """
    columns = (Column(name, String) for name in ("key", "fullkey", "type"))
    return MemberList(data).table_valued(*columns, name="member")


@compiles(MemberList, "sqlite")
def _sqlite_list(element: MemberList, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(MemberList, "postgresql")
def _postgresql_list(element: MemberList, compiler: SQLCompiler, **options: Any) -> str:
    members = f"json_each({postgresql_json(compiler.process(element.clauses, **options))})"
    return f"LATERAL (SELECT key, json_typeof(value) AS type FROM {members})"


@compiles(JSONName, "sqlite")
def _sqlite_name(element: JSONName, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite decodes a name up to the first NUL, so that names with escapes are left as written.
    key, path = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CASE instr({path}, '\\') WHEN 0 THEN '\"' || {key} || '\"' ELSE substr({path}, 3) END"


@compiles(JSONName, "postgresql")
def _postgresql_name(element: JSONName, compiler: SQLCompiler, **options: Any) -> str:
    key, _ = (compiler.process(clause, **options) for clause in element.clauses)
    return rf"replace(CAST(to_json({key}) AS text), chr({_NONCHARACTER}), '\u0000')"
