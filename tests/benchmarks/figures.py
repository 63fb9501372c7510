"""The parameters of a run, and the figures that it measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Run:
    """The extent of the measurements, and a folder for temporary files."""

    folder: Path
    rounds: int
    seconds: int
    events: int

    @property
    def lengths(self) -> list[int]:
        """Return the duration of each load in seconds; the first is a warm-up."""
        return [1, *[self.seconds] * self.rounds]


@dataclass(frozen=True)
class Figure:
    """A row of the table."""

    name: str
    measured_as: str
    measured: str
    target: str = ""

    def row(self) -> str:
        return f"| {self.name} | {self.measured_as} | {self.measured} | {self.target} |"


def format_spread(values: Sequence[float], form: str = ".2f", unit: str = "") -> str:
    """Return the median, the minimum and the maximum."""
    low, high = format(min(values), form), format(max(values), form)
    return f"{format(median(values), form)}{unit} ({low} to {high})"


def format_ratios(over: Sequence[float], under: Sequence[float], form: str) -> str:
    """Return the ratios of values from the same rounds, and the medians of both series."""
    ratios = [one / other for one, other in zip(over, under, strict=True)]
    return f"{format_spread(ratios)}: {format(median(over), form)} ÷ {format(median(under), form)}"
