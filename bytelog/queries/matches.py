"""The events that a selection matches, to count them or to delete them: without their text."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import BigInteger, bindparam, func, select

from ..config import MAX_ID
from ..storage.backend import Backend
from ..storage.deletion import Position
from ..storage.keyset import date
from ..storage.models import Event
from ..storage.query import MAX_QUERIES, Query
from ..storage.reader import Reader
from .filters import bind_values, build_window_conditions
from .selection import Selection, Shapes


class _Queries:
    """The queries for selections with the same shapes of filters."""

    def __init__(self, backend: type[Backend], shapes: Shapes) -> None:
        last = bindparam("last", type_=BigInteger)
        conditions = (*build_window_conditions(shapes), Event.key <= last)
        self.count = Query(
            select(func.count()).select_from(Event).where(*conditions), backend.dialect
        )
        some = select(Event.key, date).where(*conditions).limit(bindparam("rows"))
        self.positions = Query(some, backend.dialect)


_prepare = lru_cache(MAX_QUERIES)(_Queries)


def count(reader: Reader, selection: Selection) -> int:
    """Return the number of the selected events; raises StorageError."""
    query = _prepare(type(reader.backend), selection.shapes).count
    ((number,),) = reader.fetch(query, {**bind_values(selection), "last": MAX_ID})
    return int(number)


def find(reader: Reader, selection: Selection, last: int, rows: int) -> list[Position]:
    """Return the positions of some selected events with keys up to the last; raises StorageError.

    They are in no order, so that the database may search in the order of any index.
    """
    query = _prepare(type(reader.backend), selection.shapes).positions
    values = {**bind_values(selection), "last": last, "rows": rows}
    return [Position(*row) for row in reader.fetch(query, values)]
