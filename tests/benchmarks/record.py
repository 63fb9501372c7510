"""Recording one event per request, each of which is on the disk before its response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import database, servers, wrk
from .figures import Figure, Run, format_ratios
from .servers import Server
from .wrk import Load

_PER_SECOND = "requests/s ÷ those of an empty POST"


def measure(run: Run) -> Iterator[Figure]:
    folder = run.folder / "record"
    with (
        servers.run_application("empty") as empty,
        servers.run_bytelog(folder) as service,
        servers.run_application("naive", str(run.folder / "naive.db")) as naive,
    ):
        bare, ours, theirs = _alternate(run, 8, [empty, service, naive])
        bare_16, ours_16 = _alternate(run, 16, [empty, service])
        wrk.check((*bare, *ours, *bare_16, *ours_16))
        database.check_stored(folder, sum(load.requests for load in (*ours, *ours_16)))
    yield _compare_rates("one event per request, durable, 8 clients", ours, bare, "≥ 0.70")
    yield _compare_rates("the same, 16 clients", ours_16, bare_16, "≥ 0.70")
    yield _compare_rates("the same, naive version, 8 clients", theirs, bare)
    yield _compare_latencies("slowest 1 % of them, 8 clients", ours, "≤ 3")
    yield _compare_latencies("the same, naive version", theirs)


def _alternate(run: Run, clients: int, targets: list[Server]) -> list[tuple[Load, ...]]:
    """Return the loads of each server; the first of each is the warm-up."""
    rounds = [[wrk.post(server, clients, seconds) for server in targets] for seconds in run.lengths]
    return list(zip(*rounds, strict=True))


def _compare_rates(
    name: str, loads: Sequence[Load], bare: Sequence[Load], target: str = ""
) -> Figure:
    ours, theirs = ([load.rate for load in series[1:]] for series in (loads, bare))
    return Figure(name, _PER_SECOND, format_ratios(ours, theirs, ",.0f"), target)


def _compare_latencies(name: str, loads: Sequence[Load], target: str = "") -> Figure:
    slow, usual = [load.p99 * 1000 for load in loads[1:]], [load.p50 * 1000 for load in loads[1:]]
    return Figure(name, "p99 ÷ p50, in ms", format_ratios(slow, usual, ".1f"), target)
