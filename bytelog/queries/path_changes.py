"""What changed between the paths of two windows, such as before and after a deployment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypedDict

from .paths import Paths, Transition

MIN_CASES = 20
"""How often a transition must occur, so that a difference is not taken for a change."""

FACTOR = 2
"""How many times longer or rarer a transition must be."""

# `from` is a keyword in Python.
Change = TypedDict(
    "Change",
    {
        "from": str,
        "to": str,
        "count": int,
        "against_count": int,
        "median_seconds": float | None,
        "against_median_seconds": float | None,
    },
)
"""A transition in both windows; a median is None where it does not occur."""


class Changes(TypedDict):
    """The numbers of traces in both windows, and the changed transitions, most frequent first."""

    traces: int
    against_traces: int
    new: list[Change]
    gone: list[Change]
    slower: list[Change]
    faster: list[Change]
    rarer: list[Change]
    more_frequent: list[Change]


class _Figures(NamedTuple):
    cases: int
    seconds: float
    share: float


def compare(paths: Paths, against: Paths) -> Changes:
    """Compare the paths of a window with those of another.

    A transition is slower if its median time is at least FACTOR times longer, and rarer if its
    count divided by the number of traces is at most 1/FACTOR. Both need MIN_CASES cases: a change
    of time in each window, a change of frequency in the window where it is more frequent.
    """
    now, then = _index(paths), _index(against)
    pairs = sorted(now.keys() | then.keys(), key=lambda pair: (-_max_count(pair, now, then), pair))
    both = [pair for pair in pairs if pair in now and pair in then]

    def describe(chosen: Iterable[tuple[str, str]]) -> list[Change]:
        return [_describe(pair, now.get(pair), then.get(pair)) for pair in chosen]

    return {
        "traces": paths["traces"],
        "against_traces": against["traces"],
        "new": describe(pair for pair in pairs if pair not in then),
        "gone": describe(pair for pair in pairs if pair not in now),
        "slower": describe(pair for pair in both if _is_slower(now[pair], then[pair])),
        "faster": describe(pair for pair in both if _is_slower(then[pair], now[pair])),
        "rarer": describe(pair for pair in both if _is_rarer(now[pair], then[pair])),
        "more_frequent": describe(pair for pair in both if _is_rarer(then[pair], now[pair])),
    }


def _index(paths: Paths) -> dict[tuple[str, str], _Figures]:
    return {
        (each["from"], each["to"]): _measure(each, paths["traces"]) for each in paths["transitions"]
    }


def _measure(transition: Transition, traces: int) -> _Figures:
    count = transition["count"]
    return _Figures(count, transition["median_seconds"], count / traces)


def _max_count(pair: tuple[str, str], *windows: dict[tuple[str, str], _Figures]) -> int:
    return max(window[pair].cases for window in windows if pair in window)


def _is_slower(figures: _Figures, other: _Figures) -> bool:
    has_cases = min(figures.cases, other.cases) >= MIN_CASES
    return has_cases and 0 < figures.seconds >= FACTOR * other.seconds


def _is_rarer(figures: _Figures, other: _Figures) -> bool:
    return other.cases >= MIN_CASES and FACTOR * figures.share <= other.share


def _describe(pair: tuple[str, str], now: _Figures | None, then: _Figures | None) -> Change:
    return {
        "from": pair[0],
        "to": pair[1],
        "count": now.cases if now else 0,
        "against_count": then.cases if then else 0,
        "median_seconds": now.seconds if now else None,
        "against_median_seconds": then.seconds if then else None,
    }
