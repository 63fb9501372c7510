"""Groups of events as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..queries.formats import quote_cell
from ..queries.grouping import Groups, JSONText
from ..queries.summary import Summary

_PLAIN = {"date", "sum", "min", "max", "average"}
"""Columns whose text needs no quotes."""


def write_groups(groups: Groups) -> str:
    """Return groups in JSON."""
    rows = ",".join(map(_write_row, groups.rows))
    return f'{{"count": {groups.events}, "groups": [{rows}]}}'


def list_cells(summary: Summary) -> Groups:
    """Return the counts of a summary as groups."""
    rows = [
        {"date": bucket["date"], "name": name, "count": count}
        for bucket in summary["buckets"]
        for name, count in bucket["names"].items()
    ]
    return Groups(summary["count"], ("date", "name", "count"), rows)


def write_table(groups: Groups) -> str:
    """Return groups in CSV, without the byte order mark."""
    return "".join(f"{line}\r\n" for line in _write_lines(groups))


def _write_lines(groups: Groups) -> Iterator[str]:
    yield ",".join(name if name.isalpha() else quote_cell(name) for name in groups.columns)
    for row in groups.rows:
        yield ",".join(_write_cell(name, row.get(name)) for name in groups.columns)


def _write_row(row: Mapping[str, Any]) -> str:
    members = (f"{json.dumps(name, ensure_ascii=False)}: {_write(row[name])}" for name in row)
    return f"{{{', '.join(members)}}}"


def _write(value: Any) -> str:
    return value if isinstance(value, JSONText) else json.dumps(value, ensure_ascii=False)


def _write_cell(column: str, value: Any) -> str:
    match value:
        case None:
            return ""
        case JSONText() if value.startswith(("{", "[")):
            return quote_cell(value)
        case JSONText() | int():
            return str(value)
    return str(value) if column in _PLAIN else quote_cell(value)
