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

Written = Callable[..., ColumnElement[Any]]

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


def _in(dialect: str, expression: type[_Expression]) -> Callable[[Written], Written]:
    def register(write: Written) -> Written:
        def compiled(element: _Expression, compiler: SQLCompiler, **options: Any) -> str:
            return f"({compiler.process(write(*element.clauses), **options)})"

        compiles(expression, dialect)(compiled)
        return write

    return register


class DateAsText(_Expression):
    """A date as the API writes it."""

    type = String()


@_in("sqlite", DateAsText)
def _kept(date: ColumnElement[Any]) -> ColumnElement[Any]:
    return date


@_in("postgresql", DateAsText)
def _to_char(date: ColumnElement[Any]) -> ColumnElement[Any]:
    utc = func.timezone(literal_column("'UTC'"), date)
    return func.to_char(utc, literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""))


class WeekOf(_Expression):
    """The Monday of a date's week, such as 2021-08-09."""

    type = String()


@_in("sqlite", WeekOf)
def _sunday_less_six(date: ColumnElement[Any]) -> ColumnElement[Any]:
    # The Sunday from that day on, less six days.
    return func.date(func.substr(date, 1, 10), "weekday 0", "-6 days")


@_in("postgresql", WeekOf)
def _monday(date: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.substr(DateAsText(func.date_trunc(literal_column("'week'"), date)), 1, 10)


class Milliseconds(_Expression):
    """The time between two dates."""

    type = BigInteger()


@_in("sqlite", Milliseconds)
def _julian_days(earlier: ColumnElement[Any], later: ColumnElement[Any]) -> ColumnElement[Any]:
    # Precise to some microseconds, and dates have milliseconds.
    return func.round((func.julianday(later) - func.julianday(earlier)) * 86_400_000)


@_in("postgresql", Milliseconds)
def _epoch(earlier: ColumnElement[Any], later: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(func.extract("epoch", later - earlier) * 1000, BigInteger)


class Position(_Expression):
    """Where in a text another one is, from 1 on; 0 if it is not."""

    type = BigInteger()


@_in("sqlite", Position)
def _instr(text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.instr(text, part)


@_in("postgresql", Position)
def _strpos(text: ColumnElement[Any], part: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.strpos(text, part)


class Head(_Expression):
    """A JSON object with the id, name, trace id and date of an event, without space."""

    type = String()


@_in("sqlite", Head)
def _json_object(*members: ColumnElement[Any]) -> ColumnElement[Any]:
    names = ("'id'", "'name'", "'trace_id'", "'date'")
    pairs = zip(names, members, strict=True)
    return func.json_object(*(it for name, it in pairs for it in (literal_column(name), it)))


@_in("postgresql", Head)
def _concatenated(*members: ColumnElement[Any]) -> ColumnElement[Any]:
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


@_in("sqlite", Joined)
def _group_concat(text: ColumnElement[Any], separator: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.group_concat(text, separator)


@_in("postgresql", Joined)
def _string_agg(text: ColumnElement[Any], separator: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.string_agg(text, cast(separator, Text))


class MemberEquals(_Expression):
    """Whether a member of a JSON object is a value: the object, the value, the member's path.

    A string is compared by what it says, all else as it was written.
    """

    type = Boolean()


@_in("sqlite", MemberEquals)
def _has_member(
    data: ColumnElement[Any], value: ColumnElement[Any], *path: ColumnElement[Any]
) -> ColumnElement[Any]:
    # SQLite's paths find a name as it was written: one with an escape would be missed. Only
    # `json_each` reads names.
    way = []
    for name in path:
        way.append(member := _members(data))
        is_named = member.c.key == name
        data = case((is_named & (member.c.type == "object"), member.c.value))
    written = member.c.json.op("->")(member.c.fullkey)
    said = case((member.c.type == "text", member.c.atom), else_=written)
    found = case((is_named, type_coerce(said, String) == value))
    return select(literal(1)).select_from(*way).where(found).exists()


@_in("postgresql", MemberEquals)
def _reads_equal(
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


def _members(data: ColumnElement[Any]) -> TableValuedAlias:
    columns = ("key", "value", "type", "atom", "fullkey", "json")
    return func.json_each(data).table_valued(*columns, joins_implicitly=True)
