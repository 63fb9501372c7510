"""Exact decimal numbers, for SQLite, whose own numbers are integers of 64 bits and doubles."""

from __future__ import annotations

import json
import re
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from typing import Any, NamedTuple

MAX_NUMBER_CHARACTERS = 6000
"""The longest number that is compared by its value. With its exponent of at most four digits it has
no more decimals than PostgreSQL's `numeric`, which has 16,383."""

AVERAGE_DIGITS = 20
"""Significant digits of an average."""

_EXACT = Context(prec=40_000, Emin=MIN_EMIN, Emax=MAX_EMAX)
"""Enough for sums: a number has up to 15,998 decimals, and 6,000 digits before them."""

_AVERAGE = Context(AVERAGE_DIGITS, ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX)

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,4})?")


def parse_number(text: str) -> Decimal | None:
    """Return the value of a JSON number, None for other texts and for numbers that are too long."""
    if len(text) > MAX_NUMBER_CHARACTERS or not _NUMBER.fullmatch(text):
        return None
    return Decimal(text)


class Totals(NamedTuple):
    """How many numbers there are, their sum and bounds, and how many values are not numbers."""

    number: int = 0
    total: Decimal = Decimal(0)
    low: Decimal | None = None
    high: Decimal | None = None
    skipped: int = 0

    def add(self, other: Totals) -> Totals:
        """Return the totals of both."""
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Totals(
            self.number + other.number,
            _EXACT.add(self.total, other.total),
            min(lows, default=None),
            max(highs, default=None),
            self.skipped + other.skipped,
        )

    def average(self) -> Decimal | None:
        """Return the average, rounded to AVERAGE_DIGITS; None if there is no number."""
        return _AVERAGE.divide(self.total, Decimal(self.number)) if self.number else None


def parse_totals(text: str) -> Totals:
    """Return the totals of a JSON array of parts.

    A part has the count, the sum, the bounds, the count of other values, and the exponent of ten
    by which the sum and the bounds are multiplied.
    """
    totals = Totals()
    for part in json.loads(text):
        totals = totals.add(_parse_part(*part)) if part else totals
    return totals


def format_number(number: Decimal) -> str:
    """Return a number without an exponent and without zeros at the end of its decimals."""
    text = format(number, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if number else "0"


def register_functions(connection: Any) -> None:
    """Add the functions to a connection of SQLite's driver."""
    connection.create_function("compare_numbers", 2, _compare, deterministic=True)
    connection.create_function("group_key", 1, _build_key, deterministic=True)
    connection.create_aggregate("total_numbers", 1, _Aggregate)


class _Aggregate:
    """The totals of members, which are JSON texts."""

    def __init__(self) -> None:
        self._totals = Totals()

    def step(self, member: str) -> None:
        number = parse_number(member)
        one = Totals(skipped=1) if number is None else Totals(1, number, number, number)
        self._totals = self._totals.add(one)

    def finalize(self) -> str:
        number, *numbers, skipped = self._totals
        texts = [None if each is None else str(each) for each in numbers]
        return json.dumps([number, *texts, skipped, 0])


def _parse_part(
    number: int, total: Any, low: Any, high: Any, skipped: int, exponent: int
) -> Totals:
    total, low, high = (
        None if text is None else _EXACT.scaleb(Decimal(text), exponent)
        for text in (total, low, high)
    )
    return Totals(number, total or Decimal(0), low, high, skipped)


def _build_key(member: str) -> str:
    """Return a number in its shortest form, and a string decoded, after a quote."""
    if member.startswith('"'):
        return f'"{json.loads(member)}'
    number = parse_number(member)
    return member if number is None else format_number(number)


def _compare(text: str, other: str) -> int | None:
    number, other_number = parse_number(text), parse_number(other)
    if number is None or other_number is None:
        return None
    return (number > other_number) - (number < other_number)
