"""Counting rows by group, with the median of a duration in each group."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import BigInteger, FromClause, Select, bindparam, case, cast, func, select

SORTED_AT_ONCE = 32_000
"""Durations that are sorted at once: Python's lock is held for some milliseconds."""


def count_with_medians(steps: FromClause, columns: Sequence[str]) -> Select[Any]:
    """Count rows by the values of some columns, the most frequent values first.

    `steps` has a column `milliseconds` too. A row has the columns, the count, and the two values in
    the middle of the milliseconds, added: twice the median. `rows` limits the number of rows.
    """
    group = [steps.c[name] for name in columns]
    # Durations of the same length are counted together, so that few rows are left to sort.
    duration = *group, steps.c.milliseconds
    durations = select(*duration, func.count().label("number")).group_by(*duration).subquery()
    group = [durations.c[name] for name in columns]
    number = func.sum(durations.c.number, type_=BigInteger)
    ranked = select(
        *durations.c,
        number.over(partition_by=group, order_by=durations.c.milliseconds).label("last"),
        # In PostgreSQL the sum is a decimal number.
        cast(number.over(partition_by=group), BigInteger).label("total"),
    ).subquery()
    group, total, last = [ranked.c[name] for name in columns], ranked.c.total, ranked.c.last
    # The middle values, or twice the middle value. Half of the sum is the median.
    lower, upper = (
        case(((last - ranked.c.number < rank) & (rank <= last), ranked.c.milliseconds), else_=0)
        for rank in ((total + 1) // 2, (total + 2) // 2)
    )
    middle = func.sum(lower + upper, type_=BigInteger)
    counted = select(*group, func.max(total).label("number"), middle).group_by(*group)
    return counted.order_by(func.max(total).desc(), *group).limit(bindparam("rows"))


def double_median(milliseconds: array[int]) -> int:
    """Return the two values in the middle, added: twice the median."""
    number = len(milliseconds)
    starts = range(0, number, SORTED_AT_ONCE)
    parts = (milliseconds[start : start + SORTED_AT_ONCE] for start in starts)
    ordered = merge(*(array("q", sorted(part)) for part in parts))
    middle = list(islice(ordered, (number - 1) // 2, number // 2 + 1))
    return middle[0] + middle[-1]


def halve(two_medians: float) -> float:
    """Return a median in seconds, from twice the median in milliseconds."""
    return round(float(two_medians) / 2000, 3)
