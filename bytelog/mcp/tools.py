"""The tools: each maps to one request of the API, which only reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Literal

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from ..clients.bytelog_client import BytelogError, Client
from .results import DEFAULT_ROWS, MAX_ROWS, TooLong, wrap

DEFAULT_HOURS = 24
"""The window of a tool without `start` and `end`, up to now."""

_FILTER = re.compile(r"(id|name|trace_id|q|tz)(\[\w+\])?|data\..+", re.DOTALL)

Start = Annotated[
    str | None,
    Field(
        description="Only events at or after this ISO 8601 time or day, in UTC. Without `start` "
        f"and `end`: the last {DEFAULT_HOURS} hours."
    ),
]
End = Annotated[str | None, Field(description="Only events before this time or day.")]
Filters = Annotated[
    dict[str, str | list[str]] | None,
    Field(
        description="Filters of the API by their names: `name`, `name[prefix]`, `name[not]`, "
        "`trace_id`, `id`, a member of `data` such as `data.plan` or `data.amount[gt]` (also gte, "
        "lt, lte, not, exists), `q` for a text anywhere, `tz` for the time zone of days. A list "
        "means one of its values."
    ),
]
Rows = Annotated[int, Field(ge=1, le=MAX_ROWS, description="Maximum number of rows.")]
Names = Annotated[list[str] | None, Field(description="Names of events.")]
Seconds = Annotated[int | None, Field(ge=1, description="In at most this many seconds.")]


class Tools:
    """The tools of a client, as methods whose signatures and docstrings the model reads."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list_all(self) -> list[Callable[..., str]]:
        """Return the tools."""
        return [
            self.list_events,
            self.follow_trace,
            self.list_names,
            self.count_events,
            self.list_traces,
            self.count_paths,
            self.compare_paths,
            self.count_funnel,
        ]

    def list_events(
        self,
        start: Start = None,
        end: End = None,
        filters: Filters = None,
        order: Literal["newest", "date", "arrival"] = "newest",
        limit: Rows = DEFAULT_ROWS,
    ) -> str:
        """List events: id, name, trace id, date and data. The newest come first by default."""
        query = _select(start, end, filters)
        return self._list_events(limit, order=order, **query)

    def follow_trace(
        self,
        trace_id: Annotated[str, Field(description="The trace id, exactly.")],
        limit: Rows = MAX_ROWS,
    ) -> str:
        """List all events of one trace by date, whenever they happened."""
        return self._list_events(limit, trace_id=trace_id)

    def list_names(self, start: Start = None, end: End = None, filters: Filters = None) -> str:
        """List the names of events: how many, first and last, and the members of their data.

        Call this first, to learn what there is to ask about.
        """
        return self._query("names", "names", **_select(start, end, filters))

    def count_events(
        self,
        start: Start = None,
        end: End = None,
        filters: Filters = None,
        bucket: Literal["minute", "hour", "day", "week", "month", "year"] | None = None,
        by: Annotated[
            list[str] | None,
            Field(description="Up to two of `name` and members such as `data.plan`."),
        ] = None,
        sum_of: Annotated[
            str | None, Field(description="A member with numbers, such as `data.amount`.")
        ] = None,
    ) -> str:
        """Count events: by name and bucket of time, or in groups by values, with sums."""
        rows = "groups" if by or sum_of else "buckets"
        query = {"bucket": bucket, "by": by, "sum": sum_of}
        return self._query("summary", rows, **_select(start, end, filters), **query)

    def list_traces(
        self,
        start: Start = None,
        end: End = None,
        filters: Filters = None,
        having: Names = None,
        lacking: Names = None,
        sequence: Names = None,
        ending: str | None = None,
        origin: Annotated[
            str | None, Field(description="A name that `target` should follow.")
        ] = None,
        target: str | None = None,
        within: Seconds = None,
        state: Literal["overdue", "late", "done"] | None = None,
        limit: Rows = DEFAULT_ROWS,
    ) -> str:
        """List traces, the newest first: dates, duration and names of events.

        They can have or lack events of some names, have some in direct sequence, end with a name,
        or be overdue: those in which `target` did not follow `origin` within some seconds.
        """
        names = {"having": having, "lacking": lacking, "sequence": sequence, "ending": ending}
        times = {"from": origin, "to": target, "within": within, "state": state}
        query = {**_select(start, end, filters), **names, **times}
        return self._query("traces", "traces", **query, limit=limit)

    def count_paths(
        self,
        start: Start = None,
        end: End = None,
        filters: Filters = None,
        scope: Literal["traces", "events"] = "traces",
    ) -> str:
        """Count which event follows which in the traces, and the median time between them."""
        query = _select(start, end, filters)
        return self._query("paths", "transitions", **query, scope=scope)

    def compare_paths(
        self,
        against_start: Annotated[
            str, Field(description="The start of the window to compare with.")
        ],
        against_end: Annotated[str, Field(description="The end of that window.")],
        start: Start = None,
        end: End = None,
        filters: Filters = None,
    ) -> str:
        """List which transitions between events are new, gone, slower, faster, rarer or more often.

        That compares a window, such as the hours after a deployment, with another one.
        """
        against = {"against_start": against_start, "against_end": against_end}
        return self._query("paths/diff", "new", **_select(start, end, filters), **against)

    def count_funnel(
        self,
        steps: Annotated[list[str], Field(min_length=2, description="Names, in their order.")],
        start: Start = None,
        end: End = None,
        filters: Filters = None,
        within: Seconds = None,
    ) -> str:
        """Count how many traces reach each step of a funnel, and the median time between steps."""
        query = _select(start, end, filters)
        return self._query("funnel", "steps", **query, step=steps, within=within)

    def _list_events(self, limit: int, **query: Any) -> str:
        with _explain_errors():
            # One more shows whether there are others.
            events = list(islice(self._client.events(**query, limit=limit + 1), limit + 1))
            answer = {"events": events[:limit], "has_more": len(events) > limit}
            return wrap(answer, "events")

    def _query(self, endpoint: str, rows: str, **query: Any) -> str:
        with _explain_errors():
            return wrap(self._client.query(endpoint, **query), rows)


def _select(
    start: str | None, end: str | None, filters: dict[str, str | list[str]] | None
) -> dict[str, Any]:
    """Return the parameters of a window and filters; raises ToolError for another parameter."""
    for name in filters or {}:
        if not _FILTER.fullmatch(name):
            raise ToolError(f"{name!r} is not a filter. Use a parameter of the tool, if it has it.")
    if not (start or end):
        start = (datetime.now(UTC) - timedelta(hours=DEFAULT_HOURS)).isoformat()
    return {**(filters or {}), "start": start, "end": end}


@contextmanager
def _explain_errors() -> Iterator[None]:
    try:
        yield
    except BytelogError as error:
        raise ToolError(str(error)) from error
    except TooLong as error:
        raise ToolError("The result is too long; use a shorter window or more filters.") from error
