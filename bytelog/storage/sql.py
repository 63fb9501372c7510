"""SQL expressions whose syntax differs between SQLite and PostgreSQL.

Each class is an expression. The functions below it build it for each database.
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
    cast,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy import case as sql_case
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ..config import MAX_TEXT_LENGTH
from .models import FIELDS, Event
from .types import UTCTimestamp

Columns = ReadOnlyColumnCollection[str, Any]
"""The columns of events, of the table or of a subquery."""

TextOfEvent = Callable[[Columns], ColumnElement[str]]
"""Builds the text of an event from its columns."""

Build = Callable[..., ColumnElement[Any]]

# PostgreSQL cannot read JSON with an escaped NUL. I-JSON should have no noncharacters (RFC 7493
# section 2.1), so U+FDD0 replaces NUL where members are compared.
_NUL, _NONCHARACTER = r"(?<!\\)((?:\\\\)*)\\u0000", r"\1\\ufdd0"


class ColumnText(TypeDecorator[str]):
    """Text that is compared with a column."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text, or one that no column contains if PostgreSQL rejects it for its NUL."""
        has_nul = dialect.name == "postgresql" and "\0" in (value or "")
        return "x" * (MAX_TEXT_LENGTH + 1) if has_nul else value


class MemberText(TypeDecorator[str]):
    """The name or value of a member of a JSON object."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text; for PostgreSQL, U+FDD0 replaces NUL."""
        return value and (value.replace("\0", "\ufdd0") if dialect.name == "postgresql" else value)


class _Expression(FunctionElement[Any]):
    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # SQLAlchemy looks for this in every class. It is true for all: two expressions of a class
        # differ only in their clauses.
        cls.inherit_cache = True


def _register(dialect: str, expression: type[_Expression]) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        def compile_(element: _Expression, compiler: SQLCompiler, **options: Any) -> str:
            return f"({compiler.process(build(*element.clauses), **options)})"

        compiles(expression, dialect)(compile_)
        return build

    return register


class DateAsText(_Expression):
    """A date in the format of the API."""

    type = String()


@_register("sqlite", DateAsText)
def _sqlite_date_as_text(date: ColumnElement[Any]) -> ColumnElement[Any]:
    return date


@_register("postgresql", DateAsText)
def _postgresql_date_as_text(date: ColumnElement[Any]) -> ColumnElement[Any]:
    utc = func.timezone(literal_column("'UTC'"), date)
    return func.to_char(utc, literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""))


class WeekOf(_Expression):
    """The Monday of the week of a date, such as 2021-08-09."""

    type = String()


@_register("sqlite", WeekOf)
def _sqlite_week_of(date: ColumnElement[Any]) -> ColumnElement[Any]:
    # The next Sunday, or the day itself, minus six days.
    return func.date(func.substr(date, 1, 10), "weekday 0", "-6 days")


@_register("postgresql", WeekOf)
def _postgresql_week_of(date: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.substr(DateAsText(func.date_trunc(literal_column("'week'"), date)), 1, 10)


class Milliseconds(_Expression):
    """The time between two dates, in milliseconds."""

    type = BigInteger()


@_register("sqlite", Milliseconds)
def _sqlite_milliseconds(
    earlier: ColumnElement[Any], later: ColumnElement[Any]
) -> ColumnElement[Any]:
    # A Julian day is accurate to some microseconds.
    return func.round((func.julianday(later) - func.julianday(earlier)) * 86_400_000)


@_register("postgresql", Milliseconds)
def _postgresql_milliseconds(
    earlier: ColumnElement[Any], later: ColumnElement[Any]
) -> ColumnElement[Any]:
    return cast(func.extract("epoch", later - earlier) * 1000, BigInteger)


class Position(_Expression):
    """The position of a part in a text, counted from 1; 0 if the text does not contain it."""

    type = BigInteger()


@_register("sqlite", Position)
def _sqlite_position(text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.instr(text, part)


@_register("postgresql", Position)
def _postgresql_position(text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.strpos(text, part)


_HEAD_NAMES = FIELDS[:-1]


class Head(_Expression):
    """A JSON object of all fields of an event except `data`, without spaces."""

    type = String()


@_register("sqlite", Head)
def _sqlite_head(*members: ColumnElement[Any]) -> ColumnElement[Any]:
    pairs = zip(_HEAD_NAMES, members, strict=True)
    return func.json_object(
        *(part for name, member in pairs for part in (literal_column(f"'{name}'"), member))
    )


@_register("postgresql", Head)
def _postgresql_head(*members: ColumnElement[Any]) -> ColumnElement[Any]:
    parts: list[ColumnElement[Any]] = []
    for name, member in zip(_HEAD_NAMES, members, strict=True):
        separator = "," if parts else "{"
        parts += [literal_column(f"""'{separator}"{name}":'"""), _postgresql_json(name, member)]
    return func.concat(*parts, literal_column("'}'"))


def _postgresql_json(name: str, member: ColumnElement[Any]) -> ColumnElement[Any]:
    match Event.__table__.c[name].type:
        case BigInteger():
            return member
        case UTCTimestamp():
            return func.to_json(DateAsText(member))
    return func.to_json(cast(member, Text))


class Joined(_Expression):
    """The texts of all rows, joined by a separator."""

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
    """Whether a member of a JSON object has a value: the object, the value, the member's path.

    A string is compared after decoding, every other value as it was written.
    """

    type = Boolean()


@_register("sqlite", MemberEquals)
def _sqlite_member_equals(
    data: ColumnElement[Any], value: ColumnElement[Any], *path: ColumnElement[Any]
) -> ColumnElement[Any]:
    # SQLite's JSON paths compare names as written, and miss a name with an escape. Only
    # `json_each` decodes names.
    levels = []
    for name in path:
        levels.append(member := _each_member(data))
        has_name = member.c.key == name
        data = sql_case((has_name & (member.c.type == "object"), member.c.value))
    written = member.c.json.op("->")(member.c.fullkey)
    decoded = sql_case((member.c.type == "text", member.c.atom), else_=written)
    is_equal = sql_case((has_name, type_coerce(decoded, String) == value))
    return select(literal(1)).select_from(*levels).where(is_equal).exists()


@_register("postgresql", MemberEquals)
def _postgresql_member_equals(
    data: ColumnElement[Any], value: ColumnElement[Any], *path: ColumnElement[Any]
) -> ColumnElement[Any]:
    has_nul = func.strpos(data, literal_column(r"'\u0000'")) > 0
    readable = func.regexp_replace(data, _NUL, _NONCHARACTER, literal_column("'g'"))
    object_: ColumnElement[Any] = cast(sql_case((has_nul, readable), else_=data), JSON)
    *outer, last = path
    for name in outer:
        object_ = object_.op("->", return_type=JSON())(name)
    is_text = func.json_typeof(object_.op("->", return_type=JSON())(last)) == "string"
    written = cast(object_.op("->", return_type=JSON())(last), Text)
    return sql_case((is_text, object_.op("->>")(last)), else_=written) == value


def _each_member(data: ColumnElement[Any]) -> TableValuedAlias:
    columns = ("key", "value", "type", "atom", "fullkey", "json")
    return func.json_each(data).table_valued(*columns, joins_implicitly=True)
