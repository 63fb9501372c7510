"""Events recorded a second, one a request, each on the disk before its answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import database, servers, wrk
from .figures import Figure, Run, versus
from .servers import Server
from .wrk import Load

_PER_SECOND = "requests/s ÷ those of an empty POST"


def measure(run: Run) -> Iterator[Figure]:
    folder = run.folder / "record"
    with (
        servers.other("empty") as empty,
        servers.bytelog(folder) as service,
        servers.other("obvious", str(run.folder / "obvious.db")) as obvious,
    ):
        bare, ours, theirs = _alternate(run, 8, [empty, service, obvious])
        bare_16, ours_16 = _alternate(run, 16, [empty, service])
        wrk.check((*bare, *ours, *bare_16, *ours_16))
        database.check_stored(folder, sum(it.requests for it in (*ours, *ours_16)))
    yield _throughput("one event a request, durable, 8 clients", ours, bare, "≥ 0.70")
    yield _throughput("the same, 16 clients", ours_16, bare_16, "≥ 0.70")
    yield _throughput("the same, obvious version, 8 clients", theirs, bare)
    yield _tail("slowest 1 % of them, 8 clients", ours, "≤ 3")
    yield _tail("the same, obvious version", theirs)


def _alternate(run: Run, clients: int, rivals: list[Server]) -> list[tuple[Load, ...]]:
    """Return the loads of each server; the first is its warm-up."""
    rounds = [[wrk.post(it, clients, seconds) for it in rivals] for seconds in run.lengths]
    return list(zip(*rounds, strict=True))


def _throughput(name: str, loads: Sequence[Load], bare: Sequence[Load], target: str = "") -> Figure:
    ours, theirs = ([it.rate for it in some[1:]] for some in (loads, bare))
    return Figure(name, _PER_SECOND, versus(ours, theirs, ",.0f"), target)


def _tail(name: str, loads: Sequence[Load], target: str = "") -> Figure:
    slow, usual = [it.p99 * 1000 for it in loads[1:]], [it.p50 * 1000 for it in loads[1:]]
    return Figure(name, "p99 ÷ p50, in ms", versus(slow, usual, ".1f"), target)
