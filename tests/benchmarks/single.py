"""One event a request, against PocketBase, which does not sync each to the disk."""

from __future__ import annotations

from collections.abc import Iterator

from . import database, rivals, servers
from .figures import Figure, Run, versus
from .prepared import Sender

_CLIENTS = 8


def measure(run: Run) -> Iterator[Figure]:
    folder = run.folder / "single"
    with servers.bytelog(folder) as service, rivals.pocketbase(run) as (pocketbase, _):
        ours = Sender(run, service.events_url, database.single, 1, _CLIENTS)
        theirs = Sender(run, pocketbase, rivals.pocketbase_single, 1, _CLIENTS)
        rounds = [(ours.send(seconds), theirs.send(seconds)) for seconds in run.lengths]
        database.check_stored(folder, ours.requests)
    mine, others = zip(*rounds[1:], strict=True)
    yield Figure(
        f"one event a request, durable, {_CLIENTS} clients",
        "requests/s ÷ PocketBase's, which does not sync each to the disk",
        versus(mine, others, ",.0f"),
        "≥ 1.0",
    )
