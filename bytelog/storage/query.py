"""Queries: statements that are compiled once, for a driver that executes them directly.

SQLAlchemy takes eight times as long to execute a statement as SQLite does, and would occupy
hundreds of kilobytes of its caches for each kind of statement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Dialect, Select
from sqlalchemy.types import TypeEngine

MAX_QUERIES = 50
"""Kinds of listings, of summaries and of paths whose queries are cached."""

Convert = Callable[[Any], Any]


class Query:
    """A statement that reads: its text, and how to convert its parameters and rows."""

    def __init__(self, statement: Select[*tuple[Any, ...]], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup
        self._constants = {
            name: value for name, value in compiled.params.items() if value is not None
        }
        self._to_driver = [
            (name, convert)
            for bind, name in compiled.bind_names.items()
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect))
        ]
        columns = [_result_processor(column.type, dialect) for column in statement.selected_columns]
        self._from_driver = [(i, convert) for i, convert in enumerate(columns) if convert]

    def bind(self, values: Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
        """Return the parameters for the driver; `values` may contain others too."""
        values = {**self._constants, **values}
        for name, convert in self._to_driver:
            values[name] = convert(values[name])
        if self._order is None:
            return values
        return [values[name] for name in self._order]

    def convert(self, row: Sequence[Any]) -> Sequence[Any]:
        """Return a row of the driver with the values that the statement's types promise."""
        if not self._from_driver:
            return row
        values = list(row)
        for i, convert in self._from_driver:
            values[i] = convert(values[i])
        return values


def _result_processor(kind: TypeEngine[Any], dialect: Dialect) -> Convert | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
