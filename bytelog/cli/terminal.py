"""Text on standard output: its width on a terminal, and the characters that a terminal obeys."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Iterable
from unicodedata import category, east_asian_width

import click


def is_output_closed() -> bool:
    """Return whether nobody reads standard output: a command that waits would not notice."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # Closed pipes are reported without being asked for.
    return bool(poll.poll(0))


def discard_output() -> None:
    """Discard what is still written to standard output, which nobody reads any more."""
    # Python would report the failure again when it flushes standard output at its exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_safely(chunks: Iterable[bytes]) -> None:
    """Write texts of whole lines to standard output, only printable characters to a terminal."""
    for chunk in chunks:
        click.echo(_make_lines_printable(chunk) if sys.stdout.isatty() else chunk, nl=False)


def _make_lines_printable(chunk: bytes) -> str:
    return "\n".join(map(make_printable, chunk.decode().replace("\r\n", "\n").split("\n")))


def make_printable(text: str) -> str:
    """Return a text with the JSON escape of each character that a terminal might obey or hide."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )


def measure(text: str) -> int:
    """Return how many columns of a terminal a printable text takes."""
    return len(text) if text.isascii() else sum(map(_measure_character, text))


def cut(text: str, width: int) -> str:
    """Return a text, or its beginning and `…` if it is wider than `width`."""
    if measure(text) <= width:
        return text
    kept, room = [], width - 1
    for character in text:
        room -= _measure_character(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "…"


def _measure_character(character: str) -> int:
    if category(character) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(character) in ("W", "F") else 1
