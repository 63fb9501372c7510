"""Recording one event per request, against PocketBase, which does not sync every event."""

from __future__ import annotations

from collections.abc import Iterator

from . import database, rivals, servers
from .figures import Figure, Run, format_ratios
from .prepared import Sender

_CLIENTS = 8


def measure(run: Run) -> Iterator[Figure]:
    folder = run.folder / "single"
    with servers.run_bytelog(folder) as service, rivals.run_pocketbase(run) as (pocketbase, _):
        ours = Sender(run, service.events_url, database.format_event, 1, _CLIENTS)
        theirs = Sender(run, pocketbase, rivals.format_pocketbase_event, 1, _CLIENTS)
        rounds = [(ours.send(seconds), theirs.send(seconds)) for seconds in run.lengths]
        database.check_stored(folder, ours.requests)
    mine, others = zip(*rounds[1:], strict=True)
    yield Figure(
        f"one event per request, durable, {_CLIENTS} clients",
        "requests/s ÷ those of PocketBase, which does not sync every event",
        format_ratios(mine, others, ",.0f"),
        "≥ 1.0",
    )
