"""SQL expressions whose syntax differs between SQLite and PostgreSQL.

Each class is an expression. The functions below it build it for each database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Dialect,
    Interval,
    String,
    Text,
    TypeDecorator,
    cast,
    func,
    literal_column,
)
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


class ColumnText(TypeDecorator[str]):
    """Text that is compared with a column."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text, or one that no column contains if PostgreSQL rejects it for its NUL."""
        has_nul = dialect.name == "postgresql" and "\0" in (value or "")
        return "x" * (MAX_TEXT_LENGTH + 1) if has_nul else value


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
    duration = later.op("-", return_type=Interval())(earlier)
    return cast(func.extract("epoch", duration) * 1000, BigInteger)


class Position(_Expression):
    """The position of a part in a text, counted from 1; 0 if the text does not contain it."""

    type = BigInteger()


@_register("sqlite", Position)
def _sqlite_position(text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.instr(text, part)


@_register("postgresql", Position)
def _postgresql_position(text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.strpos(text, part)


class JSONArray(_Expression):
    """The texts of all rows, as a JSON array."""

    type = String()


@_register("sqlite", JSONArray)
def _sqlite_json_array(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.json_group_array(text)


@_register("postgresql", JSONArray)
def _postgresql_json_array(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(func.json_agg(text), Text)


class JSONColumns(_Expression):
    """A JSON array of the columns of all rows, each an array, in the order of the first argument.

    SQLite needs the rows in that order: it groups them without changing it.
    """

    type = String()


@_register("sqlite", JSONColumns)
def _sqlite_json_columns(_: ColumnElement[Any], *columns: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.json_array(*map(func.json_group_array, columns))


@_register("postgresql", JSONColumns)
def _postgresql_json_columns(
    order: ColumnElement[Any], *columns: ColumnElement[Any]
) -> ColumnElement[Any]:
    arrays = (func.json_agg(column).aggregate_order_by(order) for column in columns)
    return cast(func.json_build_array(*arrays), Text)


class StartsWith(_Expression):
    """Whether a text starts with another."""

    type = Boolean()


@_register("sqlite", StartsWith)
def _sqlite_starts_with(text: ColumnElement[Any], start: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.substr(text, 1, func.length(start)) == start


@_register("postgresql", StartsWith)
def _postgresql_starts_with(
    text: ColumnElement[Any], start: ColumnElement[Any]
) -> ColumnElement[Any]:
    return func.starts_with(text, start)


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
