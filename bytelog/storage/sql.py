"""What SQLite and PostgreSQL call by different names, or do in different ways.

Each class is an expression, and the functions below it are how a database is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Dialect,
    String,
    TableValuedAlias,
    Text,
    TypeDecorator,
    case,
    cast,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ..config import MAX_TEXT_LENGTH

Build = Callable[..., ColumnElement[Any]]

# PostgreSQL reads no JSON with the escape of NUL. I-JSON should have no noncharacters (RFC 7493
# section 2.1), so one of them stands for it where members are compared.
_NUL, _STAND_IN = r"(?<!\\)((?:\\\\)*)\\u0000", r"\1\\ufdd0"


class ColumnText(TypeDecorator[str]):
    """What a column of text may be asked for."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text; for one with NUL, which PostgreSQL does not take, one that none has."""
        has_nul = dialect.name == "postgresql" and "\0" in (value or "")
        return "x" * (MAX_TEXT_LENGTH + 1) if has_nul else value


class MemberText(TypeDecorator[str]):
    """What a member of a JSON object may be called, or say."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text; for PostgreSQL without NUL."""
        return value and (value.replace("\0", "\ufdd0") if dialect.name == "postgresql" else value)


class _Expression(FunctionElement[Any]):
    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # SQLAlchemy looks for it in each class: nothing but the clauses tells two apart.
        cls.inherit_cache = True


def _register(dialect: str, expression: type[_Expression]) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        def compile_(element: _Expression, compiler: SQLCompiler, **options: Any) -> str:
            return f"({compiler.process(build(*element.clauses), **options)})"

        compiles(expression, dialect)(compile_)
        return build

    return register


class DateAsText(_Expression):
    """A date as the API writes it."""

    type = String()


@_register("sqlite", DateAsText)
def _sqlite_date_as_text(date: ColumnElement[Any]) -> ColumnElement[Any]:
    return date


@_register("postgresql", DateAsText)
def _postgresql_date_as_text(date: ColumnElement[Any]) -> ColumnElement[Any]:
    utc = func.timezone(literal_column("'UTC'"), date)
    return func.to_char(utc, literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""))


class WeekOf(_Expression):
    """The Monday of a date's week, such as 2021-08-09."""

    type = String()


@_register("sqlite", WeekOf)
def _sqlite_week_of(date: ColumnElement[Any]) -> ColumnElement[Any]:
    # The Sunday from that day on, less six days.
    return func.date(func.substr(date, 1, 10), "weekday 0", "-6 days")


@_register("postgresql", WeekOf)
def _postgresql_week_of(date: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.substr(DateAsText(func.date_trunc(literal_column("'week'"), date)), 1, 10)


class Milliseconds(_Expression):
    """The time between two dates."""

    type = BigInteger()


@_register("sqlite", Milliseconds)
def _sqlite_milliseconds(
    earlier: ColumnElement[Any], later: ColumnElement[Any]
) -> ColumnElement[Any]:
    # Precise to some microseconds, and dates have milliseconds.
    return func.round((func.julianday(later) - func.julianday(earlier)) * 86_400_000)


@_register("postgresql", Milliseconds)
def _postgresql_milliseconds(
    earlier: ColumnElement[Any], later: ColumnElement[Any]
) -> ColumnElement[Any]:
    return cast(func.extract("epoch", later - earlier) * 1000, BigInteger)


class Position(_Expression):
    """Where in a text another one is, from 1 on; 0 if it is not."""

    type = BigInteger()


@_register("sqlite", Position)
def _sqlite_position(text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.instr(text, part)


@_register("postgresql", Position)
def _postgresql_position(text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.strpos(text, part)


class Head(_Expression):
    """A JSON object with the id, name, trace id and date of an event, without space."""

    type = String()


@_register("sqlite", Head)
def _sqlite_head(*members: ColumnElement[Any]) -> ColumnElement[Any]:
    names = ("'id'", "'name'", "'trace_id'", "'date'")
    pairs = zip(names, members, strict=True)
    return func.json_object(*(it for name, it in pairs for it in (literal_column(name), it)))


@_register("postgresql", Head)
def _postgresql_head(*members: ColumnElement[Any]) -> ColumnElement[Any]:
    key, name, trace_id, date = members
    return func.concat(
        *(literal_column("""'{"id":'"""), key),
        *(literal_column("""',"name":'"""), func.to_json(cast(name, Text))),
        *(literal_column("""',"trace_id":'"""), func.to_json(cast(trace_id, Text))),
        *(literal_column("""',"date":"'"""), DateAsText(date), literal_column("""'"}'""")),
    )


class Joined(_Expression):
    """The texts of all rows, with a separator between them."""

    type = String()


@_register("sqlite", Joined)
def _sqlite_joined(text: ColumnElement[Any], separator: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.group_concat(text, separator)


@_register("postgresql", Joined)
def _postgresql_joined(
    text: ColumnElement[Any], separator: ColumnElement[Any]
) -> ColumnElement[Any]:
    return func.string_agg(text, cast(separator, Text))


class MemberEquals(_Expression):
    """Whether a member of a JSON object is a value: the object, the value, the member's path.

    A string is compared by what it says, all else as it was written.
    """

    type = Boolean()


@_register("sqlite", MemberEquals)
def _sqlite_member_equals(
    data: ColumnElement[Any], value: ColumnElement[Any], *path: ColumnElement[Any]
) -> ColumnElement[Any]:
    # SQLite's paths find a name as it was written: one with an escape would be missed. Only
    # `json_each` reads names.
    way = []
    for name in path:
        way.append(member := _each_member(data))
        is_named = member.c.key == name
        data = case((is_named & (member.c.type == "object"), member.c.value))
    written = member.c.json.op("->")(member.c.fullkey)
    said = case((member.c.type == "text", member.c.atom), else_=written)
    found = case((is_named, type_coerce(said, String) == value))
    return select(literal(1)).select_from(*way).where(found).exists()


@_register("postgresql", MemberEquals)
def _postgresql_member_equals(
    data: ColumnElement[Any], value: ColumnElement[Any], *path: ColumnElement[Any]
) -> ColumnElement[Any]:
    has_nul = func.strpos(data, literal_column(r"'\u0000'")) > 0
    readable = func.regexp_replace(data, _NUL, _STAND_IN, literal_column("'g'"))
    object_: ColumnElement[Any] = cast(case((has_nul, readable), else_=data), JSON)
    *outer, last = path
    for name in outer:
        object_ = object_.op("->", return_type=JSON())(name)
    is_text = func.json_typeof(object_.op("->", return_type=JSON())(last)) == "string"
    written = cast(object_.op("->", return_type=JSON())(last), Text)
    return case((is_text, object_.op("->>")(last)), else_=written) == value


def _each_member(data: ColumnElement[Any]) -> TableValuedAlias:
    columns = ("key", "value", "type", "atom", "fullkey", "json")
    return func.json_each(data).table_valued(*columns, joins_implicitly=True)
