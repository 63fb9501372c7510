"""Generated traces and questions about them, and the answers of a plain model in Python."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from hypothesis import strategies as st

from bytelog import timestamps
from support.questions import NAMES, Model, Query, filters, matches

TRACES = ["a", "b", "%"]
DATES = [f"2021-03-{day}T10:00:{second}.250Z" for day in (27, 28) for second in ("00", "02", "59")]

stories = st.lists(
    st.builds(
        Model,
        id=st.integers(0, 3),
        name=st.sampled_from(NAMES[:3]),
        trace_id=st.sampled_from(TRACES),
        date=st.sampled_from(DATES),
        members=st.dictionaries(st.just("a"), st.sampled_from(["1", '"pro"', "1.0"])),
    ),
    min_size=1,
    max_size=20,
)
"""Events of a few traces, close to each other."""

_days = st.sampled_from(["2021-03-27T10:00:02Z", "2021-03-28", "2021-03-28T10:00:30Z"])
windows: st.SearchStrategy[list[Query]] = st.lists(
    st.tuples(st.sampled_from(["start", "end"]), _days).map(lambda pair: [pair]),
    max_size=2,
    unique_by=lambda query: query[0][0],
)
_names = st.sampled_from(NAMES[:3])
_within = st.sampled_from(["1", "2", "57", "90000"])
_having: st.SearchStrategy[list[Query]] = st.lists(
    st.tuples(st.sampled_from(["having", "lacking"]), st.lists(_names, min_size=1, max_size=2)).map(
        lambda pair: [(pair[0], name) for name in pair[1]]
    ),
    max_size=2,
    unique_by=lambda query: query[0][0],
)
_states = st.sampled_from(["overdue", "late", "done"])
_expectations: st.SearchStrategy[list[Query]] = st.tuples(_names, _names, _within, _states).map(
    lambda values: [[pair] for pair in zip(("from", "to", "within", "state"), values, strict=True)]
)
_steps = st.lists(_names, min_size=2, max_size=3).map(lambda chosen: [("step", x) for x in chosen])
funnels: st.SearchStrategy[list[Query]] = st.builds(
    lambda names, seconds: [names, [("within", seconds)]] if seconds else [names],
    _steps,
    st.none() | _within,
)
_funnel_traces: st.SearchStrategy[list[Query]] = st.builds(
    lambda funnel, kind, number: [*funnel, [(kind, str(min(number, len(funnel[0]))))]],
    funnels,
    st.sampled_from(["reached", "stopped"]),
    st.integers(1, 3),
)
selections: st.SearchStrategy[list[Query]] = st.builds(
    lambda window, chosen: [*window, *chosen], windows, st.lists(filters, max_size=1)
)
_sequences: st.SearchStrategy[list[Query]] = st.lists(_names, min_size=2, max_size=3).map(
    lambda chosen: [[("sequence", name) for name in chosen]]
)
_endings: st.SearchStrategy[list[Query]] = _names.map(lambda name: [[("ending", name)]])
trace_queries: st.SearchStrategy[list[Query]] = st.one_of(
    st.builds(lambda selection, having: selection + having, selections, _having),
    st.builds(lambda selection, ending: selection + ending, selections, _sequences | _endings),
    _expectations,
    _funnel_traces,
    st.builds(lambda selection, funnel: selection + funnel, selections, _funnel_traces),
)


def group(stored: list[Model]) -> dict[str, list[Model]]:
    """Return the events of each trace, by date and arrival."""
    traces: dict[str, list[Model]] = defaultdict(list)
    for event in sorted(stored, key=lambda event: event.date):
        traces[event.trace_id].append(event)
    return traces


TRACE_PARAMETERS = {
    *(
        "having",
        "lacking",
        "sequence",
        "ending",
        "from",
        "to",
        "within",
        "state",
        "step",
        "reached",
        "stopped",
    )
}


def selected_traces(stored: list[Model], query: list[Query]) -> dict[str, list[Model]]:
    """Return the whole traces that have an event that matches all filters, in the window."""
    conditions = [values for values in query if values[0][0] not in TRACE_PARAMETERS]
    return {
        trace: events
        for trace, events in group(stored).items()
        if any(is_matching(event, conditions) for event in events)
    }


def is_matching(event: Model, query: list[Query]) -> bool:
    """Return whether an event is in the window and matches all filters."""
    given = {values[0][0]: values[0][1] for values in query}
    others = [values for values in query if values[0][0] not in {"start", "end"}]
    start, end = given.get("start", "0001-01-01"), given.get("end", "9999-12-31")
    is_in_window = moment(start) <= moment(event.date) < moment(end)
    return is_in_window and all(matches(event, values) for values in others)


def moment(text: str) -> datetime:
    return timestamps.parse(text)


def seconds_between(event: Model, later: Model) -> float:
    return (moment(later.date) - moment(event.date)).total_seconds()


def is_selected(events: list[Model], query: list[Query]) -> bool:
    """Return whether a trace fulfills the conditions on traces."""
    given = {values[0][0]: [value for _, value in values] for values in query}
    present = {event.name for event in events}
    if not set(given.get("having", [])) <= present or set(given.get("lacking", [])) & present:
        return False
    limit = float(given["within"][0]) if "within" in given else float("inf")
    if "from" in given:
        return state(events, given["from"][0], given["to"][0], limit) == given["state"][0]
    if "step" in given:
        depth = reached(events, given["step"], limit)
        if "reached" in given:
            return depth >= int(given["reached"][0])
        return depth == int(given["stopped"][0])
    names = [event.name for event in events]
    if "ending" in given and given["ending"] != names[-1:]:
        return False
    return "sequence" not in given or has_sequence(names, given["sequence"])


def has_sequence(names: list[str], wanted: list[str]) -> bool:
    return any(names[i : i + len(wanted)] == wanted for i in range(len(names)))


def state(events: list[Model], origin: str, target: str, limit: float) -> str | None:
    """Return the state of a trace of the past."""
    waits = [
        seconds_to_next(event, events[i + 1 :], target)
        for i, event in enumerate(events)
        if event.name == origin
    ]
    if not waits:
        return None
    if None in waits:
        return "overdue"
    return "late" if any(wait > limit for wait in waits if wait is not None) else "done"


def seconds_to_next(event: Model, following: list[Model], name: str) -> float | None:
    return next((seconds_between(event, each) for each in following if each.name == name), None)


def reached(events: list[Model], names: list[str], limit: float) -> int:
    return max((len(chain) for chain in chains(events, names, limit)), default=0)


def chains(events: list[Model], names: list[str], limit: float) -> Iterator[list[Model]]:
    """Yield, for each event of the first step, the next events of the following steps in time."""
    for i, event in enumerate(events):
        if event.name == names[0]:
            chain, rest = [event], iter(events[i + 1 :])
            for name in names[1:]:
                following = next((each for each in rest if each.name == name), None)
                if following is None or seconds_between(event, following) > limit:
                    break
                chain.append(following)
            yield chain


def described(events: list[Model]) -> dict[str, Any]:
    return {
        "trace_id": events[0].trace_id,
        "first": events[0].date,
        "last": events[-1].date,
        "seconds": seconds_between(events[0], events[-1]),
        "count": len(events),
        "names": [event.name for event in events],
    }


def paths_of(traces: Collection[list[Model]]) -> dict[str, Any]:
    """Return what `/paths` answers, without an order."""
    pairs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for events in traces:
        for event, following in pairwise(events):
            pairs[event.name, following.name].append(seconds_between(event, following))
    names = Counter(event.name for events in traces for event in events)
    return {
        "count": names.total(),
        "traces": len(traces),
        "names": {
            name: (
                number,
                sum(events[0].name == name for events in traces),
                sum(events[-1].name == name for events in traces),
            )
            for name, number in names.items()
        },
        "transitions": {
            pair: (len(found), round(median(found), 3)) for pair, found in pairs.items()
        },
    }


def funnel_of(traces: Collection[list[Model]], query: list[Query]) -> list[dict[str, Any]]:
    """Return the steps that `/funnel` answers, without their links."""
    given = {values[0][0]: [value for _, value in values] for values in query}
    names, limit = given["step"], float(given.get("within", ["inf"])[0])
    best = [max(chains(events, names, limit), key=len, default=[]) for events in traces]
    steps = []
    for number, name in enumerate(names):
        reaching = [chain for chain in best if len(chain) > number]
        seconds = [seconds_between(*chain[number - 1 : number + 1]) for chain in reaching if number]
        median_seconds = round(median(seconds), 3) if seconds else None
        steps.append({"name": name, "count": len(reaching), "median_seconds": median_seconds})
    return steps
