"""Counts of events by group, of which a response has only so many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Executable

from ..config import MAX_GROUPS
from ..storage.reader import Reader
from .filters import bind_values
from .selection import Selection


class TooManyGroups(Exception):
    """The selected events form more than MAX_GROUPS groups."""


def fetch_groups(reader: Reader, statement: Executable, selection: Selection) -> Sequence[Any]:
    """Return a row for each group; the statement has the parameter `rows` as its limit.

    Raises StorageError and TooManyGroups.
    """
    groups = reader.fetch(statement, bind_values(selection) | {"rows": MAX_GROUPS + 1})
    if len(groups) > MAX_GROUPS:
        raise TooManyGroups
    return groups
