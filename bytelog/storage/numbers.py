"""Exact decimal numbers, for SQLite, whose own numbers are integers of 64 bits and doubles."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

MAX_NUMBER_CHARACTERS = 6000
"""The longest number that is compared by its value. With its exponent of at most four digits it has
no more decimals than PostgreSQL's `numeric`, which has 16,383."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,4})?")


def parse_number(text: str) -> Decimal | None:
    """Return the value of a JSON number, None for other texts and for numbers that are too long."""
    if len(text) > MAX_NUMBER_CHARACTERS or not _NUMBER.fullmatch(text):
        return None
    return Decimal(text)


def register_functions(connection: Any) -> None:
    """Add the functions to a connection of SQLite's driver."""
    connection.create_function("compare_numbers", 2, _compare, deterministic=True)


def _compare(text: str, other: str) -> int | None:
    number, other_number = parse_number(text), parse_number(other)
    if number is None or other_number is None:
        return None
    return (number > other_number) - (number < other_number)
