"""What is asked for, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Run:
    """How much to measure, and the folder for everything that is made on the way."""

    folder: Path
    rounds: int
    seconds: int
    events: int

    @property
    def lengths(self) -> list[int]:
        """Return the seconds of each load; the first is for warming up."""
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


def spread(values: Sequence[float], form: str = ".2f", unit: str = "") -> str:
    low, high = format(min(values), form), format(max(values), form)
    return f"{format(median(values), form)}{unit} ({low} to {high})"


def versus(over: Sequence[float], under: Sequence[float], form: str) -> str:
    """Return the ratios of what was measured in the same rounds, and the medians of both."""
    ratios = [one / other for one, other in zip(over, under, strict=True)]
    return f"{spread(ratios)}: {format(median(over), form)} ÷ {format(median(under), form)}"
