"""Events as a table with aligned columns, which fits the terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple
from zlib import crc32

import click
import msgspec

from .terminal import cut, make_printable, measure

_HEADING = ("DATE", "NAME", "TRACE_ID", "ID", "DATA")
_DATE, _NAME, _, _ID, _DATA = range(len(_HEADING))
_GAP = "  "

_NARROW, _NARROW_DATA = 8, 20
"""Widths that columns keep as long as the terminal has room for them."""

_LONGEST = 36
"""Width of a UUID: a longer name or trace id takes a quarter of the terminal at most."""

_COLORS = ("cyan", "green", "yellow", "magenta", "bright_blue", "bright_cyan", "bright_green")
"""The colors of names. Red would look like an error."""

_PAIR = "u[dD][89abAB][0-9a-fA-F]{2}\\\\u[0-9a-fA-F]{4}"
_ESCAPE = re.compile(rf"\\(?:{_PAIR}|u[0-9a-fA-F]{{4}}|.)")


class _Event(msgspec.Struct):
    id: int
    name: str
    trace_id: str
    date: str
    data: msgspec.Raw


_decode_lines = msgspec.json.Decoder(_Event).decode_lines


class Style(NamedTuple):
    """How a table looks: its width, None for any, and whether names have colors."""

    width: int | None = None
    has_colors: bool = False


def choose_style() -> Style:
    """Return the style for standard output (https://no-color.org)."""
    if not sys.stdout.isatty():
        return Style()
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return Style(shutil.get_terminal_size().columns, not is_plain)


class Table:
    """A table that is drawn in one or several parts; its columns become wider, never narrower."""

    def __init__(self) -> None:
        self._widths = [len(title) for title in _HEADING]
        self._colors: dict[str, str] = {}
        self._is_new = True

    def write(self, pages: Iterable[bytes]) -> None:
        """Write the lines for pages of JSON lines to standard output."""
        for line in self.draw(pages, choose_style()):
            click.echo(line, color=True)

    def draw(self, pages: Iterable[bytes], style: Style) -> Iterator[str]:
        """Yield the lines for pages of JSON lines, below a heading at the first."""
        events = chain.from_iterable(map(_decode_lines, pages))
        rows = [_list_cells(event, style.width) for event in events]
        if not rows:
            return
        for row in rows:
            self._widths = list(map(max, self._widths, map(measure, row)))
        widths = _fit(self._widths, style.width) if style.width else self._widths
        if self._is_new:
            self._is_new = False
            yield _draw_line(_HEADING, widths, None)
        for row in rows:
            color = self._choose_color(row[_NAME]) if style.has_colors else None
            yield _draw_line(row, widths, color)

    def _choose_color(self, name: str) -> str:
        if name not in self._colors:
            if len(self._colors) == len(_COLORS):
                return _COLORS[crc32(name.encode()) % len(_COLORS)]
            self._colors[name] = _COLORS[len(self._colors)]
        return self._colors[name]


def _list_cells(event: _Event, width: int | None) -> list[str]:
    data = _ESCAPE.sub(_decode_escape, bytes(event.data).decode())
    texts = (event.date, event.name, event.trace_id, str(event.id), data)
    cells = map(make_printable, texts)
    # An event may have a megabyte of data.
    return [cut(cell, width) for cell in cells] if width else list(cells)


def _decode_escape(escape: re.Match[str]) -> str:
    """Return the character that JSON writes with an escape if it needs none to be read."""
    character: str = json.loads(f'"{escape[0]}"')
    is_plain = character.isprintable() and character not in '"\\'
    return character if is_plain else escape[0]


def _fit(natural: list[int], width: int) -> list[int]:
    """Return widths of columns with which a line fits: the widest column becomes narrower first."""
    room = max(width - len(_GAP) * (len(natural) - 1), len(natural))
    longest = max(_LONGEST, width // 4)
    widths = [min(column, longest) for column in natural[:_DATA]]
    widths.append(min(natural[_DATA], max(room - sum(widths), _NARROW_DATA)))
    while sum(widths) > room:
        # The date is cut last: all dates are of equal width.
        first = _NAME if max(widths[_NAME:]) > _NARROW else _DATE
        widths[widths.index(max(widths[first:]), first)] -= 1
    return widths


def _draw_line(row: Iterable[str], widths: list[int], color: str | None) -> str:
    cells = [_pad(number, cell, widths[number]) for number, cell in enumerate(row)]
    if color:
        cells[_NAME] = click.style(cells[_NAME], fg=color)
    return _GAP.join(cells).rstrip()


def _pad(number: int, cell: str, width: int) -> str:
    text = cut(cell, width)
    padding = " " * (width - measure(text))
    return padding + text if number == _ID else text + padding
