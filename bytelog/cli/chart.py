"""The chart of a project in `bytelog stats`: days, their most frequent names, and bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

STATS_DAYS = 30
"""Days with events that are shown one by one; earlier days are summed."""

STATS_NAMES = 20
"""Names that are shown one by one, the most frequent first; the others are summed."""


_GAP = "  "
_NAME_CHARACTERS = 16
_SHORTEST_BAR, _LONGEST_BAR = 12, 60

_Table = list[list[str]]


def draw_lines(days: Mapping[str, Counter[str]], width: int, mark: str) -> Iterator[str]:
    """Yield the lines of a chart of the names on each day, `width` characters at most.

    The chart shows as many names as fit. Bars consist of `mark`.
    """
    rows = dict(_list_rows(days))
    total = rows.pop("all")
    names = [name for name, _ in total.most_common(STATS_NAMES)]
    table = _build_table([*rows.items(), ("all", total)], names)
    while names and _measure_width(table) + _SHORTEST_BAR > width:
        names.pop()
        table = _build_table([*rows.items(), ("all", total)], names)
    longest = max(_SHORTEST_BAR, min(_LONGEST_BAR, width - _measure_width(table)))
    highest = max(names.total() for day, names in rows.items() if day != "earlier")
    heading, *body, last = _align(table)
    yield heading
    for line, (day, counts) in zip(body, rows.items(), strict=True):
        length = 0 if day == "earlier" else counts.total() * longest // highest
        yield f"{line}{_GAP}{mark * length}".rstrip()
    yield last


def _list_rows(days: Mapping[str, Counter[str]]) -> Iterator[tuple[str, Counter[str]]]:
    earlier: Counter[str] = Counter()
    for day in list(days)[:-STATS_DAYS]:
        earlier.update(days[day])
    if earlier:
        yield "earlier", earlier
    yield from list(days.items())[-STATS_DAYS:]
    total: Counter[str] = Counter()
    for names in days.values():
        total.update(names)
    yield "all", total


def _build_table(rows: Sequence[tuple[str, Counter[str]]], names: Sequence[str]) -> _Table:
    heading = ["DAY", "EVENTS", *(_format_name(name) for name in names)]
    has_others = len(rows[-1][1]) > len(names)
    table = [[*heading, "others"] if has_others else heading]
    for day, counts in rows:
        by_name = [counts[name] for name in names]
        rest = [counts.total() - sum(by_name)] if has_others else []
        table.append([day, *(f"{count:,}" for count in (counts.total(), *by_name, *rest))])
    return table


def _format_name(name: str) -> str:
    text = "".join(character if character.isprintable() else "?" for character in name)
    return text if len(text) <= _NAME_CHARACTERS else f"{text[: _NAME_CHARACTERS - 1]}…"


def _measure_width(table: _Table) -> int:
    return len(_align(table)[0]) + len(_GAP)


def _align(table: _Table) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        _GAP.join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in table
    ]
